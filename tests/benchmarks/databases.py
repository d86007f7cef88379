"""A server for the run and an empty, prepared database for each measurement."""

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from loaders.tdx.schemas import KLINE_DAILY, TABLES
from loaders.warehouse import embedded
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.tables import LandedTable

MACROS = Path(__file__).parents[2] / "macros"
QUEUE = (
    "warehouse/prepare_intermediate.sql",
    "warehouse/prepare_trades.sql",
    "changes/codes_of_minutes.sql",
    "adjust/create_affine_breaks.sql",
)


@contextmanager
def scratch() -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of an embedded server in it, with its settings as delivered."""
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
    host = quote(str(params["host"]), safe="")
    try:
        yield f"postgresql://{params['user']}@/{name}?host={host}&port={params.get('port', 5432)}"
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"drop database {name} with (force)".encode())


def warehouse(url: str, home: Path) -> Warehouse:
    return Warehouse(url, "benchmark", False, "market", None, "benchmark", home)


def prepared(url: str, home: Path, kind: str, table: LandedTable = KLINE_DAILY) -> Warehouse:
    """The landed tables, empty. `kind` says what `table` carries: its `key` alone, `real` (every
    index that it is declared with), `queue` (and the triggers of the change queue)."""
    made = warehouse(url, home)
    prepare(made, TABLES)
    with psycopg.connect(url, autocommit=True) as conn:
        # dead rows are counted, so nobody else may remove them
        conn.execute(f"alter table {table.qualified} set (autovacuum_enabled = false)".encode())
        if kind == "key":
            for columns in table.indexes:
                name = f"{table.qualified}_{'_'.join(columns)}_idx"
                conn.execute(f"drop index {name}".encode())
        elif kind == "queue":
            conn.execute(queue_sql().encode())
    return made


def queue_sql() -> str:
    """What dbt runs before its first model; the macros need next to nothing of dbt."""
    from jinja2 import Environment

    environment = Environment()
    environment.globals["local_md5"] = lambda text: hashlib.md5(text.encode()).hexdigest()
    text = "".join((MACROS / name).read_text("utf-8") for name in QUEUE)
    macros: Any = environment.from_string(text).module
    return f"{macros.prepare_intermediate()}; {macros.prepare_trades()}"


def settle(url: str, table: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"vacuum analyze {table}".encode())
        conn.execute(b"checkpoint")


def state(url: str, table: str) -> dict[str, int]:
    """Rows there, and rows that a write left dead. The writer's connection must be closed: its
    counts arrive with its end."""
    with psycopg.connect(url, autocommit=True) as conn:
        count = conn.execute(f"select count(*) from {table}".encode()).fetchone()
        dead = conn.execute(
            "select n_dead_tup from pg_stat_user_tables where relid = %s::regclass", (table,)
        ).fetchone()
    assert count is not None
    assert dead is not None
    return {"rows": count[0], "dead": dead[0]}
