"""Bars of a day, a week or a month: the day that names each, and which bars land.

The service stamps a bar with the last day that it covers. The bar of an unfinished week therefore
has a new stamp each evening; that of a stock that stopped trading in mid-week keeps an early one. A
row's key must not depend on that: `bar_end` is the close of the market's last trading day of that
week or month (a future day while it is unfinished), `trade_date` the last day that the bar covers.
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
    """Trading days of either calendar, ascending, up to 31 days ahead."""
    published = published_days(window.days[0], window.today + _MONTH)
    return sorted({*window.days, *published})


def find_period_ends(days: Sequence[date], period: str, known: Sequence[date]) -> list[date]:
    """The last trading day of each bar's period; of two bars in one, for the later.

    days: last day that each bar covers, ascending
    known: all trading days, ascending
    """
    ends = [_last_day(day, period, known) for day in days]
    own_ends = [
        day if end == following else end
        for day, (end, following) in zip(days[:-1], pairwise(ends), strict=True)
    ]
    return own_ends + ends[-1:]


def _last_day(day: date, period: str, known: Sequence[date]) -> date:
    if period == "week":
        after = day + timedelta(days=7 - day.weekday())
    else:
        after = (day.replace(day=1) + _MONTH).replace(day=1)
    at = bisect_left(known, after)
    return max(day, known[at - 1]) if at else day


def select_bars(
    key: str,
    bars: Bars,
    window: Window,
    period: str = "day",
    known: Sequence[date] = (),
    *,
    stored: bool,
) -> Outcome:
    """The bars of an answer that land: plausible ones up to `until`.

    Bars before `since` are left out only if nothing is `stored`; otherwise they would leave a gap
    that no later load closes.
    known: all trading days, ascending; only weeks and months need them
    """
    good, rejected = plausibility.check(key, records.from_answer(bars), period, window)
    if not len(good):
        return Outcome(key, failure=plausibility.ALL_BROKEN, rejected=rejected)
    good = good[window.within(records.to_dates(good["day"]), stored=stored)]
    if period != "day":
        good["end"] = records.to_numbers(
            find_period_ends(records.to_dates(good["day"]), period, known)
        )
    good["final"] = records.fetched_after_close(good)
    return records.outcome(key, good, rejected)
