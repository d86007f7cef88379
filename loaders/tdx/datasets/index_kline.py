"""Dataset `index_kline`: days, weeks, months and minutes of the configured indices.

Indices have routes of their own and no corporate actions: raw is adjusted. An index that the service
does not have answers an empty success; with nothing stored of it that is a skip, otherwise a fault.
A key is an index for its days, an index and a period for the rest: `sh000001 week`.
"""

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import psycopg
import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.engine.rejects import Rejected
from loaders.errors import UpstreamError
from loaders.tdx.bars import intraday, long_bars, stored_bars
from loaders.tdx.bars.intraday import Records, Sanity
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.context import Context, Dataset
from loaders.tdx.schemas import INDEX_KLINE
from loaders.tdx.service.answers_intraday import TimedBars
from loaders.tdx.service.routes_bars import INDEX_LIMIT, INTRADAY_BARS
from loaders.trading_time import close_of

ROUTE, SHORT_ROUTE = "/api/index/all", "/api/index"
MINUTES = "minute1"
PERIODS = ("day", "week", "month", MINUTES)
ABSENT = "the service does not have this index"
NO_MINUTES = "the service has no minutes of this index"


def keys(indices: Iterable[str]) -> tuple[str, ...]:
    """What there is to load of some indices: each period of each."""
    return tuple(_key(index, period) for index in indices for period in PERIODS)


def _key(index: str, period: str) -> str:
    return index if period == "day" else f"{index} {period}"


def index_and_period(key: str) -> tuple[str, str]:
    """What a key is about."""
    index, _, period = key.partition(" ")
    return index, period or "day"


def due_minutes(
    conn: psycopg.Connection, indices: Sequence[str], days: Sequence[date]
) -> dict[str, set[date]]:
    """Of some days those whose minute 15:00 is not stored as final, by index."""
    rows = conn.execute(
        "select code, trade_date from raw_tdx.index_kline"
        " where code = any(%s) and period = %s and bar_end = any(%s) and is_final",
        (list(indices), MINUTES, [close_of(day) for day in days]),
    ).fetchall()
    return {i: set(days) - {day for index, day in rows if index == i} for i in indices}


