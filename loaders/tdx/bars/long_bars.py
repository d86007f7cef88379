"""Week and month bars: the day that names each, and what of an answer lands.

The service stamps a bar with the last day that it covers, so the bar of an unfinished week has
another stamp each evening, and that of a stock which stopped trading in mid-week keeps an early one.
A row's key must not depend on that: `bar_end` is the close of the market's last trading day of that
week or month (a day to come while it is unfinished), `trade_date` the last day that the bar covers.
The bar is final once that last trading day is over.
"""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

import psycopg
import pyarrow as pa
from psycopg import sql

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.tdx.bars.plausibility import ALL_BROKEN, check_bars
from loaders.tdx.service.answers import Bars
from loaders.trading_time import close_of, is_final, published_days
from loaders.warehouse.tables import LandedTable

_MONTH = timedelta(days=31)
_STAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class LongBars:
    """Bars of days, weeks or months, and for each the last trading day of its period."""

    bars: Bars
    ends: list[date]
    period: str

    def __len__(self) -> int:
        return len(self.bars)


class Span(NamedTuple):
    """The first and the newest day that a key has final bars of."""

    first: date
    newest: date


def spans(
    conn: psycopg.Connection, table: LandedTable, keys: Sequence[str], period: str | None
) -> dict[str, Span]:
    """What is stored as final of some codes, of one period if the table has several."""
    stored = sql.SQL(
        "select t.trade_date from {table} as t where t.code = c.code and t.is_final{period}"
        " order by t.{order} {direction} limit 1"
    )
    parts = [
        stored.format(
            table=sql.Identifier(table.dataset, table.name),
            period=sql.SQL(" and t.period = {}").format(period) if period else sql.SQL(""),
            order=sql.Identifier(table.key[-1]),
            direction=sql.SQL(direction),
        )
        for direction in ("asc", "desc")
    ]
    rows = conn.execute(
        sql.SQL(
            "select c.code, f.trade_date, n.trade_date from unnest(%s::text[]) as c (code)"
            " cross join lateral ({}) as f cross join lateral ({}) as n"
        ).format(*parts),
        (list(keys),),
    )
    return {code: Span(first, newest) for code, first, newest in rows}


def lost_history(bars: Bars, span: Span, *, whole: bool) -> str | None:
    """What an answer lacks of the days that are stored, in words; None if nothing."""
    if bars.dates[-1] < span.newest:
        return f"the answer ends {bars.dates[-1]}, but {span.newest} is stored"
    if whole and bars.dates[0] > span.first:
        return f"the whole history begins {bars.dates[0]}, but {span.first} is stored"
    return None


async def joined(
    bars: Bars,
    whole: Callable[[], Awaitable[Bars]],
    cursor: date | None,
    span: Span | None,
    *,
    limited: bool,
) -> tuple[Bars, str | None]:
    """The answer if it joins what is stored, else the `whole` series, and in words what that lacks.

    `limited` tells that `bars` are only the newest ones. A short answer of a degraded upstream mends
    itself by the second reading.
    """
    if limited and cursor is not None and bars.dates[0] > cursor:
        bars, limited = await whole(), False
    if span is None or lost_history(bars, span, whole=not limited) is None:
        return bars, None
    bars = await whole()
    return bars, lost_history(bars, span, whole=True)


def trading_days(window: Window) -> list[date]:
    """Every day that one of the two calendars knows, up to a month ahead."""
    published = published_days(window.days[0], window.today + _MONTH)
    return sorted({*window.days, *published})


def ends_of(days: Sequence[date], period: str, known: Sequence[date]) -> list[date]:
    """The last trading day of each bar's period; `days` are the last that the bars cover, ascending.

    Of two bars in one period only the later one gets it; the earlier keeps its own day.
    """
    if period == "day":
        return list(days)
    ends = [_last_day(day, period, known) for day in days]
    kept = [
        day if end == following else end
        for day, (end, following) in zip(days[:-1], pairwise(ends), strict=True)
    ]
    return kept + ends[-1:]


def _last_day(day: date, period: str, known: Sequence[date]) -> date:
    if period == "week":
        after = day + timedelta(days=7 - day.weekday())
    else:
        after = (day.replace(day=1) + _MONTH).replace(day=1)
    at = bisect_left(known, after)
    return max(day, known[at - 1]) if at else day


def accepted(
    key: str, bars: Bars, period: str, window: Window, known: Sequence[date], *, stored: bool
) -> Outcome:
    """What of an answer lands: plausible bars up to `until`, and from `since` on where nothing is
    `stored`. Where something is, bars left out would be a gap that no later load closes."""
    good, rejected = check_bars(key, bars, as_of=window.today, closed=window.closed)
    if not len(good):
        return Outcome(key, failure=ALL_BROKEN, rejected=rejected)
    good = good.take(window.within(good.dates, stored=stored))
    ends = ends_of(good.dates, period, known)
    final = [
        day for day, end in zip(good.dates, ends, strict=True) if is_final(end, good.fetched_at)
    ]
    cursor = final[-1] if final else None
    return Outcome(key, LongBars(good, ends, period), rejected, cursor)


def day_columns(code: str, bars: Bars, ends: Sequence[date]) -> dict[str, pa.Array]:
    """Bars as the columns that all tables of them have; `ends` are the days that make each final."""
    size = len(bars)
    return {
        "code": pa.repeat(pa.scalar(code), size),
        "trade_date": pa.array(bars.dates, pa.date32()),
        **{
            name: pa.array(getattr(bars, name), pa.int64())
            for name in ("open", "high", "low", "close", "volume", "amount")
        },
        "source_route": pa.repeat(pa.scalar(f"/api/{bars.source_route}"), size),
        "fetched_at": pa.repeat(pa.scalar(bars.fetched_at, _STAMP), size),
        "is_final": pa.array([is_final(day, bars.fetched_at) for day in ends], pa.bool_()),
    }


def day_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The day bars of some codes."""
    return pa.concat_tables(
        pa.table(day_columns(o.key, o.rows, o.rows.dates)) for o in outcomes if o.rows
    )


def arrow_columns(code: str, found: LongBars) -> dict[str, pa.Array]:
    """The bars as the columns of a table that holds several periods."""
    bars, size = found.bars, len(found)
    return day_columns(code, bars, found.ends) | {
        "period": pa.repeat(pa.scalar(found.period), size),
        "bar_end": pa.array([close_of(day) for day in found.ends], _STAMP),
        "up_count": pa.array(bars.up, pa.int64()),
        "down_count": pa.array(bars.down, pa.int64()),
    }
