"""Bars of parts of a day in numpy: their labels, the repair of noon, what can be true, what is whole.

One record is one bar: `day` counts days from 1970-01-01 and `label` minutes from midnight of the
exchange's wall clock, both of the bar's end. A day runs from 09:30 to 11:30 and from 13:00 to 15:00.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from loaders.engine.rejects import Rejected
from loaders.engine.window import Window
from loaders.tdx.bars.plausibility import (
    NUMBERS,
    PRICES,
    Implausible,
    Ints,
    Mask,
    Rule,
    broken_by,
    number_rules,
    refuse_jumps,
    refuse_nonsense,
)
from loaders.tdx.service.answers_intraday import MINUTES_OF, MinutePoints, TimedBars, labels
from loaders.trading_time import SHANGHAI, SHANGHAI_FINAL, published_days

Records: TypeAlias = NDArray[np.void]

RECORD = np.dtype(
    [("day", "i4"), ("label", "i2"), ("source_label", "i2")]
    + [(name, "i8") for name in NUMBERS]
    + [("up", "i8"), ("down", "i8"), ("route", "i1"), ("fetched", "i8"), ("final", "?")]
)
NO_AMOUNT = -1  # turnover that the route does not tell
ROUTES = (
    "/api/kline-history",
    "/api/kline-all",
    "/api/index",
    "/api/index/all",
    "/api/minute",
    "vipdoc/minline",
    "vipdoc/fzline",
)

NOON, NOON_ASKEW, FIRST_OF_AFTERNOON, CLOSE = 690, 780, 781, 900
OPENING = time(9, 30)
DAY_MINUTES = 1440
MINUTE_US = 60_000_000
ZONE_MINUTES = 8 * 60  # Shanghai is ahead of UTC
SLACK_MINUTES = 5  # by which the service's clock may be ahead of ours
MIN_BARS_OF_SPACING = 10
EPOCH = date(1970, 1, 1)
_EPOCH_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(DAY_MINUTES)]
_STAMP = pa.timestamp("us", tz="UTC")


def number_of(day: date) -> int:
    return (day - EPOCH).days


def day_of(number: int) -> date:
    return EPOCH + timedelta(days=int(number))


def numbers_of(days: Iterable[date]) -> Ints:
    return np.array([number_of(day) for day in days], np.int64)


@cache
def grid(period: str) -> Ints:
    """The labels of a whole day, ascending."""
    return np.array([int(text[:2]) * 60 + int(text[3:]) for text in labels(period)])


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH_INSTANT) // timedelta(microseconds=1)


def empty() -> Records:
    return np.zeros(0, RECORD)


def of_answer(bars: TimedBars) -> Records:
    """An answer's bars with noon repaired."""
    records = np.zeros(len(bars), RECORD)
    minutes = np.array(bars.stamps, "datetime64[m]").astype(np.int64)
    records["day"], records["label"] = np.divmod(minutes, DAY_MINUTES)
    for name in (*NUMBERS, "up", "down"):
        records[name] = getattr(bars, name)
    return repaired(_stamped(records, f"/api/{bars.source_route}", bars.fetched_at))


def of_points(points: MinutePoints, divisor: int) -> Records:
    """Minutes known by one price and a volume: open, high, low and close are that price."""
    records = np.zeros(len(points), RECORD)
    records["day"] = number_of(points.day)
    records["label"] = grid("minute1")[: len(points)]
    for name in PRICES:
        records[name] = points.price
        records[name] //= divisor
    records["volume"], records["amount"] = points.number, NO_AMOUNT
    return repaired(_stamped(records, f"/api/{points.source_route}", points.fetched_at))


def _stamped(bars: Records, route: str, fetched_at: datetime) -> Records:
    bars["route"] = ROUTES.index(route)
    bars["fetched"] = microseconds(fetched_at)
    return bars


