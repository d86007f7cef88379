"""Writes into hypertables with compressed chunks: only the rows that differ are opened.

A statement opens the compressed rows that its own conditions cannot rule out, whether it changes
them or not. So conditions are literals: of time, and of the codes at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import psycopg
from psycopg import sql

from loaders.landing.editions.plain import PlainTable
from loaders.landing.target import Target, names, quote
from loaders.landing.upsert import replaces_sql
from loaders.warehouse.hypertables import extension_schema

MOST_CODES = 1_000  # listed in a condition
_LIMIT = "timescaledb.max_tuples_decompressed_per_dml_transaction"


@dataclass(frozen=True)
class CompressedTable(PlainTable):
    """A table some of whose chunks are compressed; the column `time` cuts it into chunks."""

    time: str
    takes_copies: ClassVar[bool] = False

    def begin(self, conn: psycopg.Connection) -> None:
        """Let the transaction open any number of rows.

        The planner expects next to no row of a compressed chunk, and would compare each with each.
        """
        conn.execute("select set_config(%s, '0', true)", (_LIMIT,))
        conn.execute("set local enable_nestloop = off")

    def near(self, conn: psycopg.Connection) -> str:
        """The condition in literals of time, and of codes where they are few."""
        return f" and {self._bounds(conn)}"

    def _bounds(self, conn: psycopg.Connection) -> str:
        time = self.target.cast(self.time)
        [span] = conn.execute(f"select min({time}), max({time}) from _land".encode())
        first, last = (sql.Literal(end).as_string(conn) for end in span)
        condition = f"t.{quote(self.time)} between {first} and {last}"
        if self.target.entity is None:
            return condition
        entity = quote(self.target.entity)
        rows = conn.execute(
            f"select distinct {entity} from _land limit {MOST_CODES + 1}".encode()
        ).fetchall()
        if len(rows) > MOST_CODES:
            return condition
        codes = sql.Literal([code for (code,) in rows]).as_string(conn)
        return f"{condition} and t.{entity} = any({codes})"

    def keep_differing(self, conn: psycopg.Connection, columns: Sequence[str]) -> bool:
        """Remove from `_land` what the table has already, or has better; whether rows are left."""
        target = self.target
        near = f"{target.equal(target.key, 't', 'l', cast=True)}{self.near(conn)}"
        conn.execute(b"alter table _land rename to _read")
        left = conn.execute(
            f"""
            create temp table _land on commit drop as
            select l.*
            from _read as l
            left join {target.name} as t on {near}
            where t.{quote(target.key[0])} is null
                or {replaces_sql(target, columns, lambda c: target.cast(c, "l"))}
            """.encode()
        )
        return left.rowcount > 0

    def delete_rows(self, conn: psycopg.Connection, ctes: str, keys: str) -> int:
        """Delete rows unit by unit, with literals."""
        ordered = f"with {ctes} {keys} order by {names(self.target.key)}"
        stale = conn.execute(ordered.encode()).fetchall()
        size, deleted = len(self.target.unit), 0
        rest = names(self.target.key[size:], "t")
        for unit, rows in groupby(stale, lambda row: row[:size]):
            same_unit = sql.SQL(" and ").join(
                sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in zip(self.target.key[:size], unit, strict=True)
            )
            values = sql.SQL(", ").join(
                sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row[size:])))
                for row in rows
            )
            condition = f"{same_unit.as_string(conn)} and ({rest}) in ({values.as_string(conn)})"
            [(count,)] = conn.execute(
                self.target.with_changes(
                    f"delete from {self.target.name} as t where {condition} returning",
                    "select count(*) from written",
                )
            )
            deleted += int(count)
        return deleted


def find_compressed(conn: psycopg.Connection, target: Target) -> CompressedTable | None:
    """The table, where it is a hypertable with compressed chunks."""
    if extension_schema(conn) is None:
        return None
    row = conn.execute(
        "select d.column_name from timescaledb_information.dimensions as d "
        "where d.dimension_number = 1 and d.hypertable_schema = %s and d.hypertable_name = %s "
        "and exists (select 1 from timescaledb_information.chunks as c where c.is_compressed "
        "and c.hypertable_schema = d.hypertable_schema and c.hypertable_name = d.hypertable_name)",
        (target.schema, target.table),
    ).fetchone()
    return CompressedTable(target, row[0]) if row else None
