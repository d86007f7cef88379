"""Base of a simulated stock market, synthetic or replayed from files.

Prices are integers of li (0.001 yuan; 0.001 point for indices), volumes are hands of 100 shares,
times are exchange wall clock (Beijing) without a zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal, NamedTuple

from loaders.sandbox.world.actions import Action
from loaders.sandbox.world.bars import Bars

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


class World:
    """A market with all its days; the service hides those after the clock.

    days: trading days
    end: default of the clock
    records_intraday: recorded minutes and ticks are served for their own dates, at any clock

    Subclasses give the bars; a code without bars gets `empty_bars()`.
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
        """The stock or fund that a source without exchanges knows by these six digits."""
        for exchange in ("sz", "sh", "bj"):
            security = self._by_code.get(exchange + digits)
            if security and security.kind != "index":
                return security
        return None

    def actions(self, code: str) -> Sequence[Action]:
        """Corporate actions, ascending by ex-date."""
        raise NotImplementedError

    def all_actions(self) -> list[Action]:
        """Corporate actions of every code, announced ones included."""
        return [action for s in self.securities for action in self.actions(s.code)]

    def day_bars(self, code: str) -> Bars:
        raise NotImplementedError

    def minutes(self, code: str, day: date) -> Bars:
        """One-minute bars of one day, labelled by their end."""
        raise NotImplementedError

    def minute_history(self, code: str) -> Bars | None:  # noqa: ARG002
        """A recorded one-minute series that replaces the one made from `minutes`."""
        return None

    def minute_points(self, code: str, day: date) -> list[MinutePoint]:
        """Price and hands by minute; for an index turnover in 10,000 yuan."""
        bars, security = self.minutes(code, day), self.find(code)
        is_index = security is not None and security.kind == "index"
        numbers = bars.amount // 10_000_000 if is_index else bars.volume
        return [
            MinutePoint(stamp[11:16], int(price), int(number))
            for stamp, price, number in zip(bars.stamps, bars.close, numbers, strict=True)
        ]

    def ticks(self, code: str, day: date) -> list[Tick]:
        raise NotImplementedError
