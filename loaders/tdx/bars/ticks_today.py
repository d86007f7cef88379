"""Provisional ticks of the running session; a later day's load makes them final."""

from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta

import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.bars import tick_days
from loaders.tdx.bars.tick_days import BrokenRule, DayBar, TickDay, TickDays
from loaders.tdx.client.answers_trades import Ticks
from loaders.tdx.context import Context
from loaders.trading_time import SHANGHAI

FIRST_TICK = time(9, 25)  # the opening auction
CLOCKS_DIFFER = timedelta(minutes=2)


def last_bars(
    conn: psycopg.Connection, codes: Sequence[str], today: date
) -> tuple[dict[str, DayBar], dict[str, int]]:
    """Newest final day bar before today and hands of today's stored ticks, by code."""
    rows = conn.execute(
        """
        select c.code, k.low, k.high, k.volume, s.hands
        from unnest(%(codes)s::text[]) as c (code)
        left join lateral (
            select b.low, b.high, b.volume from raw_tdx.kline_daily as b
            where b.code = c.code and b.trade_date < %(today)s and b.is_final
            order by b.trade_date desc limit 1
        ) as k on true
        left join lateral (
            select sum(t.volume)::bigint as hands from raw_tdx.tick_trade as t
            where t.code = c.code and t.trade_date = %(today)s
        ) as s on true
        """,
        {"codes": list(codes), "today": today},
    ).fetchall()
    bars = {code: DayBar(*bar) for code, *bar, _ in rows if bar[0] is not None}
    return bars, {code: hands for code, *_, hands in rows if hands is not None}


def fetch_today(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`; nothing is due outside a session."""
    today, now = run.window.today, run.began.astimezone(SHANGHAI)
    trading = today in set(run.window.days) and now.time() >= FIRST_TICK
    bars, hands = run.ask(lambda conn: last_bars(conn, codes, today)) if trading else ({}, {})

    async def one(code: str) -> Outcome:
        if not trading:
            return Outcome(code, skipped=NOT_DUE)
        return await _load(run, code, bars.get(code), hands.get(code, 0))

    return run.each(codes, one)


async def _load(run: Context, code: str, before: DayBar | None, hands: int) -> Outcome:
    """The outcome of a code.

    before: newest final day bar before today
    hands: volume of today's stored ticks
    """
    ticks = await run.client.trades_of_today(code)
    if not len(ticks):
        return Outcome(code)  # nothing has traded yet
    tenfold = tick_days.is_tenfold(code, run.instrument_type(code))
    try:
        found = of_today(run.window.today, ticks, before, tenfold=tenfold)
    except BrokenRule as broken:
        return Outcome(code, rejected=[broken.rejected(code, run.window.today, ticks)])
    if found.hands < hands:
        text = f"{found.hands:,} hands of ticks, but {hands:,} are stored; nothing was overwritten"
        return Outcome(code, failure=text)
    return Outcome(code, TickDays((found,)))


def of_today(today: date, ticks: Ticks, before: DayBar | None, *, tenfold: bool) -> TickDay:
    """The running day's ticks. Raises BrokenRule.

    Ticks of the last session break a rule too: outside trading hours the service can return them
    as today's.
    """
    found = tick_days.day_of(today, ticks)
    now = (ticks.fetched_at + CLOCKS_DIFFER).astimezone(SHANGHAI)
    if now.date() == today and int(found.minute[-1]) > now.hour * 60 + now.minute:
        raise BrokenRule("traded_at", "no tick lies in the future", ticks.stamps[-1])
    low, high = int(found.price.min()), int(found.price.max())
    by = tick_days.divisor(low, high, before, tenfold=tenfold, slack=tick_days.DAILY_MOVE)
    found = tick_days.scaled(found, by or (10 if tenfold else 1))
    alike = before is not None and (
        found.hands == before.volume
        and before.low <= found.price.min() <= found.price.max() <= before.high
    )
    if alike:
        rule = "the last session's ticks are not today's"
        raise BrokenRule("traded_at", rule, f"{found.hands} hands")
    return found
