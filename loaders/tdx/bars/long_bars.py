"""Bars of a day, a week or a month: the day that names each, and what of an answer lands.

The service stamps a bar with the last day that it covers, so the bar of an unfinished week has
another stamp each evening, and that of a stock which stopped trading in mid-week keeps an early one.
A row's key must not depend on that: `bar_end` is the close of the market's last trading day of that
week or month (a day to come while it is unfinished), `trade_date` the last day that the bar covers.
The bar is final once that last trading day is over.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.tdx.bars.plausibility import ALL_BROKEN, check_bars
from loaders.tdx.service.answers import Bars
from loaders.trading_time import close_of, is_final, newest_final, published_days

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


def accepted(key: str, bars: Bars, window: Window, *, stored: bool) -> Outcome:
    """What of an answer lands: plausible bars up to `until`, and from `since` on where nothing is
    `stored`. Where something is, bars left out would be a gap that no later load closes."""
    good, rejected = check_bars(key, bars, as_of=window.today, closed=window.closed)
    if not len(good):
        return Outcome(key, failure=ALL_BROKEN, rejected=rejected)
    good = good.take(window.within(good.dates, stored=stored))
    return Outcome(key, good, rejected, newest_final(good.dates, good.fetched_at))


def named(outcome: Outcome, period: str, known: Sequence[date]) -> Outcome:
    """Accepted bars with the days that name them; these decide which is final."""
    if outcome.rows is None:
        return outcome
    bars: Bars = outcome.rows
    ends = ends_of(bars.dates, period, known)
    final = [d for d, end in zip(bars.dates, ends, strict=True) if is_final(end, bars.fetched_at)]
    cursor = final[-1] if final else None
    return replace(outcome, rows=LongBars(bars, ends, period), cursor=cursor)


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


def arrow_columns(code: str, named: LongBars) -> dict[str, pa.Array]:
    """The bars as the columns of a table that holds several periods."""
    bars = named.bars
    return day_columns(code, bars, named.ends) | {
        "period": pa.repeat(pa.scalar(named.period), len(bars)),
        "bar_end": pa.array([close_of(day) for day in named.ends], _STAMP),
        "up_count": pa.array(bars.up, pa.int64()),
        "down_count": pa.array(bars.down, pa.int64()),
    }
