"""Progress and failures of earlier loads, as schema ops records them."""

from datetime import date, datetime

import psycopg

from loaders.ib.queries.landed import run_sql

RECENT_JOBS = 20


def read_cursors(conn: psycopg.Connection, dataset: str) -> dict[str, str]:
    """The cursor of each symbol in a dataset."""
    query = "select key, cursor from ops.ingestion_state where source = 'ib' and dataset = %s"
    return dict(conn.execute(query, (dataset,)).fetchall())


def read_failed_discoveries(conn: psycopg.Connection, day: date, lane: str) -> dict[str, datetime]:
    """When scheduled discovery last failed on each symbol of a day."""
    return dict(run_sql(conn, "failed_discoveries", lane=lane, day=f"{day}"))


def read_undiscovered_symbols(conn: psycopg.Connection, lane: str) -> set[str]:
    """Symbols that discovery last failed on by themselves, not because the gateway was lost."""
    rows = run_sql(conn, "undiscovered_symbols", lane=lane, jobs=RECENT_JOBS)
    return {symbol for (symbol,) in rows}
