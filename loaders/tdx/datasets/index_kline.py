"""Dataset `index_kline`: days, weeks, months and minutes of indices.

Indices have their own routes. They have no corporate actions, so raw prices equal adjusted ones.
The service answers for an index that it does not have with an empty success: a skip if nothing is
stored of the index, otherwise a fault.

The key of days is the index, that of other periods the index and the period: `sh000001 week`. Days
come first from the desktop client's files, for every index in them. The other periods come from
the service alone.
"""

from collections.abc import Awaitable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import psycopg
import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.engine.source import Keys
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import long_bars, plausibility, records, stored_bars
from loaders.tdx.bars.records import Records
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.client.answers_intraday import TimedBars
from loaders.tdx.client.routes_bars import INDEX_LIMIT, INTRADAY_BARS
from loaders.tdx.context import Context, Dataset, catch_failure
from loaders.tdx.fetching.changed_history import INTRADAY, MINUTES, check_history
from loaders.tdx.fetching.file_days import DayFiles, reached_day
from loaders.tdx.tables import INDEX_KLINE
from loaders.trading_time import close_of
from quotemill.errors import UpstreamError
from quotemill.instrument_ranges import COMPOSITE

ROUTE, SHORT_ROUTE = "/api/index/all", "/api/index"
PERIODS = ("day", "week", "month", MINUTES)
ABSENT = "the service does not have this index"
NO_MINUTES = "the service has no minutes of this index"


def keys(
    indices: Sequence[str], in_files: Iterable[str] = (), *, served: bool = True
) -> tuple[str, ...]:
    """List each period of the configured indices if `served`, and the days of `in_files`."""
    served_keys = [_key(index, period) for index in indices for period in PERIODS] if served else []
    return tuple(dict.fromkeys([*served_keys, *sorted(in_files)]))


def _key(index: str, period: str) -> str:
    return index if period == "day" else f"{index} {period}"


def split_key(key: str) -> tuple[str, str]:
    """Split a key into its index and its period."""
    index, _, period = key.partition(" ")
    return index, period or "day"


def read_due_minutes(
    conn: psycopg.Connection, indices: Sequence[str], days: Sequence[date]
) -> dict[str, set[date]]:
    """Return by index the days whose minute 15:00 is not stored as final."""
    rows = conn.execute(
        "select code, trade_date from raw_tdx.index_kline"
        " where code = any(%s) and period = %s and bar_end = any(%s) and is_final",
        (list(indices), MINUTES, [close_of(day) for day in days]),
    ).fetchall()
    return {i: set(days) - {day for index, day in rows if index == i} for i in indices}


