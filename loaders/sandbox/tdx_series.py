"""Bar series as the service sees them at one moment, and their JSON.

A series is rendered once and kept as one run of bytes with the offset of every bar, so an answer of
2,500 bars is a slice. What is kept is bounded by its size.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from threading import Lock

import numpy as np

from loaders.sandbox.actions import Event, events, forward_segments
from loaders.sandbox.intraday import group_minutes
from loaders.sandbox.world import (
    SESSION_END,
    SESSION_START,
    Bars,
    Ints,
    Security,
    World,
    empty_bars,
    group_bars,
    period_starts,
    to_period,
)

MINUTE_SIZES = {"minute1": 1, "minute5": 5, "minute15": 15, "minute30": 30, "hour": 60}
DAY_TYPES = ("day", "week", "month", "quarter", "year")
PAGE = 800
# 1m history ends after 24,000 bars; the depth of the other periods is not known
MINUTE_DAYS = {"minute1": 100}
OTHER_MINUTE_DAYS = 400
KEPT_BYTES = 48_000_000

# China's last daylight saving time, which a server in Asia/Shanghai prints
SUMMER_1991 = ("1991-04-14", "1991-09-15")

_TEMPLATE = (
    '{"Last":%d,"Open":%d,"High":%d,"Low":%d,"Close":%d,"Volume":%d,"Amount":%d,'
    '"Time":"%s%s","UpCount":%d,"DownCount":%d}'
)


@dataclass(frozen=True)
class Series:
    """Rendered bars, ascending; `offsets[i]:offsets[i + 1]` holds bar i and a comma."""

    text: bytes
    offsets: list[int]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def newest(self, limit: int | None, *, first_last_zero: bool = False) -> tuple[int, bytes]:
        start = 0 if limit is None else max(0, len(self) - limit)
        return self.part(start, len(self), first_last_zero=first_last_zero)

    def oldest(self, limit: int) -> tuple[int, bytes]:
        return self.part(0, min(limit, len(self)))

    def part(self, start: int, stop: int, *, first_last_zero: bool = False) -> tuple[int, bytes]:
        """(number of bars, JSON list): `null` when there is none."""
        if stop <= start:
            return 0, b"null"
        text = self.text[self.offsets[start] : self.offsets[stop] - 1]
        if first_last_zero:
            text = b'{"Last":0' + text[text.index(b",") :]
        return stop - start, b"[" + text + b"]"


def offset_of(day: str, zone: str) -> str:
    if zone == "utc":
        return "Z"
    return "+09:00" if SUMMER_1991[0] <= day < SUMMER_1991[1] else "+08:00"


def render(bars: Bars, zone: str) -> Series:
    columns = [column.tolist() for column in bars.columns()]
    last = [0, *columns[3][:-1]]
    pieces, offsets, at = [], [0], 0
    plain = zone == "utc" or not bars.stamps or bars.stamps[0] >= SUMMER_1991[1]
    fixed = offset_of("2000-01-01", zone)
    for before, stamp, o, h, low, c, v, a, up, down in zip(
        last, bars.stamps, *columns, strict=False
    ):
        shown = fixed if plain else offset_of(stamp[:10], zone)
        piece = _TEMPLATE % (before, o, h, low, c, v, a, stamp, shown, up, down)
        pieces.append(piece)
        at += len(piece) + 1
        offsets.append(at)
    return Series((",".join(pieces) + ",").encode() if pieces else b"", offsets)


class SeriesStore:
    """Series of one world, by code, period and how much of it is visible."""

    def __init__(self, world: World, zone: str, small_volumes: bool) -> None:
        self.world, self._zone, self._small_volumes = world, zone, small_volumes
        self._kept: OrderedDict[tuple[object, ...], Series] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def raw(self, security: Security, period: str, clock: datetime) -> Series:
        """Unadjusted bars, as the quote server has them."""
        if period in MINUTE_SIZES:
            key = ("raw", security.code, period, clock)
            return self._keep(key, lambda: self.minute_bars(security, period, clock))
        seen = self._visible(security.code, clock)
        return self._keep(
            ("raw", security.code, period, *seen),
            lambda: to_period(self.day_bars(security.code, clock), period),
        )

    def adjusted(
        self, security: Security, period: str, clock: datetime, *, lacking: bool = False
    ) -> Series:
        """The third-party series: forward-adjusted, no turnover, weeks cut at New Year.

        `lacking` leaves the newest action out.
        """
        key = ("ths", lacking, security.code, period, *self._visible(security.code, clock))
        return self._keep(key, lambda: self.adjusted_bars(security, period, clock, lacking=lacking))

    def adjusted_bars(
        self, security: Security, period: str, clock: datetime, *, lacking: bool = False
    ) -> Bars:
        days = self.day_bars(security.code, clock)
        if len(days):
            last = date.fromisoformat(days.day(-1))
            active = [e for e in events(self.world.actions(security.code)) if e.ex_date <= last]
            days = _adjust(days, active[:-1] if lacking else active)
        return _ths_period(days, period)

    def day_bars(self, code: str, clock: datetime) -> Bars:
        """Days up to the clock; today's unfinished one while the market is open."""
        bars = self.world.day_bars(code)
        count, minutes = self._visible(code, clock)
        shown = bars.slice(0, count)
        if minutes:
            today = self.world.minutes(code, clock.date()).slice(0, minutes)
            whole = group_bars(today, np.zeros(1, dtype=np.int64))
            shown = shown.plus(_restamped(whole, f"{clock.date()}T15:00:00"))
        if self._small_volumes:
            shown = _corrupted(shown)
        return shown

    def _visible(self, code: str, clock: datetime) -> tuple[int, int]:
        """(finished day bars, minutes of the unfinished one)."""
        bars = self.world.day_bars(code)
        count = bisect_right(bars.stamps, clock.isoformat()[:19])
        if SESSION_START < clock.time() < SESSION_END and bars.find(clock.date()) is not None:
            return count, _minutes_until(self.world.minutes(code, clock.date()), clock)
        return count, 0

    def minute_bars(self, security: Security, period: str, clock: datetime) -> Bars:
        bars = self.world.minute_history(security.code)
        if bars is None:
            count, minutes = self._visible(security.code, clock)
            days = self.world.day_bars(security.code)
            first = max(0, count - MINUTE_DAYS.get(period, OTHER_MINUTE_DAYS))
            parts = [
                self.world.minutes(security.code, date.fromisoformat(days.day(i)))
                for i in range(first, count)
            ]
            if minutes:
                parts.append(self.world.minutes(security.code, clock.date()).slice(0, minutes))
            bars = _joined(parts)
        if period != "minute1":
            return group_bars(bars, group_minutes(bars, MINUTE_SIZES[period]))
        return _noon_label(bars, clock)

    def _keep(self, key: tuple[object, ...], make: Callable[[], Bars]) -> Series:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        series = render(make(), self._zone)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = series
                self._bytes += len(series.text) + 36 * len(series.offsets)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._bytes -= len(old.text) + 36 * len(old.offsets)
        return series


