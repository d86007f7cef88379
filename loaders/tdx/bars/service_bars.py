"""Bars that the service builds: weeks, months, 5, 15, 30 and 60 minutes.

Ours are built from days and minutes. The service's bars serve to check ours and are off by default.
All share the table raw_tdx.kline_period; a cursor's key is the code and the period.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.errors import DataQualityError
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import long_bars, plausibility, records, stored_bars
from loaders.tdx.bars.records import Records
from loaders.tdx.client.answers_intraday import MINUTES_OF, TimedBars
from loaders.tdx.client.routes_bars import HISTORY_LIMIT
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import vipdoc
from loaders.tdx.tables import KLINE_PERIOD

ROUTE = "/api/kline-all"
SHORT_ROUTE = "/api/kline-history"
IN_FILES = ("minute5",)


def _fetch_long(period: str, run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes of weeks or months in the order of `codes`.

    As loaders.tdx.datasets.kline_daily.fetch does for days.
    """
    cursors = run.cursors(KLINE_PERIOD.name)
    stored = run.ask(lambda conn: stored_bars.stored(conn, KLINE_PERIOD, codes, period))
    known = long_bars.trading_days(run.window)

    async def one(code: str) -> Outcome:
        cursor, before = cursors.get(f"{code} {period}"), stored.get(code)
        if not run.window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        ask, limit = partial(run.client.kline_all, code, period=period), run.window.limit(cursor)
        bars = await stored_bars.joined(
            await ask(limit=limit), ask, cursor, before, limited=limit is not None
        )
        is_stored = before is not None
        return long_bars.accepted(code, bars, run.window, period, known, stored=is_stored)

    return run.each(codes, one)


def _fetch_timed(period: str, run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes of bars of several minutes, in the order of `codes`."""
    cursors = run.cursors(KLINE_PERIOD.name)

    async def one(code: str) -> Outcome:
        cursor = cursors.get(f"{code} {period}")
        if not run.window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        return await _load_timed(run, code, period, cursor)

    return run.each(codes, one)


async def _load_timed(run: Context, code: str, period: str, cursor: date | None) -> Outcome:
    window = run.window
    again = window.from_start or window.since is not None
    found, rejected = records.empty(), list[Rejected]()
    if period in IN_FILES and (cursor is None or again):
        found, rejected = _of_file(run, code, period)
    held = records.whole_days(found, period)
    # the file has the past; request only from its newest whole day on
    start = max(held, default=None) if held else None if again else cursor
    fallback = None
    if start is None or window.wants(start) or again:
        bars, fallback = await _ask(run, code, period, start)
        good, refused = plausibility.check(code, records.of_answer(bars), period, window)
        rejected += refused
        found = records.better(found, good, period)
    whole = records.whole_days(found, period)
    found["final"] = records.fetched_after_close(found) & records.in_days(found, whole)
    days = records.days_in(found)
    # the first day of an answer may be cut off: no loss if it is stored, not whole otherwise
    cut = set(days[:1]) - whole
    first, last = window.since or date.min, window.until or date.max
    keep = [day for day in days if first <= day <= last and day not in cut]
    # if the only day is cut off, the days before it are unknown
    behind = cursor or (days[0] if len(days) > 1 else date.min)
    due = min(window.due, last)
    lacking = [d for d in days if behind < d <= due and d >= first and d not in whole]
    failure = f"{len(lacking)} days lack bars, the newest {lacking[-1]}" if lacking else None
    kept = found[records.in_days(found, keep)]
    return records.outcome(code, kept, rejected, failure=failure, fallback=fallback)


def _of_file(run: Context, code: str, period: str) -> tuple[Records, list[Rejected]]:
    file = run.file(code, period)
    if file is None:
        return records.empty(), []
    try:
        read = vipdoc.read(file, code, run.instrument_type(code), period, run.clock())
        bars, refused = plausibility.check(code, read.bars, period, run.window)
    except DataQualityError:
        return records.empty(), []
    return bars, [*read.rejected, *refused]


async def _ask(
    run: Context, code: str, period: str, start: date | None
) -> tuple[TimedBars, str | None]:
    """The newest bars if they reach back to `start`, else all, and why all were read."""
    newest = None
    if start is not None:
        limit = records.bars_back_to(run.window, start, period, run.clock())
        if limit <= HISTORY_LIMIT:
            newest = run.client.intraday(code, period=period, limit=limit)

    def lacks(bars: TimedBars) -> str | None:
        reaches = bars.stamps[0][:10] <= str(start)
        return None if reaches else "the answer does not reach what is stored"

    everything = partial(run.client.intraday_all, code, period=period)
    return await stored_bars.newest_else_all(newest, everything, lacks, f"{SHORT_ROUTE} → {ROUTE}")


def of_period(name: str, period: str) -> Dataset:
    """Dataset of weeks, months or bars of 5, 15, 30 or 60 minutes."""
    fetch = partial(_fetch_timed if period in MINUTES_OF else _fetch_long, period)
    table = partial(records.table, period=period)
    return Dataset(name, KLINE_PERIOD, ROUTE, fetch, table, period)
