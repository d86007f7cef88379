"""What is stored of bars of a day or longer, and whether an answer joins it.

The service has no ranges: an answer is the newest n bars or all of them. Nothing narrower than what is
stored is ever landed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import psycopg
from psycopg import sql

from loaders.engine.outcome import SourceGone
from loaders.errors import DataQualityError, UpstreamError
from loaders.tdx.client.answers import Bars
from loaders.warehouse.tables import LandedTable

T = TypeVar("T")


class LostHistory(DataQualityError):
    """An answer lacks days that are stored."""


@dataclass(frozen=True)
class Stored:
    """The first and the newest day that a key has final bars of; and of some of the newest, where they
    are compared, the close and the route that told it, by day."""

    first: date
    newest: date
    closes: Mapping[date, int] = field(default_factory=dict)
    routes: Mapping[date, str] = field(default_factory=dict)

    def closes_by(self, is_theirs: Callable[[str], bool]) -> dict[date, int]:
        """The closes that some routes told."""
        return {d: close for d, close in self.closes.items() if is_theirs(self.routes.get(d, ""))}

    def beside_file(self) -> "Stored":
        """What an answer of the service must join where a file holds the past: the newest day alone."""
        return Stored(date.max, self.newest)

    def agrees(self, bars: Bars) -> bool:
        """A close that differs from the stored one means that the service's history was corrected,
        maybe further back than the answer."""
        return bars.dates[0] <= self.newest and all(
            self.closes.get(day, close) == close
            for day, close in zip(bars.dates, bars.close, strict=True)
        )

    def lost(self, bars: Bars, *, is_all: bool) -> str | None:
        """What an answer lacks of the days that are stored, in words; None if nothing."""
        if is_all and bars.dates[0] > self.first:
            return f"the whole history begins {bars.dates[0]}, but {self.first} is stored"
        lost = sorted({d for d in self.closes if d >= bars.dates[0]}.difference(bars.dates))
        if lost:
            return f"the answer lacks {len(lost)} stored days, the first {lost[0]}"
        if bars.dates[-1] < self.newest:
            return f"the answer ends {bars.dates[-1]}, but {self.newest} is stored"
        return None

    def refuse_loss(self, bars: Bars) -> None:
        """Raises LostHistory for a whole series that lacks what is stored."""
        if lost := self.lost(bars, is_all=True):
            raise LostHistory(f"{lost}; nothing was overwritten")


def stored(
    conn: psycopg.Connection,
    table: LandedTable,
    codes: Sequence[str],
    period: str | None = None,
    *,
    closes: int = 0,
) -> dict[str, Stored]:
    """What is stored as final of each code, of one period if the table has several, with as many of
    the newest closes. One index probe for each end of a code."""
    query = sql.SQL(
        "select c.code, f.trade_date, t.trade_date, t.close, t.route from unnest(%s::text[]) as c (code)"
        " cross join lateral ({first} limit 1) as f cross join lateral ({newest} limit %s) as t"
    )
    of_code = sql.SQL(
        "select t.trade_date, t.close, {route} as route from {table} as t"
        " where t.code = c.code and t.is_final{period} order by t.{order} "
    ).format(
        # minutes, whose routes are numbers, are compared by nobody
        route=sql.SQL("null::text" if table.numbered else "t.source_route"),
        table=sql.Identifier(table.dataset, table.name),
        period=sql.SQL(" and t.period = {}").format(period) if period else sql.SQL(""),
        order=sql.Identifier(table.key[-1]),
    )
    first, newest = of_code + sql.SQL("asc"), of_code + sql.SQL("desc")
    rows = conn.execute(query.format(first=first, newest=newest), (list(codes), max(closes, 1)))
    found: dict[str, tuple[date, dict[date, int], dict[date, str]]] = {}
    for code, begin, day, close, route in rows:
        _, by_day, routes = found.setdefault(code, (begin, {}, {}))
        by_day[day], routes[day] = close, route
    return {
        code: Stored(begin, max(by_day), by_day if closes else {}, routes)
        for code, (begin, by_day, routes) in found.items()
    }


def newest_days(
    conn: psycopg.Connection, codes: Sequence[str], until: date = date.max
) -> dict[str, date]:
    """The newest day bar of each code, up to `until`, finished or not. One index probe for each."""
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
        (list(codes), until),
    )
    return dict(rows.fetchall())


async def joined(
    bars: Bars,
    all_bars: Callable[[], Awaitable[Bars]],
    cursor: date | None,
    stored: Stored | None,
    *,
    limited: bool,
) -> Bars:
    """The answer if it joins what is stored, else `all_bars`. Raises LostHistory.

    `limited` tells that `bars` are only the newest ones. A short answer of a degraded upstream mends
    itself by the second reading.
    """
    gap = cursor is not None and bars.dates[0] > cursor
    if limited and (gap or (stored is not None and not stored.agrees(bars))):
        bars, limited = await all_bars(), False
    if stored is not None and stored.lost(bars, is_all=not limited):
        bars = await all_bars()
        stored.refuse_loss(bars)
    return bars


async def newest_else_all(
    newest: Awaitable[T] | None,
    everything: Callable[[], Awaitable[T]],
    lacks: Callable[[T], str | None],
    way: str,
) -> tuple[T, str | None]:
    """The newest bars if they are asked for and suffice, else all; and why all were asked for.

    `lacks` says in words what the newest ones lack, `way` which route stood in for which.
    """
    if newest is None:
        return await everything(), None
    try:
        bars = await newest
    except SourceGone:
        raise
    except UpstreamError:
        why: str | None = "no answer"
    else:
        why = lacks(bars)
        if why is None:
            return bars, None
    return await everything(), f"{way}: {why}"
