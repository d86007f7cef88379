"""Servers of each edition, and databases on them: empty, prepared, or filled once and copied."""

import functools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from quotemill.warehouse.postgres import Warehouse
from tests import citus, timescale
from tests.homes import new_home
from tests.requirements import require

EDITIONS = ("none", "apache", "tsl")  # as macros/timescale/timescale_edition.sql calls them


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """An embedded server for the session: superuser, Unix socket.

    It need not survive a power cut, and vacuums only when a test asks for it.
    """
    from loaders.warehouse.embedded import server as embedded

    with new_home() as home:
        url = embedded.ensure_running(home).url
        with psycopg.connect(url, autocommit=True) as conn:
            for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
                conn.execute(f"alter system set {setting} = off".encode())
            conn.execute("select pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def apache_server() -> Iterator[str]:
    """A server with TimescaleDB's Apache edition for the session: superuser, Unix socket."""
    absent = f"there is no {timescale.UNPACKED}: .ci/timescale makes it"
    require("timescale", timescale.UNPACKED.is_dir(), absent)
    with timescale.apache_server() as url:
        yield url


@pytest.fixture(scope="session")
def tsl_server() -> str:
    """A server with TimescaleDB's community edition: superuser. Other sessions may use it too."""
    absent = "QUOTEMILL_TEST_TSL_URL names no server with TimescaleDB's community edition"
    require("tsl", timescale.TSL_URL is not None, absent)
    return str(timescale.TSL_URL)


@pytest.fixture
def new_citus_database() -> Iterator[Callable[..., str]]:
    """Make a database with Citus on each node of a cluster, and return its URL.

    It replaces one of its name, and is dropped at the end.
    """
    absent = "QUOTEMILL_TEST_CITUS_URL names no coordinator of a cluster with Citus"
    require("citus", citus.URL is not None, absent)
    made: list[str] = []

    def make(name: str | None = None) -> str:
        made.append(name or f"t_{secrets.token_hex(4)}")
        return citus.make_database(made[-1])

    yield make
    for name in made:
        citus.drop_database(name)


@pytest.fixture(scope="session")
def database_of(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Make a database on a server of an edition, with the extension, and return its URL.

    Otherwise as `make_database`. On a shared server the name gets a suffix, and the database is
    dropped at the end.
    """
    servers = {"none": "server_url", "apache": "apache_server", "tsl": "tsl_server"}
    suffix, made = f"_{secrets.token_hex(4)}", set[str]()

    def make(edition: str, name: str | None = None, template: str | None = None) -> str:
        server = request.getfixturevalue(servers[edition])
        if edition != "tsl":
            url = make_database(server, name, template)
        else:
            name = (name or f"t_{secrets.token_hex(4)}") + suffix
            made.add(name)
            url = make_database(server, name, template, strategy="wal_log")
        if edition != "none" and not template:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("create extension timescaledb")
        return url

    yield make  # the folders of our own servers go as a whole
    if made:
        with psycopg.connect(str(timescale.TSL_URL), autocommit=True) as conn:
            for name in made:
                conn.execute(f'drop database if exists "{name}" with (force)'.encode())


def make_database(
    server: str, name: str | None = None, template: str | None = None, strategy: str = "file_copy"
) -> str:
    """Make a database on a server, and return its URL.

    It is empty or a copy of the database of the URL `template`, and replaces one of its name.
    `strategy` is PostgreSQL's: a copy of files takes half the time where a checkpoint waits for no
    disk.
    """
    name = name or f"t_{secrets.token_hex(4)}"
    # TimescaleDB's workers use template1 at times, and a database in use cannot be a template
    source = conninfo_to_dict(template)["dbname"] if template else "template0"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f'drop database if exists "{name}" with (force)'.encode())
        conn.execute(f'create database "{name}" template "{source}" strategy {strategy}'.encode())
    params: dict[str, Any] = conninfo_to_dict(server)
    host, secret = quote(params["host"], safe=""), params.get("password")
    user = f"{params['user']}:{quote(secret, safe='')}" if secret else params["user"]
    return f"postgresql://{user}@/{quote(name)}?host={host}&port={params.get('port', 5432)}"


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Callable[..., str]:
    """Make a database of plain PostgreSQL: see `make_database`."""
    return functools.partial(make_database, server_url)


@pytest.fixture(params=EDITIONS)
def edition(request: pytest.FixtureRequest) -> str:
    """Each edition in turn: plain PostgreSQL, TimescaleDB's Apache and community editions."""
    return str(request.param)


@pytest.fixture(scope="session")
def filled_database(new_database: Callable[..., str]) -> Callable[..., str]:
    """Make a database as `fill` leaves it, and return its URL.

    `fill(url)` runs once for each `kind` in a session; later calls copy its result. With a `name`
    all have that name, and the next replaces the one before.
    """
    templates: dict[str, str] = {}

    def make(kind: str, fill: Callable[[str], object], name: str | None = None) -> str:
        if kind not in templates:
            dsn = new_database(name)
            fill(dsn)
            templates[kind] = new_database(template=dsn)
            return dsn
        return new_database(name, template=templates[kind])

    return make


@pytest.fixture
def prepared_dsn(filled_database: Callable[..., str], tmp_path: Path) -> str:
    """The URL of a database with schema ops and the empty landed tables of every source."""
    from loaders.sources import landed_tables
    from loaders.warehouse.migrate import prepare

    def fill(dsn: str) -> None:
        prepare(Warehouse(dsn, "test", False, "market", None, "test", tmp_path), landed_tables())

    return filled_database("prepared", fill)


@pytest.fixture
def warehouse_dsn(new_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_database()
