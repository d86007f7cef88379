"""Servers with TimescaleDB for tests.

The Apache edition is what `.ci/timescale` unpacks and this module starts; the community edition
(TSL) is on a server that QUOTEMILL_TEST_TSL_URL names.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from loaders.warehouse.embedded import binaries
from tests.homes import new_home

UNPACKED = Path(__file__).parent.parent / "var" / "timescale"
PROGRAMS = "usr/lib/postgresql/17/bin"
TSL_URL = os.environ.get("QUOTEMILL_TEST_TSL_URL")  # of a superuser
SETTINGS = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "jit": "off",
    # it need not survive a power cut, and tidies up when a test asks for it
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


@contextmanager
def apache_server() -> Iterator[str]:
    """The URL of a server of the Apache edition: superuser, Unix socket."""
    account = binaries.system_account() if os.geteuid() == 0 else None
    with new_home() as home:
        programs = _reachable(account, home) / PROGRAMS
        place = home / "apache"
        place.mkdir(mode=0o700)
        if account:
            os.chown(place, account.uid, account.gid)
        data = place / "data"
        # sorts as the embedded server does
        initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C"]
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "-A", "trust", "-N"]
        for name, value in (SETTINGS | {"unix_socket_directories": str(place)}).items():
            initdb += ["-c", f"{name}={value}"]
        control = [programs / "pg_ctl", "-D", data, "-w", "-l", place / "log"]
        _run(account, initdb)
        _run(account, [*control, "start"])
        try:
            yield f"postgresql://postgres@/postgres?host={quote(str(place), safe='')}&port=5432"
        finally:
            binaries.run_as(account, [*control, "-m", "immediate", "stop"], capture_output=True)


def _reachable(account: binaries.Account | None, home: Path) -> Path:
    """What was unpacked; a copy where root's checkout is closed to the server's user."""
    if account is None or binaries.reaches(account, UNPACKED / PROGRAMS):
        return UNPACKED
    return Path(shutil.copytree(UNPACKED, home / "timescale", symlinks=True))


def _run(account: binaries.Account | None, command: list[str | Path]) -> None:
    # the server keeps what it inherits: a pipe would never end
    done = binaries.run_as(account, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command[0]} failed: {done.returncode}"
