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
from loaders.errors import UpstreamError
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import long_bars, plausibility, records, stored_bars
from loaders.tdx.bars.file_days import DayFiles, day_of
from loaders.tdx.bars.records import Records
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.client.answers_intraday import TimedBars
from loaders.tdx.client.routes_bars import INDEX_LIMIT, INTRADAY_BARS
from loaders.tdx.context import Context, Dataset, outcome_of
from loaders.tdx.tables import INDEX_KLINE
from loaders.trading_time import close_of

ROUTE, SHORT_ROUTE = "/api/index/all", "/api/index"
MINUTES = "minute1"
PERIODS = ("day", "week", "month", MINUTES)
ABSENT = "the service does not have this index"
NO_MINUTES = "the service has no minutes of this index"


def keys(
    indices: Sequence[str], in_files: Iterable[str] = (), *, served: bool = True
) -> tuple[str, ...]:
    """List the keys to load.

    They are each period of the configured indices if there is a service, and days of the indices
    that the client has files of.
    """
    of_service = [_key(index, period) for index in indices for period in PERIODS] if served else []
    return tuple(dict.fromkeys([*of_service, *sorted(in_files)]))


def _key(index: str, period: str) -> str:
    return index if period == "day" else f"{index} {period}"


def index_and_period(key: str) -> tuple[str, str]:
    """Split a key into its index and its period."""
    index, _, period = key.partition(" ")
    return index, period or "day"


def due_minutes(
    conn: psycopg.Connection, indices: Sequence[str], days: Sequence[date]
) -> dict[str, set[date]]:
    """Return by index the days whose minute 15:00 is not stored as final."""
    rows = conn.execute(
        "select code, trade_date from raw_tdx.index_kline"
        " where code = any(%s) and period = %s and bar_end = any(%s) and is_final",
        (list(indices), MINUTES, [close_of(day) for day in days]),
    ).fetchall()
    return {i: set(days) - {day for index, day in rows if index == i} for i in indices}


def stored_keys(
    conn: psycopg.Connection, keys: Sequence[str], in_files: Collection[str], closes: int
) -> dict[str, Stored]:
    """Return by key the days, weeks and months that are stored as final.

    Keys with a file get their `closes` newest closes, to compare with the tail of the file.
    """
    found: dict[str, Stored] = {}
    for key in keys:
        index, period = index_and_period(key)
        if period != MINUTES:
            compared = closes if key in in_files else 0
            of_index = stored_bars.stored(conn, INDEX_KLINE, [index], period, closes=compared)
            if index in of_index:
                found[key] = of_index[index]
    return found


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `keys`, like kline_daily.fetch."""
    window, cursors = run.window, run.cursors(INDEX_KLINE.name)
    known = long_bars.trading_days(window)
    days = window.newest(run.settings.minute_days)
    if window.from_start or window.since:
        due = {index_and_period(key)[0]: set(days) for key in keys}
    else:
        of_minutes = [i for i, period in map(index_and_period, keys) if period == MINUTES]
        due = run.ask(lambda conn: due_minutes(conn, of_minutes, days)) if of_minutes else {}
    stored = run.ask(lambda conn: stored_keys(conn, keys, run.day_files, window.overlap))
    files = DayFiles.of(run, INDEX_KLINE.name, keys)

    def of_file(key: str) -> Outcome:
        # An index has no suspensions to land beside its bars.
        return replace(files.outcome(key, cursors.get(key), stored.get(key)), beside=())

    async def one(key: str) -> Outcome:
        index, period = index_and_period(key)
        if period == MINUTES:
            if not due[index]:
                return Outcome(key, skipped=NOT_DUE)
            return await _load_minutes(run, key, index, due[index])
        if key in run.day_files:
            found, before = of_file(key), stored.get(key)
            reached = day_of(found) or cursors.get(key)
            if found.failure is None and not window.wants(reached):
                return found
            before_answer = before and before.beside_file()
            work = _load(run, key, reached, before_answer, known)
            return files.filled(found, await outcome_of(key, work), before)
        if not window.wants(cursors.get(key)):
            return Outcome(key, skipped=NOT_DUE)
        return await _load(run, key, cursors.get(key), stored.get(key), known)

    if run.service is None:
        return files.told(run.at_once(keys, of_file))
    return files.told(run.each(keys, one))


async def _load(
    run: Context, key: str, cursor: date | None, stored: Stored | None, known: Sequence[date]
) -> Outcome:
    """Load days, weeks or months from the service."""
    index, period = index_and_period(key)
    client, limit, fallback, due = run.client, run.window.limit(cursor), None, cursor is not None
    all_bars = partial(client.index_all, index, period=period)
    try:
        bars = await all_bars(limit=limit, expect_rows=due)
    except SourceGone:
        raise
    except UpstreamError:
        # For weeks and months the short route would keep the oldest bars.
        if limit is None or limit > INDEX_LIMIT or period != "day":
            raise
        bars = await client.index(index, limit=limit, expect_rows=due)
        fallback = f"{ROUTE} → {SHORT_ROUTE}: no answer"
    if not len(bars):
        return Outcome(key, skipped=ABSENT)
    bars = await stored_bars.joined(bars, all_bars, cursor, stored, limited=limit is not None)
    outcome = long_bars.accepted(key, bars, run.window, period, known, stored=due)
    return replace(outcome, fallback=fallback)


async def _load_minutes(run: Context, key: str, index: str, due: set[date]) -> Outcome:
    """Load the minutes of due days and of today.

    Ask for the newest bars if they reach back far enough, else for all. The volume of an index's
    minute is turnover in hundreds of yuan. It is stored unchanged.
    """
    client, window = run.client, run.window
    found, rejected, newest = records.empty(), list[Rejected](), None

    async def added(answer: Awaitable[TimedBars]) -> Records:
        nonlocal found
        bars, refused = plausibility.check(key, records.of_answer(await answer), MINUTES, window)
        rejected.extend(refused)
        found = records.better(found, bars, MINUTES)
        return found

    def lacks(bars: Records) -> str | None:
        whole = due <= records.whole_days(bars, MINUTES)
        return None if whole else "minutes of due days are missing"

    size = records.bars_back_to(window, min(due), MINUTES, run.clock())
    if size <= INDEX_LIMIT:
        limit = min(size + len(records.grid(MINUTES)), INDEX_LIMIT)
        newest = added(client.index_intraday(index, limit=limit, expect_rows=False))
    bars, fallback = await stored_bars.newest_else_all(
        newest,
        lambda: added(client.index_intraday_all(index, expect_rows=False)),
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
        keep |= bars["day"] > records.number_of(window.due)
    bars = bars[keep]
    bars["final"] = records.fetched_after_close(bars) & records.in_days(bars, whole)
    failure = f"{len(lacking)} days lack minutes, the newest {max(lacking)}" if lacking else None
    return records.outcome(key, bars, rejected, failure=failure, fallback=fallback)


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """Combine the rows of some keys in one Arrow table."""
    return pa.concat_tables(records.table([o], index_and_period(o.key)[1]) for o in outcomes)


DATASET = Dataset(
    "index_kline",
    INDEX_KLINE,
    ROUTE,
    fetch,
    table,
    key_of=lambda row: _key(row["code"], row["period"]),
)
