"""Bar series as of a clock.

A whole series is rendered once and cached, up to a number of bytes. For a request of the newest
bars only these are made.
"""

import math
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from threading import Lock

import numpy as np

from loaders.sandbox.tdx.render import Series, render
from loaders.sandbox.world.actions import Event, events, forward_segments
from loaders.sandbox.world.bars import Bars, Ints, empty_bars, group_bars, period_starts, to_period
from loaders.sandbox.world.intraday import MINUTES, group_minutes
from loaders.sandbox.world.world import SESSION_END, SESSION_START, Security, World

MINUTE_SIZES = {"minute1": 1, "minute5": 5, "minute15": 15, "minute30": 30, "hour": 60}
DAY_TYPES = ("day", "week", "month", "quarter", "year")
# one-minute bars within reach of the protocol's paging; the depth of longer periods is unknown, so
# it is taken for them too
INTRADAY_BARS = 24_000
CACHED_BYTES = 48_000_000
# positions of events, counted from the newest
Positions = range
NO_POSITIONS = range(0)


class SeriesStore:
    """Series of one world, by code, period and the number of visible bars.

    With `newest` a series may lack older bars: it has at least so many, each with its right Last.
    Only whole series are cached.
    """

    def __init__(self, world: World, zone: str) -> None:
        self.world, self._zone = world, zone
        self._cache: OrderedDict[tuple[object, ...], Series] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self.kept_bars = lru_cache(maxsize=4)(self.raw_bars)

    def raw(
        self, security: Security, period: str, clock: datetime, newest: int | None = None
    ) -> Series:
        """Unadjusted bars, as the quote server has them."""
        seen = (clock,) if period in MINUTE_SIZES else self._visible(security.code, clock)
        return self._series(
            ("raw", security.code, period, *seen),
            newest,
            lambda count: self.raw_bars(security, period, clock, count),
        )

    def raw_bars(
        self, security: Security, period: str, clock: datetime, newest: int | None = None
    ) -> Bars:
        if period == "day":
            return self.day_bars(security.code, clock)
        if period not in MINUTE_SIZES:
            return _sent(to_period(self.day_bars(security.code, clock), period), security)
        bars = _sent(self.minute_bars(security, period, clock, newest), security, in_minutes=True)
        return bars.slice(max(len(bars) - INTRADAY_BARS, 0), len(bars))

    def adjusted(
        self,
        security: Security,
        period: str,
        clock: datetime,
        *,
        missing: Positions = NO_POSITIONS,
        newest: int | None = None,
    ) -> Series:
        """The third-party series: forward-adjusted, no turnover, weeks cut at New Year.

        `missing` are the events that it does not know, counted from the newest (0).
        """
        seen = self._visible(security.code, clock)
        return self._series(
            ("ths", missing, security.code, period, *seen),
            newest,
            lambda count: self.adjusted_bars(
                security, period, clock, missing=missing, newest=count
            ),
        )

    def adjusted_bars(
        self,
        security: Security,
        period: str,
        clock: datetime,
        *,
        missing: Positions = NO_POSITIONS,
        newest: int | None = None,
    ) -> Bars:
        days = self.day_bars(security.code, clock)
        if len(days):
            last = date.fromisoformat(days.day(-1))
            active = [e for e in events(self.world.actions(security.code)) if e.ex_date <= last]
            known = [e for i, e in enumerate(reversed(active)) if i not in missing][::-1]
            if newest is not None and period == "day":
                days = days.slice(max(0, len(days) - newest), len(days))
            days = _adjust(days, known)
        return _ths_period(days, period)

    def day_bars(self, code: str, clock: datetime) -> Bars:
        """Days up to the clock; today's unfinished one while the market is open."""
        count, running = self._visible(code, clock)
        shown = self.world.day_bars(code).slice(0, count)
        if running:
            today = started_minutes(self.world.minutes(code, clock.date()), clock)
            whole = group_bars(today, np.zeros(1, dtype=np.int64))
            stamps = [f"{clock.date()}T15:00:00"] * len(whole)
            security = self.world.find(code)
            assert security is not None
            shown = shown.plus(_sent(replace(whole, stamps=stamps), security))
        return shown

    def _visible(self, code: str, clock: datetime) -> tuple[int, datetime | None]:
        """(finished day bars, the clock while today's is unfinished)."""
        bars = self.world.day_bars(code)
        count = bisect_right(bars.stamps, clock.isoformat()[:19])
        if SESSION_START < clock.time() < SESSION_END and bars.find(clock.date()) is not None:
            return count, clock
        return count, None

    def minute_bars(
        self, security: Security, period: str, clock: datetime, newest: int | None = None
    ) -> Bars:
        size = MINUTE_SIZES[period]
        bars = self.world.minute_history(security.code)
        if bars is None:
            count, running = self._visible(security.code, clock)
            days = self.world.day_bars(security.code)
            wanted = INTRADAY_BARS if newest is None else min(newest, INTRADAY_BARS)
            first = max(0, count - math.ceil(wanted * size / MINUTES))
            parts = [
                self.world.minutes(security.code, date.fromisoformat(days.day(i)))
                for i in range(first, count)
            ]
            if running:
                today = self.world.minutes(security.code, clock.date())
                parts.append(started_minutes(today, clock))
            bars = empty_bars().plus(*parts)
        if size > 1:
            return group_bars(bars, group_minutes(bars, size))
        return _noon_label(bars, clock)

    def _series(
        self,
        key: tuple[object, ...],
        newest: int | None,
        make: Callable[[int | None], Bars],
    ) -> Series:
        with self._lock:
            cached = self._cache.get(key)
            if cached is not None:
                self._cache.move_to_end(key)
                return cached
        # one more, whose close is the Last of the first
        count = None if newest is None else newest + 1
        bars = make(count)
        if count is not None and len(bars) > count:
            return render(bars.slice(len(bars) - count, len(bars)), self._zone)
        series = render(bars, self._zone)
        if count is not None:
            return series
        with self._lock:
            if key not in self._cache:
                self._cache[key] = series
                self._bytes += len(series.text) + 36 * len(series.offsets)
            while self._bytes > CACHED_BYTES and len(self._cache) > 1:
                _, old = self._cache.popitem(last=False)
                self._bytes -= len(old.text) + 36 * len(old.offsets)
        return series


