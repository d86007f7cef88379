"""Landed tables, declared: an Arrow schema, a key, and the DDL that follows from them.

The loaders create every landed table of every source from its declaration before the first load, so
a full dbt build works for a user of one source, and dlt never has to guess a type.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import pyarrow as pa
from psycopg import sql

from loaders.errors import SettingsError
from loaders.warehouse.postgres import unless_locked

# what every landed row says of itself; dlt adds the load id while it extracts
STANDARD_FIELDS = [
    pa.field("source_route", pa.string(), nullable=False),
    pa.field("fetched_at", pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field("is_final", pa.bool_(), nullable=False),
]
LOAD_ID = "_dlt_load_id"
SOURCE_ROUTE = "source_route"
# what a table of `numbered` lineage has in their place
ROUTE_NO, FILE_NO = "route_no", "file_no"
# of a bigint that says nothing else: a thousand times that is still one
MOST = 10**15


@dataclass(frozen=True)
class LandedTable:
    """One landed table: its place, the declared Arrow schema, the key, and further indexes.

    `whole` names the columns of a unit that is replaced as one: rows of a landed unit that the new
    answer lacks are deleted, in the transaction of its rows. `most` is the largest magnitude that a
    number may have, so that no cast or sum of a SQL model fails; by default what the type holds, or
    MOST of a bigint; of a text the bytes that an index of a model takes. `entity` and `day` name the columns by which the change feed tells what changed:
    code, contract …, and a date; None where there is none. `time` names the column of the key by which
    TimescaleDB cuts the table into chunks; None of a table that stays plain. `numbered` tables have
    so many rows that route and load are numbers in them (loaders/landing/lineage.py).
    """

    dataset: str  # the PostgreSQL schema, raw_tdx
    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    whole: tuple[str, ...] = ()
    most: Mapping[str, int] = field(default_factory=dict)
    entity: str | None = None
    day: str | None = None
    time: str | None = None
    numbered: bool = False

    @property
    def qualified(self) -> str:
        return f"{self.dataset}.{self.name}"

    @property
    def stored(self) -> pa.Schema:
        """Its columns as a new table has them, in their order."""
        if not self.numbered:
            return self.schema.append(pa.field(LOAD_ID, pa.string()))
        first, *rest = (f for f in self.schema if f.name not in (SOURCE_ROUTE, "is_final"))
        # seven bytes, which fill the gap behind a code of eight characters: they cost nothing
        numbers = [
            self.schema.field("is_final"),
            pa.field(ROUTE_NO, pa.int16(), nullable=False),
            pa.field(FILE_NO, pa.int32(), nullable=False),
        ]
        return pa.schema([first, *numbers, *rest])

    @property
    def index_names(self) -> tuple[str, ...]:
        """The names of its further indexes, in their order."""
        return tuple(f"{self.name}_{'_'.join(columns)}_idx" for columns in self.indexes)

    def is_indexed(self, column: str) -> bool:
        """Whether a column is part of an index: of the key or another one, of the models' own, which
        are by the entity, or, as a route that is a number, of that of ops.routes."""
        return column in {
            *self.key,
            *(name for index in self.indexes for name in index),
            self.entity,
            *((SOURCE_ROUTE,) if self.numbered else ()),
        }

    def most_of(self, column: str) -> int | None:
        """The largest magnitude of a column's values; None where its type says it."""
        plain = MOST if self.schema.field(column).type == pa.int64() else None
        return self.most.get(column, plain)


@dataclass(frozen=True)
class Batch:
    """What lands together: rows of a table, rows that were refused, the cursors that move with them, and
    rows of a table beside it; each part may be missing."""

    rows: pa.Table | None = None
    rejected: pa.Table | None = None
    cursors: Mapping[str, str] = field(default_factory=dict)
    beside: pa.Table | None = None

    @property
    def is_empty(self) -> bool:
        """Is there nothing to land and no cursor to move?"""
        return not self.cursors and all(
            part is None or not part.num_rows for part in (self.rows, self.rejected, self.beside)
        )


