"""COPY of a file straight into its table, where the table has no row of its codes.

The temp table and the upsert compare each row with the stored ones. For a code without any that is
wasted, and a first load is nothing else: straight it takes half the time. A key that repeats in
the file, or a value that the table or the feed refuses, undoes the COPY, and the file lands as any
other.
"""

import logging
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing import lineage
from loaders.landing.change_feed import MOST_RANGES
from loaders.landing.staging import FileRows, copy_binary, plain_schema, stage_types
from loaders.landing.table_rejects import ROW_ERRORS
from loaders.landing.target import Target, names, quote
from loaders.warehouse.distribution import codes_relation

log = logging.getLogger(__name__)

FEWEST = 20_000  # rows of a file: below, what is saved is not worth the query
_EPOCH_2000 = 10_957  # 2000-01-01, from 1970-01-01


def find_encoder(
    conn: psycopg.Connection, file: pq.ParquetFile, target: Target
) -> ArrowToPostgresBinaryEncoder | None:
    """The encoder of a file that can go straight into its table; None where it cannot.

    It can where its rows are many, the key starts with the code, a text, the day is a date, no unit
    is replaced as one, the columns have the table's types, and the table has none of the codes.
    """
    entity = target.entity
    if entity is None or target.key[:1] != (entity,) or target.unit:
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
    return None if _has_rows(conn, target, pc.unique(file.read([entity])[0])) else encoder


def copy_straight(
    conn: psycopg.Connection, rows: FileRows, target: Target, encoder: ArrowToPostgresBinaryEncoder
) -> int | None:
    """COPY a file into its table and report it; the number of rows, None where the COPY failed."""
    changes = rows.file.read([name for name in (target.entity, target.day) if name])
    try:
        with conn.transaction():
            copy_binary(conn, rows, target.name, encoder)
            _report_changes(conn, target, changes)
    except ROW_ERRORS as error:  # of a value, of a key that repeats
        reason: Exception = error
    except psycopg.OperationalError:
        raise  # the server went away
    except Exception as error:  # of a value that the encoder refuses
        reason = error
    else:
        return int(changes.num_rows)
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


def _has_rows(conn: psycopg.Connection, target: Target, keys: pa.Array) -> bool:
    # in the order of the key: a planner without statistics would read the whole table
    order = names(target.key[1:], "t") or "1"
    row = conn.execute(
        f"""
        select 1
        from {codes_relation(is_distributed=target.is_distributed, values="%s")}
        cross join lateral (
            select 1 from {target.name} as t
            where t.{quote(str(target.entity))} = c.code
            order by {order}
            limit 1
        ) as stored
        limit 1
        """.encode(),
        (keys.to_pylist(),),
    ).fetchone()
    return row is not None


def _report_changes(conn: psycopg.Connection, target: Target, rows: pa.Table) -> None:
    """Write the feed's rows of these keys and days, as change_feed.insert_changes_sql does."""
    by_key: dict[str, list[tuple[Any, Any]]] = {}
    if target.day is None:
        by_key = {key: [] for key in pc.unique(rows[target.entity]).to_pylist()}
    else:
        days = rows[target.day].cast(pa.int32())
        month = pc.divide(pc.subtract(days, _EPOCH_2000), 32)
        spans = (
            pa.table({"key": rows[target.entity], "month": month, "day": rows[target.day]})
            .group_by(["key", "month"])
            .aggregate([("day", "min"), ("day", "max")])
        )
        for span in spans.to_pylist():
            by_key.setdefault(span["key"], []).append((span["day_min"], span["day_max"]))
    conn.execute(
        "insert into ops.changes (table_name, key, dates) select %s, key, dates::datemultirange "
        "from unnest(%s::text[], %s::text[]) as t (key, dates)",
        (
            target.qualified,
            list(by_key),
            [_multirange(spans) if target.day else "{(,)}" for spans in by_key.values()],
        ),
    )


def _multirange(spans: list[tuple[Any, Any]]) -> str:
    if len(spans) > MOST_RANGES:
        spans = [(min(first for first, _ in spans), max(last for _, last in spans))]
    return "{" + ",".join(f"[{first},{last}]" for first, last in spans) + "}"
