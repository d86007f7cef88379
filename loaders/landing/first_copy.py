"""COPY of a file straight into its table, where the table has no row of its codes.

The temp table and the upsert compare each row with the stored ones. For a code without any that is
wasted, and a first load is nothing else: straight it takes half the time. A key that repeats in
the file, or a value that the table or the feed refuses, undoes the COPY, and the file lands as any
other.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing import lineage
from loaders.landing.change_feed import MOST_RANGES
from loaders.landing.editions.plain import PlainTable
from loaders.landing.first_key import build_key, lacks_key, lock_unkeyed
from loaders.landing.staging import (
    COPY_ROWS,
    FileRows,
    copy_binary,
    list_keys,
    plain_schema,
    stage_types,
)
from loaders.landing.table_rejects import ROW_ERRORS
from loaders.landing.target import Target, names, quote
from quotemill.warehouse.schemas import has_rows

log = logging.getLogger(__name__)

FEWEST = 20_000  # rows of a file: below, what is saved is not worth the query
_EPOCH_2000 = 10_957  # 2000-01-01, from 1970-01-01


def find_encoder(
    conn: psycopg.Connection, file: pq.ParquetFile, table: PlainTable
) -> ArrowToPostgresBinaryEncoder | None:
    """The encoder of a file that can go straight into its table; None where it cannot.

    It can where its rows are many, the key starts with the code, a text, the day is a date, no unit
    is replaced as one, the columns have the table's types, and the table has none of the codes.
    """
    target = table.target
    entity = target.entity
    if not table.takes_copies or entity is None or target.key[:1] != (entity,) or target.unit:
        return None
    if file.metadata.num_rows < FEWEST:
        return None
    schema = lineage.stored_schema(plain_schema(file.schema_arrow), target.types)
    if not pa.types.is_string(schema.field(entity).type):
        return None
    if target.day is not None and not pa.types.is_date32(schema.field(target.day).type):
        return None
    try:
        encoder = ArrowToPostgresBinaryEncoder(schema)
    except Exception:  # of a type that the encoder lacks
        return None
    types = [target.types[name] for name in schema.names]
    if not _are_same_types(conn, types, stage_types(schema, encoder)):
        return None
    return None if _has_rows(conn, table, list_keys(file, entity)) else encoder


def copy_straight(
    conn: psycopg.Connection, rows: FileRows, target: Target, encoder: ArrowToPostgresBinaryEncoder
) -> int | None:
    """COPY a file into its table and report it; the number of rows, None where the COPY failed."""
    try:
        with conn.transaction():
            is_unkeyed = lock_unkeyed(conn, target)
            read = copy_binary(conn, rows, target.name, encoder)
            _report_changes(conn, target, rows.file)
            if is_unkeyed:
                build_key(conn, target)
    except ROW_ERRORS as error:  # of a value, of a key that repeats
        reason: Exception = error
    except psycopg.OperationalError:
        raise  # the server went away
    except Exception as error:  # of a value that the encoder refuses
        reason = error
    else:
        return read
    log.info("%s cannot take a file straight: %s", target.table, reason)
    return None


def _are_same_types(conn: psycopg.Connection, stored: list[str], encoded: list[str]) -> bool:
    """Binary COPY casts nothing."""
    row = conn.execute(
        "select bool_and(to_regtype(a) = to_regtype(b)) "
        "from unnest(%s::text[], %s::text[]) as t (a, b)",
        (stored, encoded),
    ).fetchone()
    return row == (True,)


def _has_rows(conn: psycopg.Connection, table: PlainTable, keys: list[str]) -> bool:
    target = table.target
    if lacks_key(conn, target):  # else the rows of a killed load would be read for each code
        return has_rows(conn, target.schema, target.table)
    # in the order of the key: a planner without statistics would read the whole table
    order = names(target.key[1:], "t") or "1"
    row = conn.execute(
        f"""
        select 1
        from {table.codes_relation()}
        cross join lateral (
            select 1 from {target.name} as t
            where t.{quote(str(target.entity))} = c.code
            order by {order}
            limit 1
        ) as stored
        limit 1
        """.encode(),
        (keys,),
    ).fetchone()
    return row is not None


def _report_changes(conn: psycopg.Connection, target: Target, file: pq.ParquetFile) -> None:
    """Write the feed's rows of these keys and days, as change_feed.insert_changes_sql does."""
    by_key: dict[str, list[tuple[Any, Any]]] = {}
    if target.day is None:
        by_key = {key: [] for key in list_keys(file, str(target.entity))}
    else:
        for key, first, last in _list_spans(file, str(target.entity), target.day):
            by_key.setdefault(key, []).append((first, last))
    conn.execute(
        "insert into ops.changes (table_name, key, dates) select %s, key, dates::datemultirange "
        "from unnest(%s::text[], %s::text[]) as t (key, dates)",
        (
            target.qualified,
            list(by_key),
            [_multirange(spans) if target.day else "{(,)}" for spans in by_key.values()],
        ),
    )


def _list_spans(file: pq.ParquetFile, entity: str, day: str) -> Iterator[tuple[str, Any, Any]]:
    """Each key with the first and last date of each month of 32 days, or of all where many."""
    parts = []
    for rows in file.iter_batches(COPY_ROWS, columns=[entity, day]):
        codes = rows[entity].dictionary_encode()
        numbers, days = codes.indices.to_numpy(), rows[day].cast(pa.int32())
        month = pc.divide(pc.subtract(days, _EPOCH_2000), 32).to_numpy()
        # neighbours first, as rows come by code and day: to group each row takes ten times as long
        ends = np.flatnonzero((np.diff(numbers) != 0) | (np.diff(month) != 0)) + 1
        starts = np.concatenate(([0], ends))
        columns = {
            "key": codes.dictionary.take(pa.array(numbers[starts])),
            "month": month[starts],
            "first": np.minimum.reduceat(days.to_numpy(), starts),
            "last": np.maximum.reduceat(days.to_numpy(), starts),
        }
        parts.append(pa.table(columns))
    grouped = pa.concat_tables(parts).group_by(["key", "month"])
    months = grouped.aggregate([("first", "min"), ("last", "max")])
    whole = months.group_by("key").aggregate(
        [("first_min", "min"), ("last_max", "max"), ("month", "count")]
    )
    is_long = pc.greater(whole["month_count"], MOST_RANGES)
    keys = pc.is_in(months["key"], whole["key"].filter(pc.invert(is_long)))
    names = ["key", "first_min", "last_max"]
    long = whole.filter(is_long).select(["key", "first_min_min", "last_max_max"])
    spans = pa.concat_tables([months.filter(keys).select(names), long.rename_columns(names)])
    yield from zip(
        spans["key"].to_pylist(),
        # by numpy: Arrow makes a scalar of each date first
        spans["first_min"].to_numpy().astype("datetime64[D]").tolist(),
        spans["last_max"].to_numpy().astype("datetime64[D]").tolist(),
        strict=True,
    )


def _multirange(spans: list[tuple[Any, Any]]) -> str:
    return "{" + ",".join(f"[{first},{last}]" for first, last in spans) + "}"
