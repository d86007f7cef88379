"""Datasets of bars that the service builds itself: weeks, months, 5, 15, 30 and 60 minutes.

Our own come from days and minutes; these are evidence to compare them with, and off by default. All
share the table raw_tdx.kline_period; a cursor's key is the code and the period.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.rejects import Rejected
from loaders.errors import DataQualityError
from loaders.tdx.bars import intraday, long_bars, stored_bars
from loaders.tdx.bars.intraday import Records, Sanity
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import vipdoc
from loaders.tdx.schemas import KLINE_PERIOD
from loaders.tdx.service.answers_intraday import TimedBars
from loaders.tdx.service.routes_bars import HISTORY_LIMIT

ROUTE = "/api/kline-all"
SHORT_ROUTE = "/api/kline-history"
IN_FILES = ("minute5",)


def _fetch_long(period: str, run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Weeks or months, in the order of `codes`, as loaders.tdx.datasets.kline_daily.fetch gives days."""
    cursors = run.cursors(KLINE_PERIOD.name)
    stored = run.ask(lambda conn: stored_bars.stored(conn, KLINE_PERIOD, codes, period))
    known = long_bars.trading_days(run.window)

    async def one(code: str) -> Outcome:
        cursor = cursors.get(f"{code} {period}")
        if not run.window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        outcome = await _load_long(run, code, period, cursor, stored.get(code))
        return long_bars.named(outcome, period, known)

    return run.each(codes, one)


async def _load_long(
    run: Context, code: str, period: str, cursor: date | None, stored: Stored | None
) -> Outcome:
    ask, limit = partial(run.client.kline_all, code, period=period), run.window.limit(cursor)
    bars = await stored_bars.joined(
        await ask(limit=limit), ask, cursor, stored, limited=limit is not None
    )
    return long_bars.accepted(code, bars, run.window, stored=stored is not None)


def long_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Weeks or months of some codes as one Arrow table of the declared schema."""
    return pa.concat_tables(
        pa.table(long_bars.arrow_columns(o.key, o.rows)) for o in outcomes if o.rows
    )


def _fetch_timed(period: str, run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Bars of some minutes, in the order of `codes`."""
    cursors = run.cursors(KLINE_PERIOD.name)

    async def one(code: str) -> Outcome:
        cursor = cursors.get(f"{code} {period}")
        if not run.window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        return await _load_timed(run, code, period, cursor)

    return run.each(codes, one)


async def _load_timed(run: Context, code: str, period: str, cursor: date | None) -> Outcome:
    window, sanity = run.window, Sanity(run.window.today, run.window.closed)
    again = window.whole or window.since is not None
    found, rejected = intraday.empty(), list[Rejected]()
    if period in IN_FILES and (cursor is None or again):
        found, rejected = _of_file(run, code, period, sanity)
    held = intraday.whole_days(found, period)
    # a file holds the past, so the service is asked from its newest day on
    start = max(held, default=None) if held else None if again else cursor
    fallback = None
    if start is None or window.wants(start) or again:
        bars, fallback = await _ask(run, code, period, start)
        good, refused = intraday.check(code, intraday.of_answer(bars), period, sanity)
        rejected += refused
        found = intraday.better(found, good, period)
    return _timed_outcome(run, code, period, found, rejected, cursor, fallback)


def _of_file(
    run: Context, code: str, period: str, sanity: Sanity
) -> tuple[Records, list[Rejected]]:
    folder = run.settings.vipdoc
    file = vipdoc.find(folder, code, period) if folder else None
    if file is None:
        return intraday.empty(), []
    try:
        read = vipdoc.read_minutes(file, code, run.instrument_type(code), period, run.clock())
        bars, refused = intraday.check(code, read.bars, period, sanity)
    except DataQualityError:
        return intraday.empty(), []
    return bars, [*read.rejected, *refused]


async def _ask(
    run: Context, code: str, period: str, start: date | None
) -> tuple[TimedBars, str | None]:
    """The newest bars if they reach back to `start`, else all."""
    newest = None
    if start is not None:
        limit = intraday.bars_back_to(run.window, start, period, run.clock())
        if limit <= HISTORY_LIMIT:
            newest = run.client.intraday(code, period=period, limit=limit)

    def lacks(bars: TimedBars) -> str | None:
        reaches = bars.stamps[0][:10] <= str(start)
        return None if reaches else "the answer does not reach what is stored"

    everything = partial(run.client.intraday_all, code, period=period)
    return await stored_bars.newest_else_all(newest, everything, lacks, f"{SHORT_ROUTE} → {ROUTE}")


def _timed_outcome(
    run: Context,
    code: str,
    period: str,
    found: Records,
    rejected: list[Rejected],
    cursor: date | None,
    fallback: str | None,
) -> Outcome:
    whole = intraday.whole_days(found, period)
    found["final"] = intraday.fetched_after_close(found) & intraday.in_days(found, whole)
    days = intraday.days_in(found)
    # the first day of an answer may be cut off: no loss where it is stored, no whole day elsewhere
    cut = set(days[:1]) - whole
    first, last = run.window.since or date.min, run.window.until or date.max
    keep = [day for day in days if first <= day <= last and day not in cut]
    bars = found[intraday.in_days(found, keep)]
    final = intraday.days_in(bars[bars["final"]])
    # of nothing but a cut day nobody knows what came before
    behind = cursor or (days[0] if len(days) > 1 else date.min)
    due = min(run.window.due, last)
    lacking = [d for d in days if behind < d <= due and d >= first and d not in whole]
    return Outcome(
        code,
        bars if len(bars) else None,
        rejected,
        cursor=final[-1] if final else None,
        failure=f"{len(lacking)} days lack bars, the newest {lacking[-1]}" if lacking else None,
        fallback=fallback,
    )


def timed_table(period: str, outcomes: Sequence[Outcome]) -> pa.Table:
    """Bars of some minutes of some codes as one Arrow table of the declared schema."""
    columns = intraday.arrow_columns([(o.key, o.rows) for o in outcomes if o.rows is not None])
    size = len(columns["code"])
    return pa.table(columns | {"period": pa.repeat(pa.scalar(period), size)})


def of_days(name: str, period: str) -> Dataset:
    """Weeks or months."""
    return Dataset(name, KLINE_PERIOD, ROUTE, partial(_fetch_long, period), long_table, period)


def of_minutes(name: str, period: str) -> Dataset:
    """Bars of 5, 15, 30 or 60 minutes."""
    table = partial(timed_table, period)
    return Dataset(name, KLINE_PERIOD, ROUTE, partial(_fetch_timed, period), table, period)
