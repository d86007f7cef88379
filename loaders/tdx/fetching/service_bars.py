"""Bars that the service builds: weeks, months, 5, 15, 30 and 60 minutes.

Ours are built from days and minutes. The service's bars serve to check ours and are off by default;
those of five minutes are ours where a day has no complete minutes.
All share the table raw_tdx.kline_period; a cursor's key is the code and the period.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.source import Keys
from loaders.engine.window import Window
from loaders.tdx.bars import long_bars, plausibility, records, stored_bars
from loaders.tdx.client.answers_intraday import MINUTES_OF, TimedBars
from loaders.tdx.client.routes_bars import HISTORY_LIMIT
from loaders.tdx.context import Context, Dataset
from loaders.tdx.fetching.changed_history import INTRADAY, check_history
from loaders.tdx.tables import KLINE_DAILY, KLINE_PERIOD

ROUTE = "/api/kline-all"
SHORT_ROUTE = "/api/kline-history"


def _fetch_long(name: str, period: str, ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes of weeks or months in the order of `codes`, like kline_daily.fetch."""
    cursors = ctx.cursors(KLINE_PERIOD.name)
    stored = ctx.ask(lambda conn: stored_bars.read_stored(conn, KLINE_PERIOD, codes, period))
    known = long_bars.trading_days(ctx.window)

    async def load_code(code: str) -> Outcome:
        cursor, before = cursors.get(f"{code} {period}"), stored.get(code)
        if not ctx.window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        ask, limit = partial(ctx.client.kline_all, code, period=period), ctx.window.limit(cursor)
        bars = await stored_bars.join_or_reload(
            await ask(limit=limit), ask, cursor, before, limited=limit is not None
        )
        is_stored = before is not None
        return long_bars.select_bars(code, bars, ctx.window, period, known, stored=is_stored)

    outcomes = ctx.each(codes, load_code)
    return check_history(ctx, name, KLINE_PERIOD, outcomes, stored, lambda code: (code, period))


def _fetch_timed(name: str, period: str, ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes of bars of several minutes, in the order of `codes`.

    A code that no day bar shows as traded since its cursor is not requested, once day bars of other
    codes reach the newest due day. The cursor stays, so a later day bar requests all days since.
    """
    window, cursors = ctx.window, ctx.cursors(KLINE_PERIOD.name)
    again = window.reads_again
    reached = max(ctx.cursors(KLINE_DAILY.name).values(), default=date.min)
    traded = ctx.ask(lambda conn: stored_bars.newest_days(conn, codes, traded=True))

    async def load_code(code: str) -> Outcome:
        loaded = cursor = cursors.get(f"{code} {period}")
        if cursor is not None and traded.get(code, date.max) <= cursor:
            loaded = max(cursor, reached)
        if not window.wants(loaded):
            return Outcome(code, skipped=NOT_DUE)
        bars, fallback = await _ask(ctx, code, period, None if again else cursor)
        return replace(_select(window, code, period, cursor, bars), fallback=fallback)

    outcomes = ctx.each(codes, load_code)
    if not again:
        return outcomes
    stored = {code: INTRADAY for code in codes if f"{code} {period}" in cursors}
    return check_history(ctx, name, KLINE_PERIOD, outcomes, stored, lambda code: (code, period))


def _select(
    window: Window, code: str, period: str, cursor: date | None, bars: TimedBars
) -> Outcome:
    """The bars of an answer that land; due days without bars are a failure."""
    collected, rejected = plausibility.check(code, records.from_answer(bars), period, window)
    whole = records.whole_days(collected, period)
    collected["final"] = records.fetched_after_close(collected) & records.in_days(collected, whole)
    days = records.days_in(collected)
    # the first day of an answer may be cut off: no loss if it is stored, not whole otherwise
    cut = set(days[:1]) - whole
    first, last = window.since or date.min, window.until or date.max
    keep = [day for day in days if first <= day <= last and day not in cut]
    # if the only day is cut off, the days before it are unknown
    behind = cursor or (days[0] if len(days) > 1 else date.min)
    due = min(window.due, last)
    lacking = [d for d in days if behind < d <= due and d >= first and d not in whole]
    failure = None
    if lacking:
        failure = f"no bars for {len(lacking)} of the due days (latest {lacking[-1]})"
    landing = collected[records.in_days(collected, keep)]
    return records.outcome(code, landing, rejected, failure=failure)


async def _ask(
    ctx: Context, code: str, period: str, start: date | None
) -> tuple[TimedBars, str | None]:
    """The newest bars if they reach back to `start`, else all, and why all were read."""
    newest = None
    if start is not None:
        limit = records.bars_back_to(ctx.window, start, period, ctx.clock())
        if limit <= HISTORY_LIMIT:
            newest = ctx.client.intraday(code, period=period, limit=limit)

    def lacks(bars: TimedBars) -> str | None:
        reaches = bars.stamps[0][:10] <= str(start)
        return None if reaches else "the response does not reach the stored bars"

    everything = partial(ctx.client.intraday_all, code, period=period)
    return await stored_bars.ask_newest_else_all(
        newest, everything, lacks, f"{SHORT_ROUTE} → {ROUTE}"
    )


def make_dataset(name: str, period: str) -> Dataset:
    """Dataset of weeks, months or bars of 5, 15, 30 or 60 minutes."""
    is_timed = period in MINUTES_OF
    fetch = partial(_fetch_timed if is_timed else _fetch_long, name, period)
    table = partial(records.table, period=period)
    return Dataset(name, KLINE_PERIOD, ROUTE, fetch, table, keys=Keys(part=period))