def repaired(bars: Records) -> Records:
    """Keeps each label as it came in `source_label`; 13:00 becomes 11:30 on days without that bar.

    The service calls the noon bar 13:00 or 11:30, and the same bar differently at different hours.
    """
    bars["source_label"] = bars["label"]
    askew = bars["label"] == NOON_ASKEW
    if askew.any():
        named = bars["day"][bars["label"] == NOON]
        bars["label"][askew & ~np.isin(bars["day"], named)] = NOON
        bars.sort(order=["day", "label"], kind="stable")
    return bars


def merged(*parts: Records) -> Records:
    """All bars in order of time; of one label the bar of the first part that has it."""
    bars = np.concatenate(parts)
    _, first = np.unique(_minutes(bars), return_index=True)
    return bars[first]


def in_days(bars: Records, days: Iterable[date]) -> Mask:
    return np.isin(bars["day"], numbers_of(days))


def days_in(bars: Records) -> list[date]:
    return [day_of(number) for number in np.unique(bars["day"])]


def better(before: Records, bars: Records, period: str) -> Records:
    """Whole days stay as they are; of the others the later answer counts."""
    settled = whole_days(before, period)
    return merged(bars[~in_days(bars, settled)], before)


def bars_back_to(window: Window, first: date, period: str, now: datetime) -> int:
    """How many bars a code can have from the day `first` on until `now`."""
    days = bisect_right(window.days, window.due) - bisect_left(window.days, first)
    return max(days, 0) * len(grid(period)) + _running(window, period, now)


def _running(window: Window, period: str, now: datetime) -> int:
    """Bars of today while it is not finished; 0 if it is no trading day."""
    today = window.today
    if today <= window.due or (today not in window.days and not published_days(today, today)):
        return 0
    clock = now.astimezone(SHANGHAI)
    begun = int((grid(period) <= clock.hour * 60 + clock.minute + SLACK_MINUTES).sum())
    return min(begun + 1, len(grid(period))) if clock.time() >= OPENING else 0


def whole_days(bars: Records, period: str) -> set[date]:
    """Days of which every bar is there.

    13:01 may be missing where noon was labelled 13:00: that bar then holds both minutes.
    """
    if not len(bars):
        return set()
    days, where = np.unique(bars["day"], return_inverse=True)
    on_grid = np.isin(bars["label"], grid(period))
    count = np.bincount(where[on_grid], minlength=len(days))
    askew = np.bincount(where[bars["source_label"] == NOON_ASKEW], minlength=len(days)) > 0
    second = np.bincount(where[bars["label"] == FIRST_OF_AFTERNOON], minlength=len(days)) > 0
    size = len(grid(period))
    full = (count == size) | ((period == "minute1") & (count == size - 1) & askew & ~second)
    return {day_of(number) for number in days[full]}


def fetched_after_close(bars: Records) -> Mask:
    """Was the bar fetched once its day was finished?"""
    finished = bars["day"].astype(np.int64) * DAY_MINUTES - ZONE_MINUTES
    finished += SHANGHAI_FINAL.hour * 60 + SHANGHAI_FINAL.minute
    return np.asarray(bars["fetched"] >= finished * MINUTE_US)


@dataclass(frozen=True)
class Sanity:
    """What is known of days: `closed(day)` where every calendar says so."""

    today: date
    closed: Callable[[date], bool]


def check(
    subject: str, bars: Records, period: str, sanity: Sanity
) -> tuple[Records, list[Rejected]]:
    """The bars that can be true, and one Rejected for each rule that a bar breaks.

    Raises Implausible for an answer that is wrong as a whole: mostly impossible bars, jumps that no
    market makes (an index read as a stock), or bars of another length than was asked for.
    """
    if not len(bars):
        return bars, []
    rules = [*number_rules(bars, least_amount=NO_AMOUNT), *_time_rules(bars, period, sanity)]
    broken = broken_by(rules, len(bars))
    refuse_nonsense(subject, rules, broken, name_worst=True)
    good = bars[~broken]
    refuse_jumps(subject, good["close"], "{} times in {} bars")
    _refuse_other_spacing(subject, good, period)
    if not broken.any():
        return bars, []
    rejected = [
        _rejected(subject, bars[i], name, rule)
        for name, rule, mask in rules
        for i in np.flatnonzero(mask)
    ]
    return good, rejected


