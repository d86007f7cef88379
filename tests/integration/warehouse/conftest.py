"""Homes with embedded servers of their own, and a foreign server on loopback with passwords."""

import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from loaders.settings import Settings, load_settings
from loaders.warehouse.embedded import binaries
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import open_warehouse
from quotemill.warehouse.postgres import Warehouse
from tests.homes import new_home
from tests.planted import AWKWARD_PASSWORD
from tests.requirements import require

# with the translations of its messages
DEBIAN = Path("/usr/lib/postgresql/15/bin")
OpenAt = Callable[..., Warehouse]


def require_debian() -> Path:
    """The programs of the oldest major that serves."""
    require("debian", DEBIAN.is_dir(), "Debian's PostgreSQL 15 is not installed")
    return DEBIAN


def settings_for(home: Path, **environ: str) -> Settings:
    return load_settings(environ={"QUOTEMILL_HOME": str(home), **environ}, cwd=home)


@pytest.fixture(scope="module")
def make_home() -> Iterator[Callable[[], Path]]:
    with ExitStack() as homes:
        yield lambda: homes.enter_context(new_home())


@pytest.fixture(scope="session")
def open_at() -> OpenAt:
    """Open the warehouse of a home, with environment variables if need be."""

    def open_(home: Path, start: bool = True, **environ: str) -> Warehouse:
        return open_warehouse(settings_for(home, **environ), start=start)

    return open_


@pytest.fixture
def empty_home(make_home: Callable[[], Path]) -> Path:
    return make_home()


@pytest.fixture(scope="session")
def made_data() -> Iterator[Path]:
    """The data of a server that was made and stopped."""
    with new_home() as home:
        data = embedded.ensure_running(home).data
        embedded.stop(home)
        yield data


@pytest.fixture(scope="module")
def make_stopped_home(make_home: Callable[[], Path], made_data: Path) -> Callable[[], Path]:
    """Make a home whose server was made before: its data are a copy, much faster than initdb."""

    def make() -> Path:
        home = make_home()
        subprocess.run(["cp", "-a", made_data, home / "postgres"], check=True)
        return home

    return make


@pytest.fixture
def stopped_home(make_stopped_home: Callable[[], Path]) -> Path:
    return make_stopped_home()


@pytest.fixture(scope="module")
def running_home(make_stopped_home: Callable[[], Path]) -> Path:
    """A home whose server is up, shared by the tests of one file."""
    home = make_stopped_home()
    embedded.ensure_running(home)
    return home


@pytest.fixture(scope="module")
def running_warehouse(running_home: Path) -> Warehouse:
    return open_warehouse(settings_for(running_home))


@dataclass(frozen=True)
class ForeignServer:
    """A PostgreSQL that is not ours: TCP on loopback, SCRAM passwords. The oldest major that
    serves, where Debian's is installed; else the wheel's."""

    port: int
    admin_password: str
    home: Path
    writer_password: str = AWKWARD_PASSWORD

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.url("postgres", self.admin_password, database), autocommit=True)

    def warehouse(self, user: str, password: str, database: str, **environ: str) -> Warehouse:
        url = self.url(user, password, database)
        return open_warehouse(settings_for(self.home, QUOTEMILL_WAREHOUSE_URL=url, **environ))

    def fresh_database(self, owner_may_create: bool = True) -> tuple[str, str]:
        """A database and a writer without superuser rights, whose password is awkward."""
        name = f"d{secrets.token_hex(4)}"
        with self.admin() as conn:
            role, secret = (
                psycopg.sql.Identifier(f"w_{name}"),
                psycopg.sql.Literal(AWKWARD_PASSWORD),
            )
            conn.execute(psycopg.sql.SQL("create role {} login password {}").format(role, secret))
            conn.execute(f"create database {name}".encode())
            if owner_may_create:
                conn.execute(f"grant create on database {name} to w_{name}".encode())
        return name, f"w_{name}"


@pytest.fixture(scope="session")
def foreign_server() -> Iterator[ForeignServer]:
    with new_home() as base:
        home = base / "home"
        home.mkdir()
        account, programs = find_programs()
        data, password = base / "data", secrets.token_hex(8)
        data.mkdir(mode=0o700)
        secret = base / "secret"
        secret.write_text(password)
        if account:
            os.chown(data, account.uid, account.gid)
            os.chown(secret, account.uid, account.gid)
        initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "-N"]
        initdb += ["-E", "UTF8", "--locale=C", f"--pwfile={secret}"]
        binaries.run_as(account, initdb, check=True, capture_output=True)
        with _started(data) as port:
            yield ForeignServer(port, password, home)


@pytest.fixture
def standby(foreign_server: ForeignServer) -> Iterator[ForeignServer]:
    """A hot standby of that server."""
    account, programs = find_programs()
    with new_home() as base:
        data = base / "data"
        data.mkdir(mode=0o700)
        if account:
            os.chown(data, account.uid, account.gid)
        primary = foreign_server.url("postgres", foreign_server.admin_password, "postgres")
        copy = [programs / "pg_basebackup", "-R", "-c", "fast", "-D", data, "-d", primary]
        binaries.run_as(account, copy, check=True, capture_output=True)
        with _started(data) as port:
            yield replace(foreign_server, port=port)


def find_programs() -> tuple[Any, Path]:
    account = binaries.system_account() if os.geteuid() == 0 else None
    if DEBIAN.is_dir():
        return account, DEBIAN
    return account, binaries.server_bin(account, binaries.find_programs())


@contextmanager
def _started(data: Path) -> Iterator[int]:
    """A server of that folder; its port."""
    account, programs = find_programs()
    with socket.socket() as probe:  # late: nobody keeps it for us
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -F"
    control = [programs / "pg_ctl", "-D", data, "-w", "-o", options, "-l", data / "log"]
    binaries.run_as(account, [*control, "start"], check=True, capture_output=True)
    try:
        yield port
    finally:
        binaries.run_as(account, [*control, "-m", "immediate", "stop"], capture_output=True)
