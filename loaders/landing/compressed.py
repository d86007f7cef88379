"""Writes into hypertables with compressed chunks: what differs is found first, and only that is opened.

A statement opens the compressed rows that its own conditions cannot rule out, whether it changes them
or not. So conditions are literals: of time, and of the codes at hand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg
from psycopg import sql

from loaders.landing.upsert import Feed, differs
from loaders.warehouse.hypertables import extension_schema

MOST_CODES = 1_000  # named in a condition
_LIMIT = "timescaledb.max_tuples_decompressed_per_dml_transaction"


@dataclass(frozen=True)
class Compressed:
    """A table, quoted as `target`, some of whose chunks are compressed; `time` is the column that they
    are cut by."""

    target: str
    time: str
    types: dict[str, str]
    key: Sequence[str]
    feed: Feed
    q: Callable[[str], str]

    def open_any(self, conn: psycopg.Connection) -> None:
        """Let the transaction open as many rows as it needs, in the search for refused ones too."""
        conn.execute("select set_config(%s, '0', true)", (_LIMIT,))

    def bounds(self, conn: psycopg.Connection) -> str:
        """A condition on rows t of the table that every row of `_land` meets, by literals."""
        time = f"{self.q(self.time)}::{self.types[self.time]}"
        [span] = conn.execute(f"select min({time}), max({time}) from _land".encode())
        first, last = (sql.Literal(end).as_string(conn) for end in span)
        condition = f"t.{self.q(self.time)} between {first} and {last}"
        if self.feed.entity is None:
            return condition
        entity = self.q(self.feed.entity)
        found = conn.execute(
            f"select distinct {entity} from _land limit {MOST_CODES + 1}".encode()
        ).fetchall()
        if len(found) > MOST_CODES:
            return condition
        codes = sql.Literal([code for (code,) in found]).as_string(conn)
        return f"{condition} and t.{entity} = any({codes})"

    def keep_differing(self, conn: psycopg.Connection, columns: Sequence[str]) -> int:
        """Take from `_land` what the table has already, or has better; how many rows are left."""
        q = self.q
        same = " and ".join(f"t.{q(c)} = l.{q(c)}::{self.types[c]}" for c in self.key)
        condition = differs(q, columns, self.key, lambda c: f"l.{q(c)}::{self.types[c]}")
        near = self.bounds(conn)
        conn.execute(b"alter table _land rename to _read")
        return conn.execute(
            f"create temp table _land on commit drop as select l.* from _read as l "
            f"left join {self.target} as t on {same} and {near} "
            f"where t.{q(self.key[0])} is null or {condition}".encode()
        ).rowcount

    def delete(self, conn: psycopg.Connection, rows: Sequence[tuple[Any, ...]], unit: int) -> int:
        """Delete rows by their keys, sorted, of which the first `unit` columns name a unit; tell the
        feed. Each unit by literals of its own."""
        q, deleted = self.q, 0
        names, rest = self.key[:unit], self.key[unit:]
        for values, keys in groupby(rows, lambda row: row[:unit]):
            of_unit = sql.SQL(" and ").join(
                sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in zip(names, values, strict=True)
            )
            of_rows = sql.SQL("({}) in ({})").format(
                sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in rest),
                sql.SQL(", ").join(
                    sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, key[unit:])))
                    for key in keys
                ),
            )
            condition = sql.SQL("{} and {}").format(of_unit, of_rows).as_string(conn)
            [(gone,)] = conn.execute(
                f"with gone as (delete from {self.target} as t where {condition} "
                f"returning {self.feed.columns(q)}), told as ({self.feed.told('gone')}) "
                "select count(*) from gone".encode()
            )
            deleted += int(gone)
        return deleted


def find(
    conn: psycopg.Connection,
    schema: str,
    table: str,
    types: dict[str, str],
    key: Sequence[str],
    feed: Feed,
    q: Callable[[str], str],
) -> Compressed | None:
    """The table, where it is a hypertable with compressed chunks."""
    if extension_schema(conn) is None:
        return None
    found = conn.execute(
        "select d.column_name from timescaledb_information.dimensions as d "
        "where d.dimension_number = 1 and d.hypertable_schema = %s and d.hypertable_name = %s "
        "and exists (select 1 from timescaledb_information.chunks as c where c.is_compressed "
        "and c.hypertable_schema = d.hypertable_schema and c.hypertable_name = d.hypertable_name)",
        (schema, table),
    ).fetchone()
    if found is None:
        return None
    return Compressed(f"{q(schema)}.{q(table)}", found[0], types, key, feed, q)
