"""Dataset `kline_daily`: raw day bars of stocks and funds, one cursor for each code.

The service has no ranges: an answer is the newest n bars or all of them. So an incremental load asks
for the days since the cursor and an overlap, and trusts the answer only if it joins what is stored;
if not, the whole history is read again. Nothing narrower than what is stored is ever landed.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import filterfalse
from typing import Any

import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.window import Window
from loaders.tdx.bars.long_bars import day_table
from loaders.tdx.bars.plausibility import ALL_BROKEN, check_bars
from loaders.tdx.context import Context, Dataset
from loaders.tdx.schemas import ANSWER_GAP, KLINE_DAILY
from loaders.tdx.service.answers import Bars
from loaders.tdx.service.client import TdxClient
from loaders.trading_time import newest_final

ROUTE = "/api/kline-all"
OF_LATE = 5  # trading days
# that have no bar of a day and traded before: at most so many, or this share, are suspended
MOST_SUSPENDED, SUSPENDED_SHARE = 2, 0.05


@dataclass(frozen=True)
class Tail:
    """What is stored of a code: its first day, and closes of its newest final bars by day."""

    first: date
    closes: Mapping[date, int]


def stored_tails(conn: psycopg.Connection, codes: Sequence[str], overlap: int) -> dict[str, Tail]:
    """The newest `overlap` final bars of each code, by one index probe per code."""
    rows = conn.execute(
        """
        select c.code, f.trade_date, t.trade_date, t.close
        from unnest(%s::text[]) as c (code)
        cross join lateral (
            select k.trade_date from raw_tdx.kline_daily as k
            where k.code = c.code order by k.trade_date limit 1
        ) as f
        cross join lateral (
            select k.trade_date, k.close from raw_tdx.kline_daily as k
            where k.code = c.code and k.is_final order by k.trade_date desc limit %s
        ) as t
        """,
        (list(codes), overlap),
    )
    firsts: dict[str, date] = {}
    closes: dict[str, dict[date, int]] = {}
    for code, first, day, close in rows:
        firsts[code] = first
        closes.setdefault(code, {})[day] = close
    return {code: Tail(firsts[code], by_day) for code, by_day in closes.items()}


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`. Ends early, each code left failed, once the service is gone."""
    window, cursors = run.window, run.cursors(KLINE_DAILY.name)
    tails = run.ask(lambda conn: stored_tails(conn, codes, window.overlap))

    async def one(code: str) -> Outcome:
        cursor = cursors.get(code)
        if not window.wants(cursor):
            return Outcome(code, skipped=NOT_DUE)
        must_have = run.overdue.get(code)
        return await _load(run.client, code, window, cursor, tails.get(code), must_have)

    return run.each(codes, one)


async def _load(
    client: TdxClient,
    code: str,
    window: Window,
    cursor: date | None,
    tail: Tail | None,
    must_have: date | None,
) -> Outcome:
    limit = window.limit(cursor)
    bars = await client.kline_all(code, limit=limit)
    if limit is not None and tail and not joins(bars, tail):
        bars = await client.kline_all(code)
        limit = None
    if tail and (lost := lost_history(bars, tail, whole=limit is None)):
        bars = await client.kline_all(code)  # a short answer of a degraded upstream mends itself
        if lost := lost_history(bars, tail, whole=True):
            return Outcome(code, failure=f"{lost}; nothing was overwritten")
    found = accepted(code, bars, window, cursor)
    if must_have and found.failure is None and bars.dates[-1] < must_have:
        return replace(found, failure=f"no bar of {must_have}, though it traded the days before")
    return found


def accepted(code: str, bars: Bars, window: Window, cursor: date | None) -> Outcome:
    """What of an answer lands: plausible bars up to `until`, and from `since` on where nothing is
    stored. Where something is, bars left out would be a gap that no later load closes."""
    good, rejected = check_bars(code, bars, as_of=window.today, closed=window.closed)
    if not len(good):
        return Outcome(code, failure=ALL_BROKEN, rejected=rejected)
    first, last = window.since or date.min, window.until or date.max
    if cursor is not None:
        first = date.min
    good = good.take(window.within(good.dates, stored=cursor is not None))
    due = min(window.due, last)
    refused = next((r.rule for r in rejected if r.row_key == f"{code} {due}"), None)
    return Outcome(
        code,
        good,
        rejected,
        newest_final(good.dates, good.fetched_at),
        # a bar of long ago may never come right; the one that is due can
        failure=f"the bar of {due} was refused: {refused}" if refused else None,
        beside=gaps(code, bars, window.days, first, last),
    )


