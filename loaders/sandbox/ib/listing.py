"""Contracts that are listed on a day.

Not every pair of a strike and an expiry is listed, as at the real exchange. A number (`conid`)
encodes stock, expiry, strike and right, so that a contract has the same one in every run.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from loaders.sandbox.ib.hours import is_session, session_close
from loaders.sandbox.ib.stocks import Stock

FIRST_OPTION = 600_000_000
BLOCK = 1 << 22  # numbers of a stock: 2048 days, 512 strikes, two rights, two classes
FIRST_EXPIRY = date(2025, 1, 1)
_DAYS, _STRIKES = 2048, 512


@dataclass(frozen=True)
class Instrument:
    """A stock, or one of its options: then `expiry` is set.

    since: ex-date of the split that gave it its terms
    before: the contract that it was until then
    """

    conid: int
    stock: Stock
    expiry: date | None = None
    strike: float = 0.0
    right: str = ""
    trading_class: str = ""
    since: date | None = None
    before: "Instrument | None" = None

    @property
    def symbol(self) -> str:
        return self.stock.symbol

    @property
    def is_option(self) -> bool:
        return self.expiry is not None

    @property
    def expiry_text(self) -> str:
        return f"{self.expiry:%Y%m%d}" if self.expiry else ""

    @cached_property
    def local_symbol(self) -> str:
        if not self.is_option:
            return self.symbol
        strike = f"{round(self.strike * 1000):08d}"
        return f"{self.trading_class:<6}{self.expiry_text[2:]}{self.right}{strike}"

    @property
    def ends_at(self) -> datetime:
        """The close of an option's last day."""
        if self.expiry is None:
            raise ValueError(f"{self.symbol} does not expire")
        return session_close(self.expiry)


def list_expiries(today: date) -> dict[date, str]:
    """Expiries: M (third Friday), Q (end of a quarter), W (other Fridays).

    An expiry on a day without a session moves to the session before.
    """
    expiries: dict[date, str] = {}

    def put(day: date, kind: str) -> None:
        while not is_session(day):
            day -= timedelta(days=1)
        if day >= today:
            expiries.setdefault(day, kind)

    for ahead in (*range(7), 9, 12, 14, 18, 24):
        month = today.year * 12 + today.month - 1 + ahead
        first = date(month // 12, month % 12 + 1, 1)
        put(first + timedelta(days=(4 - first.weekday()) % 7 + 14), "M")
        if first.month in (3, 6, 9, 12):
            put((first + timedelta(days=31)).replace(day=1) - timedelta(days=1), "Q")
    friday = today + timedelta(days=(4 - today.weekday()) % 7)
    for week in range(7):
        put(friday + timedelta(weeks=week), "W")
    return dict(sorted(expiries.items()))


def list_contracts(
    stock: Stock, expiry: date, kind: str, *, anchor: float, adjusted: bool
) -> list[Instrument]:
    """Contracts of one expiry, with strikes around the price `anchor`.

    They reach half of it to each side for monthly expiries, a fifth for others; weekly strikes are
    twice as fine. With `adjusted` some monthly ones also have a trading class with a 2 before its
    name, as after an odd split.
    """
    contracts = []
    span = 0.5 if kind == "M" else 0.2
    step = stock.strike_step / (2 if kind == "W" else 1)
    lowest, highest = anchor * (1 - span) / step, anchor * (1 + span) / step
    for k in range(math.ceil(lowest), math.floor(highest) + 1):
        strike = round(k * step, 2)
        classes = [stock.root]
        if adjusted and kind == "M" and k % 10 == 0:
            classes.append(f"2{stock.root}")
        for trading_class in classes:
            for right in "CP":
                number = _conid(stock, expiry, strike, right, trading_class)
                if number is not None:
                    contracts.append(
                        Instrument(number, stock, expiry, strike, right, trading_class)
                    )
    return contracts


def _conid(stock: Stock, expiry: date, strike: float, right: str, trading_class: str) -> int | None:
    k = round(strike / (stock.strike_step / 2))
    day = (expiry - FIRST_EXPIRY).days
    if not (0 <= day < _DAYS and 0 < k < _STRIKES):
        return None
    low = (right == "P") + 2 * (trading_class != stock.root)
    return FIRST_OPTION + stock.number * BLOCK + (day * _STRIKES + k) * 4 + low


def stock_number(conid: int) -> int | None:
    """The number of the stock that an option's conid belongs to."""
    return (conid - FIRST_OPTION) // BLOCK if conid >= FIRST_OPTION else None
