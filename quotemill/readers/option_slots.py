"""The captures of a session's option chains, by slot and symbol."""

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from quotemill.warehouse.schemas import has_relation

TABLE = "raw_ib.slot_run"


@dataclass(frozen=True)
class SlotRun:
    """A symbol's capture of a slot, with what was captured again later.

    slot: HH:MM in New York
    kind: intraday, close
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
    # the record of a recapture is of the last alone, and plans no more than that lacked: it counts
    # only if the slot has no other
    query = f"""
        select r.symbol, to_char(r.sample_time at time zone 'America/New_York', 'HH24:MI') as slot,
            r.ingest_run_type as kind, r.planned, q.captured, r.errors,
            case when q.captured >= r.planned then 'complete' else r.status end as status,
            r.finished_at
        from {TABLE} as r
        cross join lateral (
            -- of a slot all good rows count, unless they are deleted by now
            select greatest(r.captured, count(*)::int) as captured from raw_ib.chain_snapshot as c
            where r.ingest_run_type <> 'close' and c.trade_date = r.trade_date
                and c.sample_time = r.sample_time and c.symbol = r.symbol
                and not c.snapshot_error
        ) as q
        where r.trade_date = %s and (r.ingest_run_type <> 'recapture' or not exists (
            select 1 from {TABLE} as i
            where i.trade_date = r.trade_date and i.sample_time = r.sample_time
                and i.symbol = r.symbol and i.ingest_run_type = 'intraday'
        ))
        order by r.sample_time, r.symbol
    """
    with conn.cursor(row_factory=class_row(SlotRun)) as cursor:
        return cursor.execute(query.encode(), (day,)).fetchall()