def gaps(
    code: str, bars: Bars, days: Sequence[date], first: date, last: date
) -> list[dict[str, Any]]:
    """Neighbouring bars of an answer, from `first` to `last`, with trading days between them: nobody
    traded the code then. `days` are the trading days, ascending."""
    dates = bars.dates[bisect_left(bars.dates, first) : bisect_right(bars.dates, last)]
    if not dates:
        return []
    between = days[bisect_left(days, dates[0]) : bisect_right(days, dates[-1])]
    missing = filterfalse(set(dates).__contains__, between)
    ends = dict.fromkeys(bisect_left(dates, day) for day in missing)
    return [
        {
            "code": code,
            "trade_date": dates[end],
            "last_bar_date": dates[end - 1],
            "source_route": ROUTE,
            "fetched_at": bars.fetched_at,
            "is_final": True,
        }
        for end in ends
    ]


def joins(bars: Bars, tail: Tail) -> bool:
    """Does an answer of the newest n bars reach back to what is stored, and agree with it?

    A close that differs from the stored one means that the service's history was corrected, maybe
    further back than the overlap.
    """
    newest = max(tail.closes)
    if bars.dates[0] > newest:
        return False
    return all(
        tail.closes.get(day, close) == close
        for day, close in zip(bars.dates, bars.close, strict=True)
    )


def lost_history(bars: Bars, tail: Tail, *, whole: bool) -> str | None:
    """What an answer lacks of the days that are stored, in words; None if nothing."""
    days = set(bars.dates)
    if whole and bars.dates[0] > tail.first:
        return f"the whole history begins {bars.dates[0]}, but {tail.first} is stored"
    lost = sorted(day for day in tail.closes if day >= bars.dates[0] and day not in days)
    if lost:
        return f"the answer lacks {len(lost)} stored days, the first {lost[0]}"
    return None


@dataclass(frozen=True)
class Lagging:
    """Codes that traded of late and have no bar of the day that is due, of `traded` that did."""

    codes: tuple[str, ...]
    traded: int

    @property
    def too_many(self) -> bool:
        """More than are suspended from one day to the next: the source is partial."""
        return len(self.codes) > max(MOST_SUSPENDED, SUSPENDED_SHARE * self.traded)


def lagging(
    conn: psycopg.Connection, codes: Sequence[str], days: Sequence[date], due: date
) -> Lagging:
    """Of some codes those whose newest bar is one of the last few days before `due`.

    Counted from the newest day before `due` that any of them has, so that a source which stood still
    for weeks is still seen to. What ended longer ago is suspended or delisted.
    """
    rows = conn.execute(
        """
        select c.code, k.trade_date
        from unnest(%s::text[]) as c (code)
        cross join lateral (
            select b.trade_date from raw_tdx.kline_daily as b
            where b.code = c.code and b.trade_date <= %s
            order by b.trade_date desc limit 1
        ) as k
        """,
        (list(codes), due),
    )
    newest: dict[str, date] = dict(rows.fetchall())
    before = max((day for day in newest.values() if day < due), default=date.min)
    last = bisect_left(days, due if due in newest.values() else before)
    since = days[max(last - OF_LATE, 0)]
    ends = Counter(day for day in newest.values() if day < due)
    # as many as are never suspended on one day ended for another reason, however long ago
    together = {
        d for d, n in ends.items() if n > max(MOST_SUSPENDED, SUSPENDED_SHARE * len(newest))
    }
    late = tuple(
        sorted(c for c, day in newest.items() if day < due and (day >= since or day in together))
    )
    return Lagging(late, len(late) + sum(day == due for day in newest.values()))


DATASET = Dataset("kline_daily", KLINE_DAILY, ROUTE, fetch, day_table, beside=ANSWER_GAP)
