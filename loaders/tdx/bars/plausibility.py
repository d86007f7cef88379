"""Checks whether bars can be true.

Their shapes were checked before (loaders.tdx.client.answers). A single impossible bar is rejected
with the rule that it breaks; the rest lands. An answer with mostly impossible bars is no data at
all: a request for an index on a stock route succeeds, with prices, days and volumes made of
misaligned bytes.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import orjson

from loaders.engine.window import Window
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import records
from loaders.tdx.bars.records import MINUTE_US, NUMBERS, PRICES, Ints, Mask, Records
from loaders.tdx.bars.untraded import find_untraded
from loaders.tdx.client.answers_intraday import MINUTES_OF
from loaders.tdx.tables import MOST
from loaders.trading_time import FIRST_CHINESE_DAY, FIRST_COMMON_DAY
from quotemill.errors import DataQualityError

Rule: TypeAlias = tuple[str, str, Mask]  # field, what must hold, the bars that break it

LATE = "day must not lie in the future"
ALL_BROKEN = "every bar in the response broke a rule"
# real files have one or two stray records (out of order, of a future day, repeated in other words),
# misaligned bytes and another format break most
MIN_BROKEN, BROKEN_SHARE = 3, 0.1
# reverse splits of four and eight to one are real, each once in a history; an index that is read as
# a stock jumps every few days
JUMP, MIN_JUMPS, JUMP_SHARE = 3, 3, 0.02
MIN_BARS_OF_SPACING = 10  # of fewer, all can lie at multiples by chance


class Implausible(DataQualityError):
    """A whole answer that cannot be market data."""


def check(
    code: str, bars: Records, period: str, window: Window, *, adjusted: bool = False
) -> tuple[Records, list[Rejected]]:
    """The bars that can be true, and a Rejected for each rule that a bar breaks.

    Days without a trade are left out (loaders.tdx.bars.untraded), except those of an index. Prices
    of `adjusted` bars may be negative and may jump. Raises Implausible for an answer that is wrong
    as a whole: mostly impossible bars, jumps that no market makes (an index read as a stock), or
    minute bars of another length than requested.
    """
    if not len(bars):
        return bars, []
    timed = period in MINUTES_OF
    route = records.ROUTES[bars["route"][0]].removeprefix("/api/")
    subject = code if timed else f"{route} {code}"
    rules = [
        *_number_rules(bars, -MOST["low"] if adjusted else 1),
        *(_time_rules(code, bars, period, window) if timed else _day_rules(code, bars, window)),
    ]
    broken = np.logical_or.reduce([mask for _, _, mask in rules])
    # a misdated day costs only itself, if there are others
    counting = [rule for rule in rules if rule[1] != LATE or broken.all()]
    _refuse_nonsense(subject, counting, name_worst=timed)
    good = records.select(bars, ~broken)
    if timed:
        _refuse_jumps(subject, good["close"], "{} times in {} bars")
        _refuse_other_spacing(subject, good, period)
        if not route.startswith("index"):
            good = records.select(good, ~find_untraded(good, period))
    elif not adjusted:
        _refuse_jumps(subject, bars["close"], "on {} of {} days")
    return good, [
        _rejected(code, bars[i], name, rule, timed=timed)
        for i in np.flatnonzero(broken)
        for name, rule, mask in rules
        if mask[i]
    ]


def is_nonsense(broken: int, size: int) -> bool:
    """Whether so many of the records of an answer or a file are impossible that it is no data."""
    return broken >= MIN_BROKEN and broken > BROKEN_SHARE * size


def _number_rules(bars: Records, least: int) -> Iterator[Rule]:
    """Rules for prices, volume and turnover."""
    for name in PRICES:
        yield name, f"price must be above {least - 1}", bars[name] < least
    high, low = bars["high"], bars["low"]
    yield "high", "high must not be below low", high < low
    for name in ("open", "close"):
        outside = ((bars[name] < low) | (bars[name] > high)) & (high >= low)
        yield name, f"{name} must lie between low and high", outside
    yield "volume", "volume must not be negative", bars["volume"] < 0
    yield "amount", "amount must not be negative", bars["amount"] < 0
    for name in NUMBERS:
        yield name, f"{name} must be at most {MOST[name]}", bars[name] > MOST[name]


def _day_rules(code: str, bars: Records, window: Window) -> Iterator[Rule]:
    future = bars["day"] > records.to_number(window.today)
    early = bars["day"] < records.to_number(FIRST_CHINESE_DAY)
    yield "trade_date", LATE, future
    yield "trade_date", f"no exchange traded before {FIRST_CHINESE_DAY}", early
    shut = _shut(code, bars, window) & ~future & ~early
    yield "trade_date", "the exchange was closed on this day", shut
    # identical bars were merged when the answer was read, so any two differ
    yield "trade_date", "bars of one day must not contradict each other", _contradicting(bars)


def _time_rules(code: str, bars: Records, period: str, window: Window) -> Iterator[Rule]:
    allowed = np.append(records.grid(period), records.NOON_ASKEW)
    yield "bar_end", f"no bar of {period} ends at this time", ~np.isin(bars["label"], allowed)
    yield "bar_end", "bars of one label must not contradict each other", _contradicting(bars)
    ends = (records.to_minutes(bars) - records.ZONE_MINUTES) * MINUTE_US
    late = bars["day"] > records.to_number(window.today)
    yield "trade_date", LATE, late
    slack = (MINUTES_OF[period] + records.SLACK_MINUTES) * MINUTE_US
    if period == "hour":  # the running bar can span noon
        slack += 90 * MINUTE_US
    yield "bar_end", "bar must not end in the future", (ends > bars["fetched"] + slack) & ~late
    yield "trade_date", "the exchange was closed on this day", _shut(code, bars, window)


def _shut(code: str, bars: Records, window: Window) -> Mask:
    """Bars of days on which the exchange was closed according to every known calendar."""
    # most days are known, so a file is checked without a date object for each bar
    doubtful = bars["day"][~records.among(bars["day"], window.day_numbers)]
    if code.startswith("sz"):
        doubtful = doubtful[doubtful >= records.to_number(FIRST_COMMON_DAY)]
    if len(doubtful) and window.own_days is not None:
        doubtful = doubtful[~np.isin(doubtful, window.own_days(code[:2]))]
    return records.in_days(bars, filter(window.closed, records.to_dates(np.unique(doubtful))))


def _contradicting(bars: Records) -> Mask:
    if (np.diff(records.to_minutes(bars)) > 0).all():
        return np.zeros(len(bars), np.bool_)
    _, where, count = np.unique(records.to_minutes(bars), return_inverse=True, return_counts=True)
    return np.asarray(count[where] > 1)


def _refuse_nonsense(subject: str, rules: Sequence[Rule], *, name_worst: bool) -> None:
    """Raise Implausible for an answer of mostly impossible bars."""
    broken = np.logical_or.reduce([mask for _, _, mask in rules])
    count, size = int(broken.sum()), len(broken)
    if not is_nonsense(count, size):
        return
    name, rule, _ = max(rules, key=lambda r: int(r[2].sum()))
    worst = f", most of them for {name}: {rule}" if name_worst else ""
    raise Implausible(
        f"{subject}: {count} of {size} bars break a rule{worst}, so the whole response is rejected",
        hint="Check whether an index was requested as a stock, and whether the calendar "
        "is correct.",
    )


def _refuse_jumps(subject: str, closes: Ints, how_often: str) -> None:
    """Raise Implausible for jumps that no market makes.

    how_often: format string with two places, for the number of jumps and of bars
    """
    before, after = closes[:-1].astype(np.float64), closes[1:].astype(np.float64)
    jumps = int(((after > JUMP * before) | (before > JUMP * after)).sum())
    if jumps >= max(MIN_JUMPS, JUMP_SHARE * len(closes)):
        raise Implausible(
            f"{subject}: the close jumps by more than a factor of {JUMP} "
            f"{how_often.format(jumps, len(closes))}, so the whole response is rejected",
            hint="Check whether an index was requested as a stock.",
        )


def _refuse_other_spacing(subject: str, bars: Records, period: str) -> None:
    """Raise Implausible for bars further apart: an unknown period is answered so."""
    at = np.searchsorted(records.grid(period), bars["label"]) + 1
    for times in (2, 3, 4, 5):
        if len(bars) >= MIN_BARS_OF_SPACING and not (at % times).any():
            raise Implausible(
                f"{subject}: {period} bars were requested, but these are {times} times as "
                "far apart, so the whole response is rejected"
            )


def _rejected(code: str, bar: np.void, field: str, rule: str, *, timed: bool) -> Rejected:
    day = records.to_date(bar["day"]).isoformat()
    place = (
        {"day": day, "label": records.to_clock(int(bar["label"]))} if timed else {"trade_date": day}
    )
    numbers = {name: int(bar[name]) for name in (*NUMBERS, "up", "down")}
    at = " ".join(place.values())
    return Rejected(
        row_key=f"{code} {at}",
        field=field,
        rule=rule,
        value=str(numbers.get(field, at)),
        payload=orjson.dumps({"code": code} | place | numbers).decode(),
    )