def _sent(bars: Bars, security: Security, *, in_minutes: bool = False) -> Bars:
    """Bars whose numbers came from a quote server as single floats, the service's cuts included.

    Minutes are sent in shares, days in hands, days of an index in hundreds of them.
    """
    yuan = (bars.amount / 1000).astype(np.float32).astype(np.float64)
    sent, odd = bars.volume, bars.odd
    if security.kind == "index" and not in_minutes:
        volume = (sent / 100).astype(np.float32).astype(np.int64) * 100
    elif in_minutes:
        shares = sent if security.kind == "index" else sent * 100 + odd
        volume, odd = np.divmod(shares.astype(np.float32).astype(np.int64), 100)
        volume, odd = (volume * 100, odd * 0) if security.kind == "index" else (volume, odd)
    else:
        volume = sent.astype(np.float32).astype(np.int64)
    amount = np.floor(yuan * 1000).astype(np.int64)
    return replace(bars, volume=volume, amount=amount, odd=odd)


def started_minutes(minutes: Bars, clock: datetime) -> Bars:
    """Today's bars that started before the clock.

    The running one, labelled by its end, has only its open and the share of its volume that fits
    the seconds so far.
    """
    label = (clock + timedelta(minutes=1)).isoformat()[:19]
    started = minutes.slice(0, bisect_left(minutes.stamps, label))
    if not len(started) or started.stamps[-1] <= clock.isoformat()[:19]:
        return started
    o, h, low, c, v, a, up, down, odd = (column.copy() for column in started.columns())
    h[-1] = low[-1] = c[-1] = o[-1]
    for column in (v, a, odd):
        column[-1] = column[-1] * clock.second // 60
    return Bars(started.stamps, o, h, low, c, v, a, up, down, odd)


def _noon_label(bars: Bars, clock: datetime) -> Bars:
    """Label today's 11:30 bar 13:00 once the 15:00 bar exists, as the service does."""
    today = f"{clock.date()}T"
    if not len(bars) or bars.stamps[-1] != today + "15:00:00":
        return bars
    noon = bisect_left(bars.stamps, today + "11:30:00")
    stamps = bars.stamps.copy()
    if stamps[noon] == today + "11:30:00":
        stamps[noon] = today + "13:00:00"
    return replace(bars, stamps=stamps)


def _adjust(bars: Bars, active: list[Event]) -> Bars:
    """P·A + B per segment of the events, cut (not rounded) to whole li."""
    nothing = np.zeros(len(bars), dtype=np.int64)
    columns: list[Ints] = [column.copy() for column in bars.columns()[:4]]
    segments = forward_segments(active)
    starts = [0, *(bisect_left(bars.stamps, str(first)) for first, _, _ in segments[1:])]
    for (_, a, b), start, stop in zip(segments, starts, [*starts[1:], len(bars)], strict=True):
        for column in columns:
            column[start:stop] = _affine(column[start:stop], a, b * 1000)
    o, h, low, c = columns
    return Bars(bars.stamps, o, h, low, c, bars.volume, nothing, nothing, nothing, bars.odd)


def _affine(prices: Ints, a: Fraction, b: Fraction) -> list[int]:
    bottom = a.denominator * b.denominator
    left, right = a.numerator * b.denominator, b.numerator * a.denominator
    values = (left * price + right for price in prices.tolist())
    return [value // bottom if value >= 0 else -(-value // bottom) for value in values]


def _ths_period(bars: Bars, period: str) -> Bars:
    """Weeks and months as the service makes them from adjusted days."""
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
    return _replace_zero_lows(bars, keys, group_bars(bars, period_starts(keys)))


def _replace_zero_lows(days: Bars, keys: list[int], weeks: Bars) -> Bars:
    """Replace a low of exactly 0 by that of the next day, as the service does."""
    if not (days.low == 0).any():
        return weeks
    low = weeks.low.copy()
    for i, (key, value) in enumerate(zip(keys, days.low.tolist(), strict=True)):
        first = i == 0 or keys[i - 1] != key
        low[key] = value if first or low[key] == 0 else min(int(low[key]), value)
    return replace(weeks, low=low)
