"""Bars of any length in numpy: labels, the repair of noon, whole days, rows.

One record is one bar:

day: last day that the bar covers, counted from 1970-01-01
end: day that names the bar, counted from 1970-01-01; differs from `day` in weeks and months only
    (loaders.tdx.bars.long_bars)
label: end of the bar in minutes from midnight on the exchange's clock
source_label: the label as received; NO_LABEL for a day or longer
unit: shares per unit of `volume`, which is no number of shares in minutes of an index

A day runs from 09:30 to 11:30 and from 13:00 to 15:00.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loaders.engine.outcome import Outcome
from loaders.engine.window import Window
from loaders.landing import volumes
from loaders.landing.rejects import Rejected
from loaders.tdx.client.answers import Bars
from loaders.tdx.client.answers_intraday import TimedBars, labels
from loaders.trading_time import SHANGHAI, SHANGHAI_FINAL, published_days

Records: TypeAlias = NDArray[np.void]
Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume", "amount")
RECORD = np.dtype(
    [("day", "i4"), ("end", "i4"), ("label", "i2"), ("source_label", "i2")]
    + [(name, "i8") for name in NUMBERS]
    + [("unit", "i2"), ("up", "i8"), ("down", "i8")]
    + [("route", "i1"), ("fetched", "i8"), ("final", "?")],
    align=True,  # else numpy copies a field before each sum or comparison
)
HAND = volumes.HAND
NO_LABEL = 0
ROUTES = (
    "/api/kline-history",
    "/api/kline-all",
    "/api/kline-all/ths",
    "/api/index",
    "/api/index/all",
    "vipdoc/lday",
    "vipdoc/minline",
    "vipdoc/fzline",
)

NOON, NOON_ASKEW, FIRST_OF_AFTERNOON, CLOSE = 690, 780, 781, 900
OPENING = time(9, 30)
DAY_MINUTES = 1440
MINUTE_US = 60_000_000
ZONE_MINUTES = 8 * 60  # Shanghai is ahead of UTC
SLACK_MINUTES = 5  # the service's clock may be this far ahead of ours
EPOCH = date(1970, 1, 1)
_EPOCH_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(DAY_MINUTES)]
_STAMP = pa.timestamp("us", tz="UTC")


def to_number(day: date) -> int:
    return (day - EPOCH).days


def to_date(number: int) -> date:
    return EPOCH + timedelta(days=int(number))


def to_numbers(days: Iterable[date]) -> Ints:
    return np.fromiter(map(date.toordinal, days), np.int64) - EPOCH.toordinal()


def to_dates(numbers: Ints) -> list[date]:
    return list(numbers.astype("datetime64[D]").tolist())


@cache
def grid(period: str) -> Ints:
    """The labels of a whole day, ascending."""
    return np.array([int(text[:2]) * 60 + int(text[3:]) for text in labels(period)])


def microseconds(at: datetime) -> int:
    return (at - _EPOCH_INSTANT) // timedelta(microseconds=1)


def to_time(microseconds: int) -> datetime:
    return _EPOCH_INSTANT + timedelta(microseconds=int(microseconds))


def empty() -> Records:
    return np.zeros(0, RECORD)


def from_answer(bars: Bars | TimedBars) -> Records:
    """Records of an answer's bars; those of minutes have noon repaired."""
    records = np.zeros(len(bars), RECORD)
    for name in (*NUMBERS, "up", "down"):
        records[name] = getattr(bars, name)
    if isinstance(bars, Bars):
        records["day"], records["label"] = to_numbers(bars.dates), CLOSE
        return set_source(records, f"/api/{bars.source_route}", bars.fetched_at)
    minutes = np.array(bars.stamps, "datetime64[m]").astype(np.int64)
    records["day"], records["label"] = np.divmod(minutes, DAY_MINUTES)
    return repair_noon(set_source(records, f"/api/{bars.source_route}", bars.fetched_at))


