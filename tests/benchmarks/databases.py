"""A server for the run and an empty, prepared database for each measurement."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from loaders.tdx.tables import KLINE_DAILY, TABLES
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.migrate import prepare
from loaders.warehouse.tables import LandedTable
from quotemill.warehouse.postgres import Warehouse


@contextmanager
def scratch() -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of an embedded server in it with its default settings."""
    home = Path(tempfile.mkdtemp(prefix="qm-bench-"))
    home.chmod(0o755)  # as root the server runs as another user
    try:
        yield home, embedded.ensure_running(home).url
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


@contextmanager
def database(server: str) -> Iterator[str]:
    """The URL of a new database, dropped at the end."""
    name = f"bench_{secrets.token_hex(4)}"
    params = conninfo_to_dict(server)
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"create database {name}".encode())
    host, user = quote(str(params["host"]), safe=""), quote(str(params["user"]), safe="")
    secret = f":{quote(str(params['password']), safe='')}" if params.get("password") else ""
    try:
        yield f"postgresql://{user}{secret}@/{name}?host={host}&port={params.get('port', 5432)}"
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"drop database {name} with (force)".encode())


def warehouse(url: str, home: Path) -> Warehouse:
    return Warehouse(url, "benchmark", False, "market", None, "benchmark", home)


def prepare_tables(
    url: str, home: Path, *, indexed: bool, table: LandedTable = KLINE_DAILY
) -> None:
    """Create the landed tables, empty; `table` with all its indexes or with its key alone."""
    prepare(warehouse(url, home), TABLES)
    with psycopg.connect(url, autocommit=True) as conn:
        # dead rows are counted, so nothing else may remove them
        conn.execute(f"alter table {table.qualified} set (autovacuum_enabled = false)".encode())
        for columns in () if indexed else table.indexes:
            conn.execute(f"drop index {table.qualified}_{'_'.join(columns)}_idx".encode())


def settle(url: str, table: str = "") -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"vacuum analyze {table}".encode())
        conn.execute(b"checkpoint")


def count_rows(url: str, table: str) -> dict[str, int]:
    """Live and dead rows; close the writer's connection first, its counts arrive with its end."""
    with psycopg.connect(url, autocommit=True) as conn:
        [(count,)] = conn.execute(f"select count(*) from {table}".encode())
        [(dead,)] = conn.execute(
            "select n_dead_tup from pg_stat_user_tables where relid = %s::regclass", (table,)
        )
    return {"rows": count, "dead": dead}
