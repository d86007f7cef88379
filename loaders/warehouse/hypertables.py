"""Hypertables and continuous aggregates of TimescaleDB, as the catalog tells of them.

Their rows are in chunks outside the schema of the table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from loaders.warehouse.postgres import unless_locked

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable

FIRST_CHUNKS = "interval '1 month'"  # until a build applies what the models' YAML says

_FOUND = """
    select
        f.schema,
        f.name,
        (
            select array_agg(a.attname::text order by a.attnum) from pg_attribute as a
            where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
        ),
        (
            select array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum)
            from pg_attribute as a
            where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
        ),
        f.time_column,
        f.chunk,
        (
            select coalesce(array_agg(c.relname::text order by c.relname), '{}')
            from pg_index as i
            inner join pg_class as c on i.indexrelid = c.oid
            where i.indrelid = r.oid
        ),
        (
            select coalesce(array_agg(k.attname::text order by k.attnum), '{}')
            from pg_attribute as k
            where k.attrelid = r.oid and k.attname in (
                -- TimescaleDB makes an index of each column that it groups by, with the time
                select a.attname
                from timescaledb_information.continuous_aggregates as g
                inner join pg_index as i
                    on i.indrelid = format(
                        '%%I.%%I', g.materialization_hypertable_schema, g.materialization_hypertable_name
                    )::regclass
                inner join timescaledb_information.dimensions as d
                    on
                        g.materialization_hypertable_schema = d.hypertable_schema
                        and g.materialization_hypertable_name = d.hypertable_name
                inner join pg_attribute as t on i.indrelid = t.attrelid and d.column_name = t.attname
                inner join pg_attribute as a on i.indrelid = a.attrelid and a.attnum = any(i.indkey)
                where
                    g.view_schema = f.schema
                    and g.view_name = f.name
                    and i.indnatts = 2
                    and i.indkey[1] = t.attnum
            )
        )
    from (
        select
            d.hypertable_schema::text as schema,
            d.hypertable_name::text as name,
            d.column_name::text as time_column,
            coalesce(format('interval %%L', d.time_interval), d.integer_interval::text) as chunk
        from timescaledb_information.dimensions as d
        where d.dimension_number = 1 and d.hypertable_schema = any(%(schemas)s)
        union all
        select a.view_schema::text, a.view_name::text, null, null
        from timescaledb_information.continuous_aggregates as a
        where a.view_schema = any(%(schemas)s)
    ) as f
    inner join pg_class as r on r.oid = format('%%I.%%I', f.schema, f.name)::regclass
    order by f.schema, f.name
"""


@dataclass(frozen=True)
class Hypertable:
    """A hypertable, or a continuous aggregate, which has no `time`.

    `columns` are pairs of name and type, `chunk` the SQL of a chunk's interval, `indexes` names; `key`
    is what a continuous aggregate groups by.
    """

    schema: str
    name: str
    columns: list[tuple[str, str]]
    time: str | None
    chunk: str | None
    indexes: list[str]
    key: list[str]

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def hypertables(conn: psycopg.Connection, schemas: Sequence[str]) -> list[Hypertable]:
    """Hypertables and continuous aggregates in these schemas, by name."""
    if extension_schema(conn) is None:
        return []
    found = conn.execute(_FOUND, {"schemas": list(schemas)}).fetchall()
    return [
        Hypertable(schema, name, list(zip(names, types, strict=True)), *rest)
        for schema, name, names, types, *rest in found
    ]


def extension_schema(conn: psycopg.Connection) -> str | None:
    """Where TimescaleDB's functions are in this database; None where it has not the extension."""
    found = conn.execute(
        "select n.nspname from pg_extension as e inner join pg_namespace as n "
        "on e.extnamespace = n.oid where e.extname = 'timescaledb'"
    ).fetchone()
    return found[0] if found else None


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
    """Of the landed tables that are meant to be hypertables (`time`) those that are there and plain; on
    plain PostgreSQL none."""
    if extension_schema(conn) is None:
        return []
    meant = {table.qualified: table for table in tables if table.time is not None}
    plain = conn.execute(
        "select m.name from unnest(%s::text[]) as m (name) where to_regclass(m.name) is not null "
        "and m.name not in (select hypertable_schema || '.' || hypertable_name "
        "from timescaledb_information.hypertables)",
        (list(meant),),
    ).fetchall()
    return [meant[name] for (name,) in plain]


def make_of_empty(conn: psycopg.Connection, tables: Iterable["LandedTable"]) -> None:
    """Make hypertables of the landed tables that are left plain and have no row yet. Those with rows stay
    what they are: see `warehouse upgrade-timescale`.

    In the caller's transaction."""
    for table in left_plain(conn, tables):
        where = sql.Identifier(table.dataset, table.name)
        # one that an import or an upgrade has locked has rows soon; else the next command makes it
        with unless_locked(conn):
            if not conn.execute(sql.SQL("select 1 from {} limit 1").format(where)).fetchone():
                conn.execute(make_hypertable(conn, where, str(table.time), FIRST_CHUNKS))


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
