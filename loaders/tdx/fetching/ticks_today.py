"""Provisional ticks of the running session; a later day's load makes them final."""

from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta

import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.bars import tick_days
from loaders.tdx.bars.tick_days import BrokenRule, DayBar, TickDay, TickDays
from loaders.tdx.bars.untraded import any_traded
from loaders.tdx.client.answers_trades import Ticks
from loaders.tdx.context import Context
from loaders.tdx.queries import query
from loaders.trading_time import SHANGHAI

FIRST_TICK = time(9, 25)  # the opening auction
CLOCKS_DIFFER = timedelta(minutes=2)


def read_last_bars(
    conn: psycopg.Connection, codes: Sequence[str], today: date
) -> tuple[dict[str, DayBar], dict[str, int]]:
    """Newest final day bar with a trade before today, hands of today's stored ticks, by code."""
    values = {"codes": list(codes), "today": today}
    rows = conn.execute(query("last_bars_and_ticks"), values).fetchall()
    bars = {code: DayBar(*bar) for code, *bar, _ in rows if bar[0] is not None}
    return bars, {code: hands for code, *_, hands in rows if hands is not None}


def fetch_today(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`; nothing is due outside a session."""
    today, now = ctx.window.today, ctx.began.astimezone(SHANGHAI)
    trading = today in set(ctx.window.days) and now.time() >= FIRST_TICK
    bars, hands = ctx.ask(lambda conn: read_last_bars(conn, codes, today)) if trading else ({}, {})

    async def load_code(code: str) -> Outcome:
        if not trading:
            return Outcome(code, skipped=NOT_DUE)
        return await _load(ctx, code, bars.get(code), hands.get(code, 0))

    return ctx.each(codes, load_code)


async def _load(ctx: Context, code: str, before: DayBar | None, hands: int) -> Outcome:
    """The outcome of a code.

    before: newest final day bar with a trade before today
    hands: volume of today's stored ticks
    """
    ticks = await ctx.client.trades_of_today(code, ctx.window.today)
    if not any_traded(ticks.volume):
        return Outcome(code)
    tenfold = tick_days.is_tenfold(code, ctx.instrument_type(code))
    try:
        tick_day = check_today(ctx.window.today, ticks, before, tenfold=tenfold)
    except BrokenRule as broken:
        return Outcome(code, rejected=[broken.rejected(code, ctx.window.today, ticks)])
    if tick_day.hands < hands:
        text = (
            f"{tick_day.hands:,} lots in ticks, but {hands:,} are stored, so nothing was "
            "overwritten"
        )
        return Outcome(code, failure=text)
    return Outcome(code, TickDays((tick_day,)))


def check_today(today: date, ticks: Ticks, before: DayBar | None, *, tenfold: bool) -> TickDay:
    """The running day's ticks. Raises BrokenRule for those of the last session too."""
    tick_day = tick_days.to_tick_day(today, ticks)
    now = (ticks.fetched_at + CLOCKS_DIFFER).astimezone(SHANGHAI)
    if now.date() == today and int(tick_day.minute[-1]) > now.hour * 60 + now.minute:
        raise BrokenRule("traded_at", "no tick can be in the future", ticks.stamps[-1])
    low, high = int(tick_day.price.min()), int(tick_day.price.max())
    by = tick_days.find_divisor(low, high, before, tenfold=tenfold, slack=tick_days.DAILY_MOVE)
    tick_day = tick_days.divide_prices(tick_day, by or (10 if tenfold else 1))
    alike = before is not None and (
        tick_day.hands == before.hands
        and before.low <= tick_day.price.min() <= tick_day.price.max() <= before.high
    )
    if alike:
        rule = "the last session's ticks are not today's"
        raise BrokenRule("traded_at", rule, f"{tick_day.hands} hands")
    return tick_day
