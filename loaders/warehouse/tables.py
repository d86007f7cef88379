"""Landed tables, declared: an Arrow schema, a key, and the DDL that follows from them.

The loaders create every landed table of every source from its declaration before the first load, so
a full dbt build works for a user of one source, and dlt never has to guess a type.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from loaders.warehouse.turns import unless_locked
from quotemill.errors import SettingsError

# the lineage of every landed row; dlt adds the load id while it extracts
STANDARD_FIELDS = [
    pa.field("source_route", pa.string(), nullable=False),
    pa.field("fetched_at", pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field("is_final", pa.bool_(), nullable=False),
]
LOAD_ID = "_dlt_load_id"
REJECTED = "rejected_row"  # a table of each source
SOURCE_ROUTE = "source_route"
# what a table of `numbered` lineage has instead
ROUTE_NO, FILE_NO = "route_no", "file_no"
# of a bigint by default: a thousand times that is still a bigint
MOST = 10**15


@dataclass(frozen=True)
class LandedTable:
    """One landed table: its place, the declared Arrow schema, the key, and further indexes.

    conditions: by the columns of an index, the condition of the rows it covers; by default all
    whole: columns of a unit that is replaced as one: rows of a landed unit that the new answer
        lacks are deleted, in the transaction of its rows
    most: the largest magnitude of a number, so that no cast or sum of a SQL model fails; by default
        what the type holds, or MOST of a bigint; of a text the bytes that an index of a model takes
    entity, day: columns by which the change feed reports changes: code, contract …, and a date
    time: the key's column by which TimescaleDB cuts the table into chunks; None: it stays plain
    chunk: their span until a build applies what the models' YAML says
    time_setting: the key in ops.settings without whose `true` the table stays plain
    numbered: whether route and load are numbers, as the rows are many (loaders/landing/lineage.py)
    """

    dataset: str  # the PostgreSQL schema, raw_tdx
    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    conditions: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    whole: tuple[str, ...] = ()
    most: Mapping[str, int] = field(default_factory=dict)
    entity: str | None = None
    day: str | None = None
    time: str | None = None
    numbered: bool = False
    chunk: str = "1 month"
    time_setting: str | None = None

    @property
    def qualified(self) -> str:
        return f"{self.dataset}.{self.name}"

    @property
    def takes_copies(self) -> bool:
        """Whether files can go straight into it, after its rows (landing/first_copy.py)."""
        return self.key[:1] == (self.entity,) and not self.whole

    @property
    def stored(self) -> pa.Schema:
        """The columns of a new table, in their order."""
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
    def key_name(self) -> str:
        """The name of its primary key."""
        return key_name(self.name)

    @property
    def index_names(self) -> tuple[str, ...]:
        """The names of its secondary indexes, in their order."""
        return tuple(f"{self.name}_{'_'.join(columns)}_idx" for columns in self.indexes)

    @property
    def partial_names(self) -> tuple[str, ...]:
        """The names of its indexes that cover only some of the rows."""
        names = zip(self.index_names, self.indexes, strict=True)
        return tuple(name for name, columns in names if columns in self.conditions)

    def is_indexed(self, column: str) -> bool:
        """Whether a column is part of an index.

        Of the key or another one, of the models' own, which are by the entity, or, as a route that
        is a number, of that of ops.routes.
        """
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
    """Rows that land together; each part may be missing.

    rows: of the table itself
    rejected: rows of the source's table of rejected rows
    cursors: those that move with the rows, by key
    beside: rows of a table beside it
    """

    rows: pa.Table | None = None
    rejected: pa.Table | None = None
    cursors: Mapping[str, str] = field(default_factory=dict)
    beside: pa.Table | None = None

    def changes(self, stored: Mapping[str, str]) -> bool:
        """Whether there is a row to land, or a cursor that is not yet among those `stored`."""
        parts = (self.rows, self.rejected, self.beside)
        return any(part is not None and part.num_rows for part in parts) or any(
            stored.get(key) != cursor for key, cursor in self.cursors.items()
        )


def landed_table(
    dataset: str,
    name: str,
    fields: Sequence[tuple[str, pa.DataType]],
    key: tuple[str, ...],
    *,
    nullable: Iterable[str] = (),
    most: Mapping[str, int] | None = None,
    entity: str | None = "code",
    day: str | None = "trade_date",
    **others: Any,
) -> LandedTable:
    """Declare a table from its own fields; the standard fields are appended.

    others: further fields of LandedTable

    `most` may name more columns than the table has, so that tables share one list; an `entity` or
    `day` that is no column of it counts as none.
    """
    names = {name for name, _ in fields}
    entity, day = (name if name in names else None for name in (entity, day))
    own = [pa.field(n, t, nullable=n in set(nullable)) for n, t in fields]
    limits = {n: (most or {})[n] for n, _ in fields if n in (most or {})}
    schema = pa.schema(own + STANDARD_FIELDS)
    return LandedTable(dataset, name, schema, key, most=limits, entity=entity, day=day, **others)


def create_tables(conn: psycopg.Connection, tables: Iterable[LandedTable]) -> None:
    """Create the tables that are absent, and add columns declared since."""
    tables = list(tables)
    known: dict[str, list[str]] = dict(
        conn.execute(
            "select c.relnamespace::regnamespace::text || '.' || c.relname, array_agg(a.attname) "
            "from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid "
            "where c.relnamespace::regnamespace::text = any(%s) and a.attnum > 0 group by c.oid",
            (sorted({table.dataset for table in tables}),),
        ).fetchall()
    )
    for table in tables:
        if table.qualified in known:
            _add_columns(conn, table, known[table.qualified])
        else:
            _create(conn, table)


def key_name(table: str) -> str:
    """The name that PostgreSQL gives to the primary key of a table."""
    return f"{table}_pkey"


def _create(conn: psycopg.Connection, table: LandedTable) -> None:
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
        sql.SQL("create table {} ({}, primary key ({}))").format(
            sql.Identifier(table.dataset, table.name), sql.SQL(", ").join(columns), key
        )
    )


def _add_columns(conn: psycopg.Connection, table: LandedTable, present: Container[str]) -> None:
    name = sql.Identifier(table.dataset, table.name)
    for column in table.stored:
        if column.name not in present:  # one at a time: a hypertable takes no two
            conn.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    name, sql.Identifier(column.name), sql.SQL(_postgres_type(column.type))
                )
            )


def complete_tables(conn: psycopg.Connection, tables: Iterable[LandedTable]) -> None:
    """Build the keys and the declared indexes that tables lack; in a table in use, the next time.

    Raises SettingsError with a key that several rows have, typed in since somebody dropped it.
    """
    tables = list(tables)
    rows = conn.execute(
        # a key of another name is one; of a part of the rows, or cut short, none is
        "select t.relnamespace::regnamespace::text, case when x.indisunique then t.relname || "
        "'_pkey' else i.relname end, x.indpred is not null from pg_index as x "
        "inner join pg_class as t on x.indrelid = t.oid "
        "inner join pg_class as i on x.indexrelid = i.oid "
        "where x.indisvalid and t.relnamespace::regnamespace::text = any(%s)",
        (sorted({table.dataset for table in tables}),),
    )
    present = set(rows.fetchall())
    for table in tables:
        for name, statement in _index_statements(table).items():
            if (table.dataset, name, name in table.partial_names) in present:
                continue
            try:
                with unless_locked(conn):
                    conn.execute(statement)
            except psycopg.errors.UniqueViolation as error:
                key = (error.diag.message_detail or "").removesuffix(" is duplicated.")
                raise SettingsError(
                    f"several rows of {table.qualified} have the same key, but the table "
                    f"has no constraint on it: {key}",
                    hint="Delete all but one of them, then run again.",
                ) from None


def _index_statements(table: LandedTable) -> dict[str, sql.Composed]:
    """The statements that build the key and each further index of a table, by its name."""
    add = sql.SQL("alter table {table} add constraint {name} primary key ({columns})")
    create = sql.SQL(
        "drop index if exists {schema}.{name}; "
        "create index {name} on {table} ({columns}){condition}"
    )
    statements = {
        table.key_name: (add, table.key),
        **{
            name: (create, columns)
            for name, columns in zip(table.index_names, table.indexes, strict=True)
        },
    }
    conditions = {columns: f" where {text}" for columns, text in table.conditions.items()}
    return {
        name: statement.format(
            schema=sql.Identifier(table.dataset),
            name=sql.Identifier(name),
            table=sql.Identifier(table.dataset, table.name),
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            condition=sql.SQL(conditions.get(columns, "")),
        )
        for name, (statement, columns) in statements.items()
    }


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
