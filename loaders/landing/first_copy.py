"""COPY of a file straight into its table, if its rows follow all stored rows of their codes.

The temp table and the upsert compare each row with the stored ones. For new codes and new days that
is wasted, and a first load or a night of minutes is nothing else: straight they take half the time
or less. A key that repeats in the file, or a value that the table or the feed refuses, undoes the
COPY, and the file lands as any other.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing import first_rows, lineage
from loaders.landing.change_feed import MOST_RANGES
from loaders.landing.editions.plain import PlainTable
from loaders.landing.staging import (
    FileRows,
    copy_binary,
    plain_schema,
    read_batches,
    stage_types,
)
from loaders.landing.target import ROW_ERRORS, Target, names, quote
from loaders.warehouse.distribution import relate_codes
from quotemill.warehouse.schemas import has_rows

log = logging.getLogger(__name__)

FEWEST = 20_000  # rows of a file: below, what is saved is not worth the query
_EPOCH_2000 = 10_957  # 2000-01-01, from 1970-01-01


def find_encoder(
    conn: psycopg.Connection, file: pq.ParquetFile, table: PlainTable
) -> ArrowToPostgresBinaryEncoder | None:
    """The encoder of a file that can go straight into its table; None where it cannot.

    It can where its rows are many and can be copied, and follow the stored rows of their codes.
    """
    if file.metadata.num_rows < FEWEST:
        return None
    schema = lineage.stored_schema(plain_schema(file.schema_arrow), table.target.types)
    encoder = make_encoder(conn, schema, table)
    if encoder is None or not _follow(conn, table.target, file):
        return None
    return encoder


def make_encoder(
    conn: psycopg.Connection, schema: pa.Schema, table: PlainTable
) -> ArrowToPostgresBinaryEncoder | None:
    """The encoder of rows that can be copied into a table; None where they cannot.

    They can where the key starts with the code, a text, the day is a date, no unit is replaced as
    one, and the columns have the table's types.
    """
    target = table.target
    entity = target.entity
    if not table.takes_copies or entity is None or target.key[:1] != (entity,) or target.unit:
        return None
    if not pa.types.is_string(schema.field(entity).type):
        return None
    if target.day is not None and not pa.types.is_date32(schema.field(target.day).type):
        return None
    encoder = ArrowToPostgresBinaryEncoder(schema)
    types = [target.types[name] for name in schema.names]
    if not _are_same_types(conn, types, stage_types(schema, encoder)):
        return None
    return encoder


def copy_straight(
    conn: psycopg.Connection, rows: FileRows, target: Target, encoder: ArrowToPostgresBinaryEncoder
) -> int | None:
    """COPY a file into its table and report it; the number of rows, None where the COPY failed."""
    try:
        with conn.transaction():
            dropped = first_rows.clear(conn, target)
            changes = Changes(target)
            read = copy_binary(conn, changes.draw(rows.batches()), target.name, encoder)
            changes.report(conn)
            if dropped is not None:
                first_rows.build(conn, dropped)
            return read
    except ROW_ERRORS as error:  # of a value, of a key that repeats
        log.info("%s does not accept a file directly: %s", target.table, error)
        return None


def _are_same_types(conn: psycopg.Connection, stored: list[str], encoded: list[str]) -> bool:
    """Binary COPY casts nothing."""
    row = conn.execute(
        "select bool_and(to_regtype(a) = to_regtype(b)) "
        "from unnest(%s::text[], %s::text[]) as t (a, b)",
        (stored, encoded),
    ).fetchone()
    return row == (True,)


def _first_rows(file: pq.ParquetFile, key: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The codes of a file, each with the least value of each further column of the key."""
    code, *rest = key
    firsts: dict[str, tuple[Any, ...]] = {}
    for rows in read_batches(file, key):
        codes = pa.Table.from_batches([rows]).group_by(code)
        least = codes.aggregate([(column, "min") for column in rest])
        values = [least[f"{column}_min"].to_pylist() for column in rest]
        for name, *first in zip(least[code].to_pylist(), *values, strict=True):
            firsts[name] = tuple(map(min, first, firsts.get(name, first)))
    return firsts


