"""What a simulated market is made of, whatever it comes from.

Prices and money are integers of li (0.001 yuan; 0.001 point for indices), volumes are hands of 100
shares, times are exchange wall clock (Beijing) without a zone.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loaders.sandbox.world.actions import Action

Ints = NDArray[np.int64]
Kind = Literal["stock", "fund", "index"]

SESSION_START = time(9, 30)
SESSION_END = time(15, 0)


def is_b_share(exchange: str, digits: str) -> bool:
    return (exchange, digits[:3]) in (("sh", "900"), ("sz", "200"))


@dataclass(frozen=True)
class Security:
    exchange: str
    digits: str
    name: str
    kind: Kind
    listed: date

    @property
    def code(self) -> str:
        return self.exchange + self.digits

    @property
    def decimals(self) -> int:
        """Decimals of its prices: 2 for A shares, 3 for B shares, funds and indices."""
        return 2 if self.kind == "stock" and not is_b_share(self.exchange, self.digits) else 3


@dataclass(frozen=True)
class Bars:
    """Parallel columns, ascending in time. `stamps` are 'YYYY-MM-DDTHH:MM:SS'."""

    stamps: list[str]
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    amount: Ints
    up: Ints
    down: Ints

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
        found = position < len(self.stamps) and self.stamps[position].startswith(text)
        return position if found else None


class MinutePoint(NamedTuple):
    label: str
    price: int
    number: int


class Tick(NamedTuple):
    minute: str
    price: int
    volume: int
    status: int
    number: int


def empty_bars() -> Bars:
    nothing = np.zeros(0, dtype=np.int64)
    return Bars([], *([nothing] * 8))


def group_bars(bars: Bars, starts: Ints) -> Bars:
    """One bar per group: first open, highest high, lowest low, last close and stamp, sums."""
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
    )


def period_starts(keys: Sequence[object]) -> Ints:
    changes = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
    return np.array(changes, dtype=np.int64)


def to_period(bars: Bars, period: str) -> Bars:
    """Day bars as weeks (ISO), months, quarters or years; unfinished periods included."""
    if period == "day" or not len(bars):
        return bars
    return group_bars(bars, period_starts(list(map(_PERIOD_OF[period], bars.stamps))))


_PERIOD_OF: dict[str, Callable[[str], object]] = {
    "week": lambda stamp: date.fromisoformat(stamp[:10]).isocalendar()[:2],
    "month": lambda stamp: stamp[:7],
    "quarter": lambda stamp: (stamp[:4], (int(stamp[5:7]) - 1) // 3),
    "year": lambda stamp: stamp[:4],
}


class World:
    """A market with all its days, also those after the clock: the service decides what is visible.

    `days` are the trading days; `end` is where the clock stands unless told otherwise.
    Subclasses give the bars. A code that has none gets `empty_bars()`. With `records_intraday` recorded
    minutes and ticks are served for their own dates, wherever the clock stands.
    """

    records_intraday = False

    def __init__(self, days: Sequence[date], end: datetime, securities: Sequence[Security]):
        self.days = list(days)
        self.end = end
        self.securities = list(securities)
        self._by_code = {security.code: security for security in securities}

    def find(self, code: str) -> Security | None:
        return self._by_code.get(code)

    def find_digits(self, digits: str) -> Security | None:
        """The stock or fund that a source without exchanges knows under these six digits."""
        for exchange in ("sz", "sh", "bj"):
            security = self._by_code.get(exchange + digits)
            if security and security.kind != "index":
                return security
        return None

    def actions(self, code: str) -> Sequence[Action]:
        """Corporate actions, ascending by ex-date."""
        raise NotImplementedError

    def all_actions(self) -> list[Action]:
        """Those of every code, announced ones included."""
        return [action for s in self.securities for action in self.actions(s.code)]

    def day_bars(self, code: str) -> Bars:
        raise NotImplementedError

    def minutes(self, code: str, day: date) -> Bars:
        """One-minute bars of one day, labelled by their end."""
        raise NotImplementedError

    def minute_history(self, code: str) -> Bars | None:  # noqa: ARG002
        """A recorded one-minute series that replaces the one made of `minutes`."""
        return None

    def minute_points(self, code: str, day: date) -> list[MinutePoint]:
        """Price and hands per minute; of an index the turnover in 10,000 yuan instead of hands."""
        bars, security = self.minutes(code, day), self.find(code)
        is_index = security is not None and security.kind == "index"
        numbers = bars.amount // 10_000_000 if is_index else bars.volume
        return [
            MinutePoint(stamp[11:16], int(price), int(number))
            for stamp, price, number in zip(bars.stamps, bars.close, numbers, strict=True)
        ]

    def ticks(self, code: str, day: date) -> list[Tick]:
        raise NotImplementedError
