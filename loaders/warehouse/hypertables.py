"""Hypertables and continuous aggregates of TimescaleDB, from its catalog.

Their rows are in chunks outside the schema of the table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from loaders.warehouse.turns import unless_locked
from quotemill.warehouse.schemas import has_relation

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable


@dataclass(frozen=True)
class TableName:
    """A table by its schema and name."""

    schema: str
    name: str

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def list_hypertables(conn: psycopg.Connection, schemas: Sequence[str]) -> list[str]:
    """The qualified names of hypertables and continuous aggregates in these schemas."""
    if extension_schema(conn) is None:
        return []
    rows = conn.execute(
        "select hypertable_schema || '.' || hypertable_name "
        "from timescaledb_information.hypertables where hypertable_schema = any(%(schemas)s) "
        "union all select view_schema || '.' || view_name "
        "from timescaledb_information.continuous_aggregates where view_schema = any(%(schemas)s) "
        "order by 1",
        {"schemas": list(schemas)},
    )
    return [name for (name,) in rows]


def extension_schema(conn: psycopg.Connection) -> str | None:
    """The schema of TimescaleDB's functions; None where the database lacks the extension."""
    row = conn.execute(
        "select n.nspname from pg_extension as e inner join pg_namespace as n "
        "on e.extnamespace = n.oid where e.extname = 'timescaledb'"
    ).fetchone()
    return row[0] if row else None


def is_hypertable(conn: psycopg.Connection, schema: str, name: str) -> bool:
    if extension_schema(conn) is None:
        return False
    row = conn.execute(
        "select 1 from timescaledb_information.hypertables "
        "where hypertable_schema = %s and hypertable_name = %s",
        (schema, name),
    ).fetchone()
    return row is not None


def left_plain(conn: psycopg.Connection, tables: Iterable["LandedTable"]) -> list["LandedTable"]:
    """The plain landed tables that should be hypertables; none without TimescaleDB."""
    return [table for table, is_wanted, is_hyper in _declared(conn, tables) if is_wanted > is_hyper]


def left_hyper(conn: psycopg.Connection, tables: Iterable["LandedTable"]) -> list["LandedTable"]:
    """The hypertables among the landed tables that should be plain: their setting is off."""
    return [table for table, is_wanted, is_hyper in _declared(conn, tables) if is_hyper > is_wanted]


def _declared(
    conn: psycopg.Connection, tables: Iterable["LandedTable"]
) -> list[tuple["LandedTable", bool, bool]]:
    """Landed tables with a `time`: whether each should be a hypertable, and whether it is one."""
    if extension_schema(conn) is None or not has_relation(conn, "ops.settings"):
        return []
    declared = {table.qualified: table for table in tables if table.time is not None}
    rows = conn.execute(
        "select m.name, m.setting is null or exists (select 1 from ops.settings as s "
        "where s.key = m.setting and s.value = 'true'), exists (select 1 "
        "from timescaledb_information.hypertables as h "
        "where h.hypertable_schema || '.' || h.hypertable_name = m.name) "
        "from unnest(%s::text[], %s::text[]) as m (name, setting) "
        "where to_regclass(m.name) is not null",
        (list(declared), [table.time_setting for table in declared.values()]),
    ).fetchall()
    return [(declared[name], is_wanted, is_hyper) for name, is_wanted, is_hyper in rows]


def make_of_empty(conn: psycopg.Connection, tables: Iterable["LandedTable"]) -> None:
    """Make hypertables of the landed tables that are plain and have no row yet.

    Those with rows stay plain: see `warehouse upgrade-timescale`. In the caller's transaction.
    """
    for table in left_plain(conn, tables):
        where = sql.Identifier(table.dataset, table.name)
        # one that an import or an upgrade has locked has rows soon, or the next command does it
        with unless_locked(conn):
            if not conn.execute(sql.SQL("select 1 from {} limit 1").format(where)).fetchone():
                chunk = sql.SQL("interval {}").format(sql.Literal(table.chunk)).as_string(conn)
                conn.execute(make_hypertable(conn, where, str(table.time), chunk))


def make_hypertable(
    conn: psycopg.Connection, table: sql.Identifier, time: str, chunk: str
) -> sql.Composed:
    """The statement that makes a hypertable of a table, whose rows move into chunks.

    `chunk` is SQL. The functions are named with their schema: there may be no search path.
    """
    return sql.SQL(
        "select {0}.create_hypertable({1}::regclass, {0}.by_range({2}, {3}), "
        "create_default_indexes => false, migrate_data => true)"
    ).format(
        sql.Identifier(extension_schema(conn) or "public"),
        sql.Literal(table.as_string(None)),
        sql.Literal(time),
        sql.SQL(chunk),
    )