def set_source(bars: Records, route: str, fetched_at: datetime) -> Records:
    """Set the route and fetch time of bars, `unit` to a hand and `end` to `day`, in place."""
    bars["end"], bars["unit"] = bars["day"], HAND
    bars["route"], bars["fetched"] = ROUTES.index(route), microseconds(fetched_at)
    return bars


def repair_noon(bars: Records) -> Records:
    """Repair noon: 13:00 becomes 11:30 on days without a bar 11:30.

    The service labels the noon bar either way; `source_label` stores the label as received.
    """
    bars["source_label"] = bars["label"]
    askew = bars["label"] == NOON_ASKEW
    if askew.any():
        named = bars["day"][bars["label"] == NOON]
        bars["label"][askew & ~np.isin(bars["day"], named)] = NOON
        bars.sort(order=["day", "label"], kind="stable")
    return bars


def merge_bars(*parts: Records) -> Records:
    """All bars in order of time; each label from the first part that has it."""
    bars = np.concatenate(parts)
    _, first = np.unique(to_minutes(bars), return_index=True)
    return bars[first]


def select(bars: Records, wanted: Mask) -> Records:
    """The wanted bars; all of them are `bars` itself, as a copy would cost time."""
    return bars if wanted.all() else bars[wanted]


def in_days(bars: Records, days: Iterable[date]) -> Mask:
    return np.isin(bars["day"], to_numbers(days))


def among(numbers: Ints, known: Ints) -> Mask:
    """Which of `numbers` are in `known`, which is ascending."""
    if not len(known):
        return np.zeros(len(numbers), np.bool_)
    at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
    return np.asarray(known[at] == numbers)


def days_in(bars: Records) -> list[date]:
    return to_dates(np.unique(bars["day"]))


def update_bars(before: Records, bars: Records, period: str) -> Records:
    """Keep whole days of `before`; for other days prefer the later answer `bars`.

    Of two volumes that agree the finer one stays, as in the warehouse.
    """
    settled = whole_days(before, period)
    merged = merge_bars(bars[~in_days(bars, settled)], before)
    _, at, other = np.intersect1d(to_minutes(merged), to_minutes(before), return_indices=True)
    finer = _is_finer(before[other], merged[at])
    for name in ("volume", "unit"):
        merged[name][at[finer]] = before[name][other[finer]]
    return merged


