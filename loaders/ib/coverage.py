"""Coverage of option chains: contracts by slots of the newest sessions, symbols by sessions."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time

import psycopg

from loaders.engine.coverage import LINE, Coverage, Period, cells_by_item
from loaders.ib.slots import EVERY, NEW_YORK
from loaders.settings import Settings
from quotemill.warehouse.schemas import has_relation

SESSIONS = 3  # whose slots are shown one by one
_SYMBOL_DAYS = """
    select symbol as item, width_bucket(trade_date, %(starts)s::date[]) - 1 as col,
        sum(slot_count) as wanted, sum(covered_slot_count) as there
    from {qa}.qa_option_day where trade_date between %(since)s and %(until)s
    group by 1, 2
"""
_CONTRACT_SLOTS = f"""
    with slots as (
        select s.ordinality - 1 as col, s.*
        from unnest(%(moments)s::timestamptz[], %(dates)s::date[], %(numbers)s::int[])
            with ordinality as s (sample_time, trade_date, slot)
    ),
    wanted as (
        select p.conid, s.sample_time, s.col
        from raw_ib.session_contract as p inner join slots as s using (trade_date)
        where p.policy <> 'midday_refresh' or s.slot >= coalesce(p.first_seen_slot, 0)
    ),
    contracts as (
        select conid, local_symbol as item, row_number() over (order by {{order}}) as no,
            {LINE.format(order="{order}")} as line
        from raw_ib.contract where conid in (select conid from wanted)
    ),
    quoted as (
        select sample_time, conid from raw_ib.chain_snapshot
        where trade_date = any(%(dates)s) and not snapshot_error
            and coalesce(bid, ask, case when volume > 0 then last end) is not null
            and capture_lag_s <= %(window_s)s
    ),
    cells as (
        select c.item, c.no, c.line, w.col, count(*) as wanted, count(q.conid) as there
        from wanted as w
        inner join contracts as c on w.conid = c.conid
        left join quoted as q on w.sample_time = q.sample_time and w.conid = q.conid
        group by 1, 2, 3, 4
    )
""".replace("{order}", "symbol, expiry, strike, option_right, local_symbol")
_SESSIONS = """
    select trade_date, open_at, slot_count, slot_before_close_at from {options}.sessions
    where open_at <= %(as_of)s and trade_date in (
        select distinct trade_date from raw_ib.session_contract
        where trade_date > %(as_of)s::date - 15
    )
    order by trade_date desc limit %(sessions)s
"""
_DAYS = """
    select distinct trade_date from {qa}.qa_option_day
    where trade_date between %(since)s and %(until)s order by 1
"""


def read_coverage(conn: psycopg.Connection, period: Period) -> Iterator[Coverage]:
    """Contracts by slots of the newest sessions, and symbols by sessions."""
    schemas = period.schemas
    loaded = "chain_snapshot" in period.due
    if not loaded or not has_relation(conn, f"{schemas['qa']}.qa_option_day"):
        return
    if slots := _read_slots(conn, schemas, period.settings, period.as_of):
        moments, days, numbers = (list(column) for column in zip(*slots, strict=True))
        yield Coverage(
            key="contracts",
            title="Option chains: contracts by slots",
            unit="quotes",
            note="A contract counts if a bid, ask or last trade arrived in time.",
            fix="loaders run ib --retry-missed",
            cells=_CONTRACT_SLOTS.format(**schemas),
            moments=moments,
            are_slots=True,
            values={
                "dates": days,
                "numbers": numbers,
                "window_s": 60 * period.settings.ib.slot_window_minutes,
            },
        )
    until = period.due["chain_snapshot"] or period.as_of.date()
    if sessions := period.read_days(conn, _DAYS, until):
        yield Coverage(
            key="symbols",
            title="Option chains: symbols by sessions",
            unit="slots",
            note="A slot is covered if nine tenths of the contracts have a good row in time.",
            fix="quotemill findings",
            cells=cells_by_item(_SYMBOL_DAYS.format(**schemas)),
            moments=sessions,
        )


def _read_slots(
    conn: psycopg.Connection, schemas: Mapping[str, str], settings: Settings, as_of: datetime
) -> list[tuple[datetime, date, int]]:
    """Captured slots of the newest sessions that have started: time, session, number."""
    rows = conn.execute(
        _SESSIONS.format(**schemas).encode(), {"as_of": as_of, "sessions": SESSIONS}
    ).fetchall()
    slots = []
    for day, opened, count, further in reversed(rows):
        slots += [(opened + number * EVERY, day, number) for number in range(count)]
        slots += [(further, day, count)] if further else []
    slots.sort()
    first, last = settings.ib.slots or (time.min, time.max)
    return [
        slot
        for slot in slots
        if slot[0] <= as_of and first <= slot[0].astimezone(NEW_YORK).time() <= last
    ]