def stored_keys(conn: psycopg.Connection, keys: Sequence[str]) -> dict[str, Stored]:
    """What is stored as final of days, weeks and months, by key."""
    found: dict[str, Stored] = {}
    for key in keys:
        index, period = index_and_period(key)
        if period != MINUTES:
            of_index = stored_bars.stored(conn, INDEX_KLINE, [index], period)
            if index in of_index:
                found[key] = of_index[index]
    return found


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `keys`, as loaders.tdx.datasets.kline_daily.fetch gives them."""
    window, cursors = run.window, run.cursors(INDEX_KLINE.name)
    known = long_bars.trading_days(window)
    days = window.newest(run.settings.minute_days)
    if window.whole or window.since:
        due = {index_and_period(key)[0]: set(days) for key in keys}
    else:
        of_minutes = [i for i, period in map(index_and_period, keys) if period == MINUTES]
        due = run.ask(lambda conn: due_minutes(conn, of_minutes, days)) if of_minutes else {}
    stored = run.ask(lambda conn: stored_keys(conn, keys))

    async def one(key: str) -> Outcome:
        index, period = index_and_period(key)
        if period == MINUTES:
            if not due[index]:
                return Outcome(key, skipped=NOT_DUE)
            return await _load_minutes(run, key, index, due[index])
        if not window.wants(cursors.get(key)):
            return Outcome(key, skipped=NOT_DUE)
        outcome = await _load(run, key, index, period, cursors.get(key), stored.get(key))
        return long_bars.named(outcome, period, known)

    return run.each(keys, one)


async def _load(
    run: Context,
    key: str,
    index: str,
    period: str,
    cursor: date | None,
    stored: Stored | None,
) -> Outcome:
    """Days, weeks or months."""
    client, limit, fallback, due = run.client, run.window.limit(cursor), None, cursor is not None
    whole = partial(client.index_all, index, period=period)
    try:
        bars = await whole(limit=limit, expect_rows=due)
    except SourceGone:
        raise
    except UpstreamError:
        # of weeks and months the short route would keep the oldest
        if limit is None or limit > INDEX_LIMIT or period != "day":
            raise
        bars = await client.index(index, limit=limit, expect_rows=due)
        fallback = f"{ROUTE} → {SHORT_ROUTE}: no answer"
    if not len(bars):
        return Outcome(key, skipped=ABSENT)
    bars = await stored_bars.joined(bars, whole, cursor, stored, limited=limit is not None)
    outcome = long_bars.accepted(key, bars, run.window, stored=due)
    return replace(outcome, fallback=fallback)


async def _load_minutes(run: Context, key: str, index: str, due: set[date]) -> Outcome:
    """Minutes of due days, and today's: of the newest bars if they reach back far enough, else of all.

    The volume of an index's minute is turnover in hundreds of yuan; it is kept as it came.
    """
    client, window = run.client, run.window
    sanity = Sanity(window.today, window.closed)
    found, rejected, newest = intraday.empty(), list[Rejected](), None

    async def added(answer: Awaitable[TimedBars]) -> Records:
        nonlocal found
        bars, refused = intraday.check(key, intraday.of_answer(await answer), MINUTES, sanity)
        rejected.extend(refused)
        found = intraday.better(found, bars, MINUTES)
        return found

    def lacks(bars: Records) -> str | None:
        whole = due <= intraday.whole_days(bars, MINUTES)
        return None if whole else "minutes of due days are missing"

    size = intraday.bars_back_to(window, min(due), MINUTES, run.clock())
    if size <= INDEX_LIMIT:
        limit = min(size + len(intraday.grid(MINUTES)), INDEX_LIMIT)
        newest = added(client.index_intraday(index, limit=limit, expect_rows=False))
    bars, fallback = await stored_bars.newest_else_all(
        newest,
        lambda: added(client.index_intraday_all(index, expect_rows=False)),
        lacks,
        f"{SHORT_ROUTE} → {ROUTE}",
    )
    if not len(bars):
        return Outcome(key, skipped=NO_MINUTES)
    return _minutes_outcome(run, key, bars, due, rejected, fallback)


def _minutes_outcome(
    run: Context,
    key: str,
    found: Records,
    due: set[date],
    rejected: list[Rejected],
    fallback: str | None,
) -> Outcome:
    window = run.window
    whole = intraday.whole_days(found, MINUTES)
    lacking = due - whole
    if len(found) > INTRADAY_BARS - len(intraday.grid(MINUTES)):
        # the series is full: its first day may be cut, and what came before is gone
        first = intraday.days_in(found)[0]
        lacking = {day for day in lacking if day > first}
    keep = intraday.in_days(found, due)
    if window.until is None or window.until > window.due:
        keep |= found["day"] > intraday.number_of(window.due)
    bars = found[keep]
    bars["final"] = intraday.fetched_after_close(bars) & intraday.in_days(bars, whole)
    final = intraday.days_in(bars[bars["final"]])
    return Outcome(
        key,
        bars if len(bars) else None,
        rejected,
        cursor=final[-1] if final else None,
        failure=f"{len(lacking)} days lack minutes, the newest {max(lacking)}" if lacking else None,
        fallback=fallback,
    )


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The rows of some keys as one Arrow table of the declared schema."""
    return pa.concat_tables([_rows(o) for o in outcomes if o.rows is not None and len(o.rows)])


def _rows(outcome: Outcome) -> pa.Table:
    index, _ = index_and_period(outcome.key)
    assert outcome.rows is not None
    size = len(outcome.rows)
    if isinstance(outcome.rows, np.ndarray):
        columns = intraday.arrow_columns([(index, outcome.rows)])
        columns["period"] = pa.repeat(pa.scalar(MINUTES), size)
    else:
        columns = long_bars.arrow_columns(index, outcome.rows)
        columns["source_label"] = pa.nulls(size, pa.string())
    return pa.table(columns).select(INDEX_KLINE.schema.names)


DATASET = Dataset(
    "index_kline",
    INDEX_KLINE,
    ROUTE,
    fetch,
    table,
    key_of=lambda row: _key(row["code"], row["period"]),
)
