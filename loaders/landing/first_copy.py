"""A file of rows of which the table has none of the codes yet: COPY straight into it.

The temp table and the upsert compare each row with what is there. Of a code of which nothing is there
that is wasted, and a first load is nothing else: so it takes half the time. A key that repeats in the
file, or a value that the table or the feed refuses, undoes the COPY, and the file lands as any other.
"""

import logging
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder

from loaders.landing import lineage, refused_rows
from loaders.landing.change_feed import MOST_RANGES
from loaders.landing.upsert import FileRows, copy_binary, plain_schema, stage_types

if TYPE_CHECKING:
    from loaders.landing.landed_file import Target

log = logging.getLogger(__name__)

FEWEST = 20_000  # rows of a file: below, what is saved is not worth asking
_EPOCH_2000 = 10_957  # 2000-01-01, from 1970-01-01


def encoder(
    conn: psycopg.Connection, file: pq.ParquetFile, target: "Target", types: dict[str, str], q: Any
) -> ArrowToPostgresBinaryEncoder | None:
    """What encodes the rows of a file that can go straight into its table; None where they cannot.

    They can where they are many, the key is by the code, a text, its day a date, no unit replaced as
    one, the columns have the table's types, and the table has nothing of the codes.
    """
    entity = target.entity
    if entity is None or target.key[:1] != (entity,) or target.unit:
        return None
    if file.metadata.num_rows < FEWEST:
        return None
    schema = lineage.schema(plain_schema(file.schema_arrow), types)
    if not pa.types.is_string(schema.field(entity).type):
        return None
    if target.day is not None and not pa.types.is_date32(schema.field(target.day).type):
        return None
    try:
        made = ArrowToPostgresBinaryEncoder(schema)
    except Exception:  # of a type that the encoder lacks
        return None
    if not _same_types(conn, [types[name] for name in schema.names], stage_types(schema, made)):
        return None
    return None if _has_rows(conn, target, pc.unique(file.read([entity])[0]), q) else made


def copy(
    conn: psycopg.Connection,
    rows: FileRows,
    target: "Target",
    encoder: ArrowToPostgresBinaryEncoder,
    q: Any,
) -> int | None:
    """COPY a file into its table and tell the change feed; how many rows. None where a row stands in the
    way."""
    told = rows.file.read([name for name in (target.entity, target.day) if name])
    try:
        with conn.transaction():
            copy_binary(conn, rows, f"{q(target.schema)}.{q(target.table)}", encoder, q)
            _tell(conn, target, told)
    except refused_rows.OF_A_ROW as error:  # of a value, of a key that repeats
        why: Exception = error
    except psycopg.OperationalError:
        raise  # the server went away
    except Exception as error:  # of a value that the encoder refuses
        why = error
    else:
        return int(told.num_rows)
    log.info("%s cannot take a file straight: %s", target.table, why)
    return None


def _same_types(conn: psycopg.Connection, ours: list[str], theirs: list[str]) -> bool:
    """Binary COPY casts nothing."""
    row = conn.execute(
        "select bool_and(to_regtype(a) = to_regtype(b)) from unnest(%s::text[], %s::text[]) as t (a, b)",
        (ours, theirs),
    ).fetchone()
    return row == (True,)


def _has_rows(conn: psycopg.Connection, target: "Target", keys: pa.Array, q: Any) -> bool:
    # in the order of the key: a planner without statistics would read the whole table
    order = ", ".join(f"t.{q(column)}" for column in target.key[1:]) or "1"
    row = conn.execute(
        f"select 1 from unnest(%s::text[]) as k (key) cross join lateral (select 1 "
        f"from {q(target.schema)}.{q(target.table)} as t where t.{q(target.entity)} = k.key "
        f"order by {order} limit 1) as found limit 1".encode(),
        (keys.to_pylist(),),
    ).fetchone()
    return row is not None


def _tell(conn: psycopg.Connection, target: "Target", told: pa.Table) -> None:
    """The feed's rows of these keys and days, as loaders.landing.change_feed.told makes them of rows."""
    by_key: dict[str, list[tuple[Any, Any]]] = {}
    if target.day is None:
        by_key = {key: [] for key in pc.unique(told[target.entity]).to_pylist()}
    else:
        days = told[target.day].cast(pa.int32())
        month = pc.divide(pc.subtract(days, _EPOCH_2000), 32)
        spans = (
            pa.table({"key": told[target.entity], "month": month, "day": told[target.day]})
            .group_by(["key", "month"])
            .aggregate([("day", "min"), ("day", "max")])
        )
        for key, first, last in zip(
            *(spans[name].to_pylist() for name in ("key", "day_min", "day_max")), strict=True
        ):
            by_key.setdefault(key, []).append((first, last))
    conn.execute(
        "insert into ops.changes (table_name, key, dates) "
        "select %s, key, dates::datemultirange from unnest(%s::text[], %s::text[]) as t (key, dates)",
        (
            target.feed.table,
            list(by_key),
            [_multirange(spans) if target.day else "{(,)}" for spans in by_key.values()],
        ),
    )


def _multirange(spans: list[tuple[Any, Any]]) -> str:
    if len(spans) > MOST_RANGES:
        spans = [(min(first for first, _ in spans), max(last for _, last in spans))]
    return "{" + ",".join(f"[{first},{last}]" for first, last in spans) + "}"