def _minutes_until(minutes: Bars, clock: datetime) -> int:
    """Bars begun before the clock: the running minute counts, labelled by its end."""
    label = (clock + timedelta(minutes=1)).isoformat()[:19]
    return bisect_left(minutes.stamps, label)


def _joined(parts: list[Bars]) -> Bars:
    if not parts:
        return empty_bars()
    stamps = [stamp for part in parts for stamp in part.stamps]
    columns = zip(*(part.columns() for part in parts), strict=True)
    return Bars(stamps, *(np.concatenate(column) for column in columns))


def _restamped(bars: Bars, stamp: str) -> Bars:
    return Bars([stamp] * len(bars), *bars.columns())


def _noon_label(bars: Bars, clock: datetime) -> Bars:
    """Today's 11:30 bar turns into 13:00 when the 15:00 bar arrives (the repair reaches 120 bars)."""
    today = f"{clock.date()}T"
    if not len(bars) or bars.stamps[-1] != today + "15:00:00":
        return bars
    stamps = [today + "13:00:00" if s == today + "11:30:00" else s for s in bars.stamps]
    return Bars(stamps, *bars.columns())


def _corrupted(bars: Bars) -> Bars:
    """The service's float decoder is wrong for some values below 128."""
    v = bars.volume
    wrong = v.copy()
    for value, shown in ((1, 32768), (3, 4098), (4, 8194)):
        wrong[v == value] = shown
    middle, upper = (v >= 9) & (v <= 16), (v >= 33) & (v <= 64)
    wrong[middle] = 264 + 256 * (v[middle] - 9)
    wrong[upper] = 48 + 16 * (v[upper] - 33)
    o, h, low, c, _, *rest = bars.columns()
    return Bars(bars.stamps, o, h, low, c, wrong, *rest)


def _adjust(bars: Bars, active: list[Event]) -> Bars:
    """P·A + B per segment of the events up to the last bar, cut (not rounded) to whole li."""
    nothing = np.zeros(len(bars), dtype=np.int64)
    columns: list[Ints] = [column.copy() for column in bars.columns()[:4]]
    segments = forward_segments(active)
    begins = [0, *(bisect_left(bars.stamps, str(first)) for first, _, _ in segments[1:])]
    for (_, a, b), start, stop in zip(segments, begins, [*begins[1:], len(bars)], strict=True):
        for column in columns:
            column[start:stop] = _affine(column[start:stop], a, b * 1000)
    return Bars(bars.stamps, *[*columns, bars.volume, nothing, nothing, nothing])


def _affine(prices: Ints, a: Fraction, b: Fraction) -> list[int]:
    bottom = a.denominator * b.denominator
    left, right = a.numerator * b.denominator, b.numerator * a.denominator
    values = (left * price + right for price in prices.tolist())
    return [value // bottom if value >= 0 else -(-value // bottom) for value in values]


def _ths_period(bars: Bars, period: str) -> Bars:
    """Weeks and months as the service builds them from adjusted days."""
    if period == "day" or not len(bars):
        return bars
    days = [date.fromisoformat(stamp[:10]) for stamp in bars.stamps]
    keys = [0]
    for before, day in pairwise(days):
        iso = day.isocalendar()
        # it compares the ISO year of a day with the calendar year of the day before
        new_week = iso.year != before.year or iso.week != before.isocalendar().week
        new_month = (day.year, day.month) != (before.year, before.month)
        keys.append(keys[-1] + (new_week if period == "week" else new_month))
    return _zero_lows_replaced(bars, keys, group_bars(bars, period_starts(keys)))


def _zero_lows_replaced(days: Bars, keys: list[int], weeks: Bars) -> Bars:
    """The service takes a low of exactly 0 for "none yet" and replaces it by the next day's."""
    if not (days.low == 0).any():
        return weeks
    low = weeks.low.copy()
    for i, (key, value) in enumerate(zip(keys, days.low.tolist(), strict=True)):
        first = i == 0 or keys[i - 1] != key
        low[key] = value if first or low[key] == 0 else min(int(low[key]), value)
    o, h, _, *rest = weeks.columns()
    return Bars(weeks.stamps, *[o, h, low, *rest])