def landed_table(
    dataset: str,
    name: str,
    fields: Sequence[tuple[str, pa.DataType]],
    key: tuple[str, ...],
    *,
    nullable: Iterable[str] = (),
    indexes: tuple[tuple[str, ...], ...] = (),
    whole: tuple[str, ...] = (),
    most: Mapping[str, int] | None = None,
    entity: str | None = "code",
    day: str | None = "trade_date",
    time: str | None = None,
    numbered: bool = False,
) -> LandedTable:
    """Declare a table from its own fields; the standard fields are appended.

    `most` may name more columns than the table has, so that tables share one list; an `entity` or
    `day` that is no column of it counts as none.
    """
    names = {name for name, _ in fields}
    entity, day = (name if name in names else None for name in (entity, day))
    own = [pa.field(n, t, nullable=n in set(nullable)) for n, t in fields]
    limits = {n: (most or {})[n] for n, _ in fields if n in (most or {})}
    schema = pa.schema(own + STANDARD_FIELDS)
    return LandedTable(
        dataset, name, schema, key, indexes, whole, limits, entity, day, time, numbered
    )


def create_tables(conn: psycopg.Connection, tables: Iterable[LandedTable]) -> None:
    """Create the tables that are absent, and add columns declared since."""
    for table in tables:
        _create(conn, table)


def _create(conn: psycopg.Connection, table: LandedTable) -> None:
    name = sql.Identifier(table.dataset, table.name)
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(f.name),
            sql.SQL(_postgres_type(f.type)),
            sql.SQL("" if f.nullable else " not null"),
        )
        for f in table.stored
    ]
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    conn.execute(
        sql.SQL("create table if not exists {} ({}, primary key ({}))").format(
            name, sql.SQL(", ").join(columns), key
        )
    )
    present: dict[str, str] = dict(
        conn.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0",
            (table.qualified,),
        ).fetchall()
    )
    _widen(conn, table, present)
    added = [
        sql.SQL("add column {} {}").format(
            sql.Identifier(column.name), sql.SQL(_postgres_type(column.type))
        )
        for column in table.stored
        if column.name not in present
    ]
    if not added:
        return
    if not table.numbered:
        _alter(conn, name, added)
        return
    # a load may be filling the table; until the next command gets there it writes the texts
    with unless_locked(conn):
        if SOURCE_ROUTE in present:
            added.append(
                sql.SQL("alter column {} drop not null").format(sql.Identifier(SOURCE_ROUTE))
            )
        _alter(conn, name, added)


def _alter(conn: psycopg.Connection, name: sql.Identifier, actions: Iterable[sql.Composed]) -> None:
    for action in actions:  # one at a time: a hypertable takes no two
        conn.execute(sql.SQL("alter table {} {}").format(name, action))


def _widen(conn: psycopg.Connection, table: LandedTable, present: Mapping[str, str]) -> None:
    """Give numeric columns the digits declared since.

    Views on the table stand in the way: those that dbt made go, and its next build makes them again.
    Raises SettingsError where somebody else's view would have to go.
    """
    wider = [
        sql.SQL("alter column {} type {}").format(
            sql.Identifier(column.name), sql.SQL(_postgres_type(column.type))
        )
        for column in table.schema
        if pa.types.is_decimal(column.type)
        and present.get(column.name, "").startswith("numeric(")
        and present[column.name] != _postgres_type(column.type)
    ]
    if not wider:
        return
    views = conn.execute(
        """
        with recursive readers as (
            select %s::regclass::oid as oid
            union
            select w.ev_class
            from readers as r
            inner join pg_depend as d
                on r.oid = d.refobjid and d.refclassid = 'pg_class'::regclass
            inner join pg_rewrite as w
                on d.objid = w.oid and d.classid = 'pg_rewrite'::regclass
        )
        select n.nspname, c.relname, exists (
            select 1 from ops.managed_relation as m
            where m.schema_name = n.nspname and m.relation_name = c.relname
        )
        from readers as r
        inner join pg_class as c on r.oid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where c.relkind in ('v', 'm')
        """,
        (table.qualified,),
    ).fetchall()
    foreign = [f"{schema}.{name}" for schema, name, is_ours in views if not is_ours]
    if foreign:
        raise SettingsError(
            f"{table.qualified} gets more digits, and {', '.join(foreign)} reads it",
            hint="drop that view, run again, then make it again",
        )
    if views:
        names = sql.SQL(", ").join(sql.Identifier(schema, name) for schema, name, _ in views)
        conn.execute(sql.SQL("drop view {}").format(names))
    name = sql.Identifier(table.dataset, table.name)
    conn.execute(sql.SQL("alter table {} {}").format(name, sql.SQL(", ").join(wider)))


def _postgres_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz"
    names = {
        pa.string(): "text",
        pa.bool_(): "boolean",
        pa.int16(): "smallint",
        pa.int32(): "integer",
        pa.int64(): "bigint",
        pa.float64(): "double precision",
        pa.date32(): "date",
    }
    return names[kind]