def _is_finer(bars: Records, others: Records) -> Mask:
    """Which of some bars have the volume of `others` in a finer unit."""
    coarser = np.maximum(bars["unit"], others["unit"])
    ours, theirs = (part["volume"] * part["unit"] // coarser for part in (bars, others))
    return np.asarray((ours == theirs) & (bars["unit"] < others["unit"]))


def bars_back_to(window: Window, first: date, period: str, now: datetime) -> int:
    """The most bars that a code can have from the day `first` until `now`."""
    days = bisect_right(window.days, window.due) - bisect_left(window.days, first)
    return max(days, 0) * len(grid(period)) + _running(window, period, now)


def _running(window: Window, period: str, now: datetime) -> int:
    """Bars of today while it is not finished; 0 if it is not a trading day."""
    today = window.today
    if today <= window.due or (today not in window.days and not published_days(today, today)):
        return 0
    clock = now.astimezone(SHANGHAI)
    begun = int((grid(period) <= clock.hour * 60 + clock.minute + SLACK_MINUTES).sum())
    return min(begun + 1, len(grid(period))) if clock.time() >= OPENING else 0


def whole_days(bars: Records, period: str) -> set[date]:
    """Days that have every bar; 13:01 may be missing where noon was labelled 13:00."""
    if not len(bars):
        return set()
    days, where = np.unique(bars["day"], return_inverse=True)
    on_grid = np.isin(bars["label"], grid(period))
    count = np.bincount(where[on_grid], minlength=len(days))
    askew = np.bincount(where[bars["source_label"] == NOON_ASKEW], minlength=len(days)) > 0
    second = np.bincount(where[bars["label"] == FIRST_OF_AFTERNOON], minlength=len(days)) > 0
    size = len(grid(period))
    full = (count == size) | ((period == "minute1") & (count == size - 1) & askew & ~second)
    return set(to_dates(days[full]))


def fetched_after_close(bars: Records) -> Mask:
    """Whether each bar was fetched after the day that names it was finished."""
    finished = bars["end"].astype(np.int64) * DAY_MINUTES - ZONE_MINUTES
    finished += SHANGHAI_FINAL.hour * 60 + SHANGHAI_FINAL.minute
    return np.asarray(bars["fetched"] >= finished * MINUTE_US)


def final_in_file(bars: Records) -> Mask:
    """Whether each day bar is finished: a later bar or the fetch time proves it."""
    is_final = fetched_after_close(bars)
    is_final[:-1] = True
    return is_final


def to_minutes(bars: Records) -> Ints:
    """The end of each bar in minutes since 1970-01-01 on the exchange's clock."""
    return np.asarray(bars["day"].astype(np.int64) * DAY_MINUTES + bars["label"])


def end_time(bar: np.void) -> datetime:
    """The time at which a bar ends, in UTC."""
    minutes = int(bar["day"]) * DAY_MINUTES + int(bar["label"]) - ZONE_MINUTES
    return _EPOCH_INSTANT + timedelta(minutes=minutes)


def to_clock(minutes: int) -> str:
    """Minutes as HH:MM; other numbers, which a file can hold, as text."""
    return _CLOCK[minutes] if 0 <= minutes < DAY_MINUTES else f"{minutes} minutes"


def outcome(
    key: str,
    bars: Records,
    rejected: Sequence[Rejected],
    *,
    failure: str | None = None,
    skipped: str | None = None,
    fallback: str | None = None,
) -> Outcome:
    """The outcome of a key; its cursor is the newest day with final bars.

    skipped: why there are no bars; used only without bars and without a failure
    """
    final = bars["day"][bars["final"]]
    cursor = to_date(final.max()) if len(final) else None
    if len(bars) or failure:
        skipped = None
    rows = bars if len(bars) else None
    return Outcome(key, rows, rejected, cursor, skipped, failure, fallback)


def table(
    outcomes: Sequence[Outcome], period: str | None = None, names: Collection[str] = ()
) -> pa.Table:
    """The bars of some keys (`sh600000`, `sh000001 week`) as one Arrow table.

    period: value of the column `period`, which is left out if None
    names: columns to include; if empty, every column that a table of bars can have
    """
    parts: list[Records] = [o.rows for o in outcomes if o.rows is not None]
    codes = [o.key.partition(" ")[0] for o in outcomes if o.rows is not None]
    at = np.repeat(np.arange(len(parts), dtype=np.int32), [len(bars) for bars in parts])

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([bars[name] for bars in parts])

    def bar_end() -> pa.Array:
        minutes = column("end").astype(np.int64) * DAY_MINUTES + column("label") - ZONE_MINUTES
        return pa.array(minutes * MINUTE_US).view(_STAMP)

    def source_label() -> pa.Array:
        labels = column("source_label").astype(np.int32)
        return pa.array(_CLOCK).take(pa.array(labels, mask=labels == NO_LABEL))

    def numbers(name: str) -> Callable[[], pa.Array]:
        return lambda: pa.array(column(name))

    columns: dict[str, Callable[[], pa.Array]] = {
        "code": lambda: pa.array(codes, pa.string()).take(pa.array(at)),
        "bar_end": bar_end,
        "trade_date": lambda: pa.array(column("day")).view(pa.date32()),
        "source_label": source_label,
        **{name: numbers(name) for name in NUMBERS},
        "volume_unit": numbers("unit"),
        "up_count": numbers("up"),
        "down_count": numbers("down"),
        "source_route": lambda: pa.array(ROUTES).take(pa.array(column("route").astype(np.int32))),
        "fetched_at": lambda: pa.array(column("fetched")).view(_STAMP),
        "is_final": numbers("final"),
    }
    if period is not None:
        columns["period"] = lambda: pa.repeat(pa.scalar(period), len(at))
    return pa.table({n: make() for n, make in columns.items() if not names or n in names})
