"""The size of each table, an estimate of its rows, and what compression saved."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.warehouse.sql_files import read_sql
from quotemill.warehouse.schemas import has_relation

_HYPERTABLE_SIZE = """
    select hypertable_size(%(oid)s) as total_bytes,
    approximate_row_count(%(oid)s) as rows_estimate
"""


def space(conn: psycopg.Connection, schemas: Sequence[str]) -> list[dict[str, Any]]:
    """Tables of some schemas, the largest first: bytes with indexes, and an estimate of the rows.

    Hypertables and continuous aggregates of TimescaleDB have `compression` too.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_query("relation_sizes"), (list(schemas),)).fetchall()
        if not has_relation(conn, "timescaledb_information.hypertables"):
            return tables
        by_name = {(table["schema"], table["relation"]): table for table in tables}
        for hyper in cursor.execute(
            _query("hypertable_oids"), {"schemas": list(schemas)}
        ).fetchall():
            oid = hyper.pop("oid")
            table = by_name.setdefault((hyper["schema"], hyper["relation"]), hyper)
            table |= cursor.execute(_HYPERTABLE_SIZE, {"oid": oid}).fetchone() or {}
            table["compression"] = _compression(conn, oid)
    return sorted(by_name.values(), key=lambda table: -(table["total_bytes"] or 0))


def _compression(conn: psycopg.Connection, oid: Any) -> dict[str, Any] | None:
    """None where nothing is compressed, or where the edition has no compression."""
    try:
        with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_query("compression"), {"oid": oid}).fetchone()
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFunction):
        return None


def _query(name: str) -> bytes:
    return read_sql("loaders.warehouse.queries", name).encode()
