"""Bars of a simulated market, and longer bars made from them.

Prices and money are integers of li (0.001 yuan; 0.001 point for indices), volumes are hands of 100
shares, times are exchange wall clock (Beijing) without a zone.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Bars:
    """Parallel columns, ascending in time.

    stamps: 'YYYY-MM-DDTHH:MM:SS'
    odd: shares beyond the hands of `volume`, which files have and the service cuts off
    """

    stamps: list[str]
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    amount: Ints
    up: Ints
    down: Ints
    odd: Ints

    def __len__(self) -> int:
        return len(self.stamps)

    def slice(self, start: int, stop: int) -> "Bars":
        return Bars(self.stamps[start:stop], *(c[start:stop] for c in self.columns()))

    def columns(self) -> tuple[Ints, ...]:
        return tuple(getattr(self, f.name) for f in fields(self)[1:])

    def plus(self, *others: "Bars") -> "Bars":
        parts = (self, *others)
        columns = zip(*(part.columns() for part in parts), strict=True)
        stamps = [stamp for part in parts for stamp in part.stamps]
        return Bars(stamps, *map(np.concatenate, columns))

    def day(self, index: int) -> str:
        return self.stamps[index][:10]

    def find(self, day: date) -> int | None:
        """Position of the first bar of that day."""
        text = day.isoformat()
        position = bisect_right(self.stamps, text)
        if position < len(self.stamps) and self.stamps[position].startswith(text):
            return position
        return None


def empty_bars() -> Bars:
    nothing = np.zeros(0, dtype=np.int64)
    return Bars([], *([nothing] * 9))


def group_bars(bars: Bars, starts: Ints) -> Bars:
    """One bar per group: first open, highest high, lowest low, last close, sums."""
    if not len(bars):
        return bars
    ends = np.append(starts[1:], len(bars)) - 1
    return Bars(
        [bars.stamps[int(end)] for end in ends],
        bars.open[starts],
        np.maximum.reduceat(bars.high, starts),
        np.minimum.reduceat(bars.low, starts),
        bars.close[ends],
        np.add.reduceat(bars.volume, starts),
        np.add.reduceat(bars.amount, starts),
        bars.up[ends],
        bars.down[ends],
        np.add.reduceat(bars.odd, starts),
    )


def period_starts(keys: Sequence[object]) -> Ints:
    """Positions at which the key changes."""
    changes = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    return np.array(changes, dtype=np.int64)


PERIOD_KEYS: dict[str, Callable[[str], object]] = {
    "week": lambda stamp: date.fromisoformat(stamp[:10]).isocalendar()[:2],
    "month": lambda stamp: stamp[:7],
    "quarter": lambda stamp: (stamp[:4], (int(stamp[5:7]) - 1) // 3),
    "year": lambda stamp: stamp[:4],
}


def to_period(bars: Bars, period: str) -> Bars:
    """Day bars as weeks (ISO), months, quarters or years; unfinished periods included."""
    if period == "day" or not len(bars):
        return bars
    return group_bars(bars, period_starts(list(map(PERIOD_KEYS[period], bars.stamps))))