def _time_rules(bars: Records, period: str, sanity: Sanity) -> Iterator[Rule]:
    allowed = np.append(grid(period), NOON_ASKEW)
    yield "bar_end", f"no bar of {period} ends so", ~np.isin(bars["label"], allowed)
    yield "bar_end", "bars of one label must not contradict each other", _contradicting(bars)
    ends = (_minutes(bars) - ZONE_MINUTES) * MINUTE_US
    slack = (MINUTES_OF[period] + SLACK_MINUTES) * MINUTE_US
    if period == "hour":  # the running one can reach over noon
        slack += 90 * MINUTE_US
    yield "bar_end", "bar must not end in the future", ends > bars["fetched"] + slack
    shut = [number for number in np.unique(bars["day"]) if sanity.closed(day_of(number))]
    yield "trade_date", "the exchange was closed on this day", np.isin(bars["day"], shut)


def _contradicting(bars: Records) -> Mask:
    _, where, count = np.unique(_minutes(bars), return_inverse=True, return_counts=True)
    return np.asarray(count[where] > 1)


def _refuse_other_spacing(subject: str, bars: Records, period: str) -> None:
    """Unknown periods are silently served as another one."""
    at = np.searchsorted(grid(period), bars["label"]) + 1
    for times in (2, 3, 4, 5):
        if len(bars) >= MIN_BARS_OF_SPACING and not (at % times).any():
            raise Implausible(
                f"{subject}: bars of {period} were asked for, these lie {times} times as far apart;"
                " the whole answer is refused"
            )


def _rejected(subject: str, bar: np.void, field: str, rule: str) -> Rejected:
    ends = {"day": day_of(bar["day"]).isoformat(), "label": _clock(int(bar["label"]))}
    row = ends | {name: int(bar[name]) for name in (*NUMBERS, "up", "down")}
    value = f"{ends['day']} {ends['label']}" if field in ("bar_end", "trade_date") else row[field]
    return Rejected(
        row_key=f"{subject} {ends['day']} {ends['label']}",
        field=field,
        rule=rule,
        value=str(value),
        payload=orjson.dumps({"code": subject} | row).decode(),
    )


def _clock(minutes: int) -> str:
    # a file can hold any number
    return _CLOCK[minutes] if 0 <= minutes < DAY_MINUTES else f"{minutes} minutes"


def _minutes(bars: Records) -> Ints:
    return np.asarray(bars["day"].astype(np.int64) * DAY_MINUTES + bars["label"])


def arrow_columns(parts: Sequence[tuple[str, Records]]) -> dict[str, pa.Array]:
    """The bars of some codes as the columns that landed tables of intraday bars have in common, and
    `source_label`, `up_count`, `down_count`."""
    sizes = [len(bars) for _, bars in parts]
    at = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
    records = np.concatenate([bars for _, bars in parts])
    ends = (_minutes(records) - ZONE_MINUTES) * MINUTE_US
    columns = {name: pa.array(np.ascontiguousarray(records[name])) for name in (*PRICES, "volume")}
    amount = np.ascontiguousarray(records["amount"])
    return columns | {
        "code": pa.array([code for code, _ in parts], pa.string()).take(pa.array(at)),
        "bar_end": pa.array(ends).view(_STAMP),
        "trade_date": pa.array(np.ascontiguousarray(records["day"])).view(pa.date32()),
        "source_label": pa.array(_CLOCK).take(pa.array(records["source_label"].astype(np.int32))),
        "amount": pa.array(amount, mask=amount == NO_AMOUNT),
        "up_count": pa.array(np.ascontiguousarray(records["up"])),
        "down_count": pa.array(np.ascontiguousarray(records["down"])),
        "source_route": pa.array(ROUTES).take(pa.array(records["route"].astype(np.int32))),
        "fetched_at": pa.array(np.ascontiguousarray(records["fetched"])).view(_STAMP),
        "is_final": pa.array(np.ascontiguousarray(records["final"])),
    }
