"""QuestDB's tables of ticks as tables of schema `ticks` in a test's warehouse, and back.

QuestDB has no DELETE, and few of SQL's words: a test changes rows behind the loader's back in a
copy, whose rows then replace those of QuestDB. A template of a database holds the copy, too.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pyarrow as pa

from loaders.settings import Settings
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb.rows import as_stored
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.tables import QUESTDB_TABLES, StoreTable
from quotemill.warehouse.connections import connect
from tests.integration.ticks.servers import open_at, shared_server, url_of

_KINDS = {
    pa.timestamp("us", "UTC"): "timestamptz",
    pa.string(): "text",
    pa.date32(): "date",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
}

_served: list[int] = []  # the database whose ticks are there


@contextmanager
def mirrored(conn: psycopg.Connection, settings: Settings, *, back: bool) -> Iterator[None]:
    """Schema `ticks` as the store is; `back`: the store as the schema is afterwards."""
    with closing(open_store(settings)) as store:
        fill_schema(conn, store)
        yield
        if back:
            fill_store(conn, store)


def fill_schema(conn: psycopg.Connection, store: QuestdbStore) -> None:
    conn.execute("drop schema if exists ticks cascade; create schema ticks")
    for table in _present(store):
        columns = ", ".join(f"{f.name} {_KINDS[f.type]}" for f in table.schema)
        conn.execute(f"create table ticks.{table.name} ({columns})".encode())
        rows = store._read_rows(table).to_pylist()
        places = ", ".join(f"%({name})s" for name in table.names)
        with conn.cursor() as cur:
            insert = f"insert into ticks.{table.name} ({', '.join(table.names)}) values ({places})"
            cur.executemany(insert.encode(), rows)


def fill_store(conn: psycopg.Connection, store: QuestdbStore) -> None:
    """Tables that the schema lacks go; without the schema all."""
    http = store._connection.http()
    for table in QUESTDB_TABLES:
        mirrored = conn.execute("select to_regclass(%s)", (f"ticks.{table.name}",)).fetchone()
        if mirrored == (None,):
            http.rows(f"drop table if exists {table.name}")
            continue
        http.rows(table.questdb_ddl())
        http.rows(f"truncate table {table.name}")
        http.wait_applied(table.name, 60.0)
        names = ", ".join(table.names)
        held = conn.execute(f"select {names} from ticks.{table.name} order by ts".encode())
        rows = [dict(zip(table.names, row, strict=True)) for row in held]
        if rows:
            store.put_rows(table, as_stored(table, pa.Table.from_pylist(rows, schema=table.schema)))


def serve(dsn: str) -> str:
    """The address of the process's server, with the ticks that a database has a copy of.

    One that it serves already stays as it is: a test may open a warehouse twice.
    """
    folder = shared_server()
    with connect(dsn) as conn, closing(open_at(folder)) as store:
        [(database,)] = conn.execute(
            "select oid from pg_database where datname = current_database()"
        )
        if _served != [database]:
            fill_store(conn, store)
            _served[:] = [database]
    return url_of(folder)


def _present(store: QuestdbStore) -> list[StoreTable]:
    rows = store._connection.http().rows("select table_name from tables()")
    names = {row["table_name"] for row in rows}
    return [table for table in QUESTDB_TABLES if table.name in names]
