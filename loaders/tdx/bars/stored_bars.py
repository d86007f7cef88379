"""Stored bars of a day or longer, and whether an answer joins them.

The service has no ranges: an answer is the newest n bars or all of them. An answer narrower than
what is stored never lands.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import psycopg
from psycopg import sql

from loaders.engine.outcome import SourceGone
from loaders.tdx.client.answers import Bars
from loaders.tdx.queries import query
from loaders.warehouse.distribution import relate_codes
from loaders.warehouse.tables import LandedTable
from quotemill.errors import DataQualityError, UpstreamError

T = TypeVar("T")


class LostHistory(DataQualityError):
    """An answer lacks days that are stored."""


@dataclass(frozen=True)
class Stored:
    """Final bars that are stored of a key.

    first, newest: first and newest day
    closes: closes of some of the newest days, by day, where they are compared
    routes: source of these closes, by day
    """

    first: date
    newest: date
    closes: Mapping[date, int] = field(default_factory=dict)
    routes: Mapping[date, str] = field(default_factory=dict)

    def closes_by(self, is_theirs: Callable[[str], bool]) -> dict[date, int]:
        """The closes from routes for which `is_theirs` holds, by day."""
        return {d: close for d, close in self.closes.items() if is_theirs(self.routes.get(d, ""))}

    def beside_file(self) -> "Stored":
        """Only the newest day: what an answer must join where a file holds the past."""
        return Stored(date.max, self.newest)

    def agrees(self, bars: Bars) -> bool:
        """Whether `bars` reach back to the newest stored day and have the stored closes."""
        return bars.dates[0] <= self.newest and all(
            self.closes.get(day, close) == close
            for day, close in zip(bars.dates, bars.close, strict=True)
        )

    def lost(self, bars: Bars, *, is_all: bool) -> str | None:
        """A message about stored days that an answer (the history if `is_all`) lacks."""
        if is_all and bars.dates[0] > self.first:
            return f"the full history starts on {bars.dates[0]}, but {self.first} is stored"
        lost = sorted({d for d in self.closes if d >= bars.dates[0]}.difference(bars.dates))
        if lost:
            return f"the response is missing {len(lost)} stored days (first: {lost[0]})"
        if bars.dates[-1] < self.newest:
            return f"the response ends on {bars.dates[-1]}, but {self.newest} is stored"
        return None

    def refuse_loss(self, bars: Bars) -> None:
        """Raise LostHistory for a whole history that lacks stored days."""
        if lost := self.lost(bars, is_all=True):
            raise LostHistory(f"{lost}. Nothing was overwritten")


def read_stored(
    conn: psycopg.Connection,
    table: LandedTable,
    codes: Sequence[str],
    period: str | None = None,
    *,
    closes: int = 0,
) -> dict[str, Stored]:
    """Read the final bars of each code, with one index probe for each end of it.

    period: needed if the table has several
    closes: number of newest closes to read
    """
    query = sql.SQL(
        "select c.code, f.trade_date, t.trade_date, t.close, t.route from {codes}"
        " cross join lateral ({first} limit 1) as f cross join lateral ({newest} limit %s) as t"
    )
    by_code_query = sql.SQL(
        "select t.trade_date, t.close, {route} as route from {table} as t"
        " where t.code = c.code and t.is_final{period} order by t.{order} "
    ).format(
        # nothing compares minutes, whose routes are numbers
        route=sql.SQL("null::text" if table.numbered else "t.source_route"),
        table=sql.Identifier(table.dataset, table.name),
        period=sql.SQL(" and t.period = {}").format(period) if period else sql.SQL(""),
        order=sql.Identifier(table.key[-1]),
    )
    relation = relate_codes(conn, table.qualified, "%s")
    first, newest = by_code_query + sql.SQL("asc"), by_code_query + sql.SQL("desc")
    rows = conn.execute(
        query.format(first=first, newest=newest, codes=sql.SQL(relation)),
        (list(codes), max(closes, 1)),
    )
    by_code: dict[str, tuple[date, dict[date, int], dict[date, str]]] = {}
    for code, begin, day, close, route in rows:
        _, by_day, routes = by_code.setdefault(code, (begin, {}, {}))
        by_day[day], routes[day] = close, route
    return {
        code: Stored(begin, max(by_day), by_day if closes else {}, routes)
        for code, (begin, by_day, routes) in by_code.items()
    }


def newest_days(
    conn: psycopg.Connection, codes: Sequence[str], *, traded: bool = False
) -> dict[str, date]:
    """Day of the newest day bar, finished or not, by code; `traded`: of those with a trade."""
    text = query("newest_day_bars", traded=" and (b.volume > 0 or b.amount > 0)" if traded else "")
    return dict(conn.execute(text, (list(codes),)).fetchall())


async def join_or_reload(
    bars: Bars,
    all_bars: Callable[[], Awaitable[Bars]],
    cursor: date | None,
    stored: Stored | None,
    *,
    limited: bool,
) -> Bars:
    """The answer if it joins what is stored, else `all_bars`. Raises LostHistory.

    limited: `bars` are only the newest ones
    """
    gap = cursor is not None and bars.dates[0] > cursor
    if limited and (gap or (stored is not None and not stored.agrees(bars))):
        bars, limited = await all_bars(), False
    if stored is not None and stored.lost(bars, is_all=not limited):
        bars = await all_bars()
        stored.refuse_loss(bars)
    return bars


async def ask_newest_else_all(
    newest: Awaitable[T] | None,
    everything: Callable[[], Awaitable[T]],
    lacks: Callable[[T], str | None],
    way: str,
) -> tuple[T, str | None]:
    """The newest bars if they suffice, else all, and why all were requested.

    newest: request for the newest bars; None requests all without a reason
    lacks: message about what the newest bars lack, or None
    way: the first route and its replacement, for the reason
    """
    if newest is None:
        return await everything(), None
    try:
        bars = await newest
    except SourceGone:
        raise
    except UpstreamError:
        why: str | None = "no response"
    else:
        why = lacks(bars)
        if why is None:
            return bars, None
    return await everything(), f"{way}: {why}"