def _follow(conn: psycopg.Connection, target: Target, file: pq.ParquetFile) -> bool:
    """Whether the table has no row of the file's codes from their first values of its key on."""
    if not has_rows(conn, target.schema, target.table):
        return True
    firsts = _first_rows(file, target.key)
    code, *rest = target.key
    # in the order of the key: a planner without statistics would read the whole table
    order = ", ".join(f"t.{quote(column)} desc" for column in rest) or "1"
    stored = conn.execute(
        f"""
        select c.code, newest.*
        from {relate_codes(conn, target.qualified, "%s")}
        cross join lateral (
            select {names(rest, "t") or "1"} from {target.name} as t
            where t.{quote(code)} = c.code
            order by {order}
            limit 1
        ) as newest
        """.encode(),
        (list(firsts),),
    )
    return all(bool(rest) and tuple(newest) < firsts[name] for name, *newest in stored)


class Changes:
    """The keys of rows with their dates, as the change feed reports them."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._parts: list[pa.Table] = []

    def draw(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Pass batches on, and note them: while COPY runs, which takes longer."""
        for rows in batches:
            self._parts.append(self._note(rows))
            yield rows

    def _note(self, rows: pa.RecordBatch) -> pa.Table:
        codes = rows[str(self.target.entity)].dictionary_encode()
        if self.target.day is None:
            return pa.table({"key": codes.dictionary})
        numbers, days = codes.indices.to_numpy(), rows[self.target.day].cast(pa.int32())
        month = pc.divide(pc.subtract(days, _EPOCH_2000), 32).to_numpy()
        # neighbours first, as rows come by code and day: to group each row takes ten times as long
        ends = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(month) != 0)) + 1
        starts = np.concatenate(([0], ends))
        return pa.table(
            {
                "key": codes.dictionary.take(pa.array(numbers[starts])),
                "month": month[starts],
                "first": np.minimum.reduceat(days.to_numpy(), starts),
                "last": np.maximum.reduceat(days.to_numpy(), starts),
            }
        )

    def report(self, conn: psycopg.Connection) -> None:
        """Write them to the feed, as change_feed.insert_changes_sql does."""
        by_key = self._list_dates()
        conn.execute(
            "insert into ops.changes (table_name, key, dates) select %s, key, "
            "dates::datemultirange from unnest(%s::text[], %s::text[]) as t (key, dates)",
            (self.target.qualified, list(by_key), list(by_key.values())),
        )

    def _list_dates(self) -> dict[str, str]:
        """Each key with its dates, those of each month of 32 days, or all where these are many."""
        parts = pa.concat_tables(self._parts)
        if self.target.day is None:
            return dict.fromkeys(pc.unique(parts["key"]).to_pylist(), "{(,)}")
        months = parts.group_by(["key", "month"]).aggregate([("first", "min"), ("last", "max")])
        whole = months.group_by("key").aggregate(
            [("first_min", "min"), ("last_max", "max"), ("month", "count")]
        )
        is_long = pc.greater(whole["month_count"], MOST_RANGES)
        keys = pc.is_in(months["key"], whole["key"].filter(pc.invert(is_long)))
        names = ["key", "first_min", "last_max"]
        long = whole.filter(is_long).select(["key", "first_min_min", "last_max_max"])
        spans = pa.concat_tables([months.filter(keys).select(names), long.rename_columns(names)])
        by_key: dict[str, list[tuple[Any, Any]]] = {}
        for key, first, last in zip(
            spans["key"].to_pylist(),
            # by numpy: Arrow makes a scalar of each date first
            spans["first_min"].to_numpy().astype("datetime64[D]").tolist(),
            spans["last_max"].to_numpy().astype("datetime64[D]").tolist(),
            strict=True,
        ):
            by_key.setdefault(key, []).append((first, last))
        return {key: _multirange(spans) for key, spans in by_key.items()}


def _multirange(spans: list[tuple[Any, Any]]) -> str:
    return "{" + ",".join(f"[{first},{last}]" for first, last in spans) + "}"
