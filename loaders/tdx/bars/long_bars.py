"""Bars of a day, a week or a month: the day that names each, and what of an answer lands.

The service stamps a bar with the last day that it covers, so the bar of an unfinished week has
another stamp each evening, and that of a stock which stopped trading in mid-week keeps an early one.
A row's key must not depend on that: `bar_end` is the close of the market's last trading day of that
week or month (a day to come while it is unfinished), `trade_date` the last day that the bar covers.
The bar is final once that last trading day is over.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.tdx.bars import plausibility, records
from loaders.tdx.client.answers import Bars
from loaders.trading_time import published_days

_MONTH = timedelta(days=31)


def trading_days(window: Window) -> list[date]:
    """Every day that one of the two calendars knows, up to a month ahead."""
    published = published_days(window.days[0], window.today + _MONTH)
    return sorted({*window.days, *published})


def ends_of(days: Sequence[date], period: str, known: Sequence[date]) -> list[date]:
    """The last trading day of each bar's period; `days` are the last that the bars cover, ascending.

    Of two bars in one period only the later one gets it; the earlier keeps its own day.
    """
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
    key: str,
    bars: Bars,
    window: Window,
    period: str = "day",
    known: Sequence[date] = (),
    *,
    stored: bool,
) -> Outcome:
    """What of an answer lands: plausible bars up to `until`, and from `since` on where nothing is
    `stored`. Where something is, bars left out would be a gap that no later load closes. `known` are
    all trading days, of which weeks and months need the last one."""
    good, rejected = plausibility.check(key, records.of_answer(bars), period, window)
    if not len(good):
        return Outcome(key, failure=plausibility.ALL_BROKEN, rejected=rejected)
    good = good[window.within(records.dates_of(good["day"]), stored=stored)]
    if period != "day":
        good["end"] = records.numbers_of(ends_of(records.dates_of(good["day"]), period, known))
    good["final"] = records.fetched_after_close(good)
    return records.outcome(key, good, rejected)