def read_stored_keys(
    conn: psycopg.Connection, keys: Sequence[str], in_files: Collection[str], closes: int
) -> dict[str, Stored]:
    """Return final days, weeks and months by key, with `closes` closes for files."""
    by_key: dict[str, Stored] = {}
    for key in keys:
        index, period = split_key(key)
        if period != MINUTES:
            compared = closes if key in in_files else 0
            by_index = stored_bars.read_stored(conn, INDEX_KLINE, [index], period, closes=compared)
            if index in by_index:
                by_key[key] = by_index[index]
    return by_key


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `keys`, like kline_daily.fetch."""
    window, cursors = ctx.window, ctx.cursors(INDEX_KLINE.name)
    known = long_bars.trading_days(window)
    days = window.newest(ctx.settings.minute_days)
    if window.reads_again:
        due = {split_key(key)[0]: set(days) for key in keys}
    else:
        minute_keys = [i for i, period in map(split_key, keys) if period == MINUTES]
        due = ctx.ask(lambda conn: read_due_minutes(conn, minute_keys, days)) if minute_keys else {}
    stored = ctx.ask(lambda conn: read_stored_keys(conn, keys, ctx.day_files, window.overlap))
    if window.reads_again:
        stored |= {key: INTRADAY for key in keys if split_key(key)[1] == MINUTES}
    files = DayFiles.select(ctx, INDEX_KLINE.name, keys)

    def read_file(key: str) -> Outcome:
        # An index has no suspensions to land beside its bars.
        return replace(files.outcome(key, cursors.get(key), stored.get(key)), beside=())

    async def load_key(key: str) -> Outcome:
        index, period = split_key(key)
        if period == MINUTES:
            if not due[index]:
                return Outcome(key, skipped=NOT_DUE)
            has_minutes = len(due[index]) < len(days)
            return await _load_minutes(ctx, key, index, due[index], expect_rows=has_minutes)
        if key in ctx.day_files:
            in_file, before = read_file(key), stored.get(key)
            reached = reached_day(in_file) or cursors.get(key)
            if in_file.failure is None and not window.wants(reached):
                return in_file
            before_answer = before and before.beside_file()
            work = _load(ctx, key, reached, before_answer, known)
            return files.fill_gaps(in_file, await catch_failure(key, work), before)
        if not window.wants(cursors.get(key)):
            return Outcome(key, skipped=NOT_DUE)
        return await _load(ctx, key, cursors.get(key), stored.get(key), known)

    if ctx.service is None:
        return ctx.at_once(keys, read_file)
    return check_history(
        ctx, DATASET.name, INDEX_KLINE, ctx.each(keys, load_key), stored, split_key
    )


async def _load(
    ctx: Context, key: str, cursor: date | None, stored: Stored | None, known: Sequence[date]
) -> Outcome:
    """Load days, weeks or months from the service."""
    index, period = split_key(key)
    client, limit, fallback, due = ctx.client, ctx.window.limit(cursor), None, cursor is not None
    must = due or index == COMPOSITE
    all_bars = partial(client.index_all, index, period=period)
    try:
        bars = await all_bars(limit=limit, expect_rows=must)
    except SourceGone:
        raise
    except UpstreamError:
        # For weeks and months the short route would keep the oldest bars.
        if limit is None or limit > INDEX_LIMIT or period != "day":
            raise
        bars = await client.index(index, limit=limit, expect_rows=must)
        fallback = f"{ROUTE} → {SHORT_ROUTE}: no response"
    if not len(bars):
        return Outcome(key, skipped=ABSENT)
    bars = await stored_bars.join_or_reload(
        bars, all_bars, cursor, stored, limited=limit is not None
    )
    outcome = long_bars.select_bars(key, bars, ctx.window, period, known, stored=due)
    return replace(outcome, fallback=fallback)


async def _load_minutes(
    ctx: Context, key: str, index: str, due: set[date], *, expect_rows: bool
) -> Outcome:
    """Load the minutes of due days and of today, from all bars if need be.

    expect_rows: an empty answer is a failure, as recent days are stored

    The volume of an index's minute is turnover in hundreds of yuan, stored unchanged.
    """
    client, window = ctx.client, ctx.window
    collected, rejected, newest = records.empty(), list[Rejected](), None

    async def added(answer: Awaitable[TimedBars]) -> Records:
        nonlocal collected
        bars, refused = plausibility.check(key, records.from_answer(await answer), MINUTES, window)
        rejected.extend(refused)
        collected = records.update_bars(collected, bars, MINUTES)
        return collected

    def lacks(bars: Records) -> str | None:
        whole = due <= records.whole_days(bars, MINUTES)
        return None if whole else "minutes are missing for due days"

    size = records.bars_back_to(window, min(due), MINUTES, ctx.clock())
    if size <= INDEX_LIMIT:
        limit = min(size + len(records.grid(MINUTES)), INDEX_LIMIT)
        newest = added(client.index_intraday(index, limit=limit, expect_rows=expect_rows))
    bars, fallback = await stored_bars.ask_newest_else_all(
        newest,
        lambda: added(client.index_intraday_all(index, expect_rows=expect_rows)),
        lacks,
        f"{SHORT_ROUTE} → {ROUTE}",
    )
    if not len(bars):
        return Outcome(key, skipped=NO_MINUTES)
    whole = records.whole_days(bars, MINUTES)
    lacking = due - whole
    if len(bars) > INTRADAY_BARS - len(records.grid(MINUTES)):
        # The series is full: its first day may be cut, and earlier days are gone.
        first = records.days_in(bars)[0]
        lacking = {day for day in lacking if day > first}
    keep = records.in_days(bars, due)
    if window.until is None or window.until > window.due:
        keep |= bars["day"] > records.to_number(window.due)
    bars = bars[keep]
    bars["final"] = records.fetched_after_close(bars) & records.in_days(bars, whole)
    failure = None
    if lacking:
        failure = f"no minutes for {len(lacking)} of the due days (latest {max(lacking)})"
    return records.outcome(key, bars, rejected, failure=failure, fallback=fallback)


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Combine the rows of some keys in one Arrow table."""
    return pa.concat_tables(records.table([o], split_key(o.key)[1]) for o in outcomes)


DATASET = Dataset(
    "index_kline",
    INDEX_KLINE,
    ROUTE,
    fetch,
    table,
    keys=Keys(row_key=lambda row: _key(row["code"], row["period"])),
)
