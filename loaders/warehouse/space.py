"""How much room each table takes, how many rows it has about, and what compression saved."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

# sizes of chunks are not part of a hypertable's own size
_TABLES = """
    select
        n.nspname as schema,
        c.relname as relation,
        pg_total_relation_size(c.oid) as total_bytes,
        -- before the first analyze the statistics of writes stand in for the planner's estimate
        case when c.reltuples >= 0 then c.reltuples::bigint else pg_stat_get_live_tuples(c.oid) end
            as rows_estimate
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = any(%s) and c.relkind in ('r', 'm', 'p')
    order by total_bytes desc, schema, relation
"""
_HYPERTABLES = """
    select
        hypertable_schema as schema,
        hypertable_name as relation,
        format('%%I.%%I', hypertable_schema, hypertable_name)::regclass as oid
    from timescaledb_information.hypertables
    where hypertable_schema = any(%(schemas)s)
    union all
    -- a continuous aggregate is a view of one that lies outside its schema
    select
        view_schema,
        view_name,
        format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
    from timescaledb_information.continuous_aggregates
    where view_schema = any(%(schemas)s)
"""
_HYPERTABLE_SIZE = """
    select hypertable_size(%(oid)s) as total_bytes,
    approximate_row_count(%(oid)s) as rows_estimate
"""
_COMPRESSION = """
    select
        total_chunks,
        number_compressed_chunks as compressed_chunks,
        before_compression_total_bytes as before_bytes,
        after_compression_total_bytes as after_bytes
    from hypertable_compression_stats(%(oid)s)
"""


def space(conn: psycopg.Connection, schemas: Sequence[str]) -> list[dict[str, Any]]:
    """Tables of some schemas, the largest first: bytes with indexes, and an estimate of the rows.
    `compression` is there for hypertables and continuous aggregates of TimescaleDB."""
    with conn.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_TABLES, (list(schemas),)).fetchall()
        if not _has_timescale(conn):
            return tables
        by_name = {(table["schema"], table["relation"]): table for table in tables}
        for hyper in cursor.execute(_HYPERTABLES.encode(), {"schemas": list(schemas)}).fetchall():
            oid = hyper.pop("oid")
            table = by_name.setdefault((hyper["schema"], hyper["relation"]), hyper)
            table |= cursor.execute(_HYPERTABLE_SIZE, {"oid": oid}).fetchone() or {}
            table["compression"] = _compression(conn, oid)
    return sorted(by_name.values(), key=lambda table: -(table["total_bytes"] or 0))


def _compression(conn: psycopg.Connection, oid: Any) -> dict[str, Any] | None:
    """None where nothing is compressed, or where the edition has no compression."""
    try:
        with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_COMPRESSION, {"oid": oid}).fetchone()
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFunction):
        return None


def _has_timescale(conn: psycopg.Connection) -> bool:
    row = conn.execute(
        "select to_regclass('timescaledb_information.hypertables') is not null"
    ).fetchone()
    return row == (True,)
