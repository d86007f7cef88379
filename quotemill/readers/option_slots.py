"""The captures of a session's option chains, by slot and symbol."""

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from quotemill.warehouse.schemas import has_relation

TABLE = "raw_ib.slot_run"


@dataclass(frozen=True)
class SlotRun:
    """One capture of a symbol.

    slot: HH:MM in New York
    kind: intraday; recapture: what it lacked, later; close
    planned, captured, errors: contracts
    status: complete, partial or failed
    finished_at: UTC
    """

    symbol: str
    slot: str
    kind: str
    planned: int
    captured: int
    errors: int
    status: str
    finished_at: datetime


def find_newest_session(conn: psycopg.Connection) -> date | None:
    """The newest session with a capture; None without one."""
    if not has_relation(conn, TABLE):
        return None
    row = conn.execute(f"select max(trade_date) from {TABLE}".encode()).fetchone()
    return row[0] if row else None


def read_slots(conn: psycopg.Connection, day: date) -> list[SlotRun]:
    """The captures of a session, in the order of time."""
    if not has_relation(conn, TABLE):
        return []
    query = f"""
        select symbol, to_char(sample_time at time zone 'America/New_York', 'HH24:MI') as slot,
            ingest_run_type as kind, planned, captured, errors, status, finished_at
        from {TABLE} where trade_date = %s order by sample_time, symbol, finished_at
    """
    with conn.cursor(row_factory=class_row(SlotRun)) as cursor:
        return cursor.execute(query.encode(), (day,)).fetchall()
