"""Which contracts are listed on a day. The union of strikes and expiries has holes, as in earnest.

A number (`conid`) holds stock, expiry, strike and right, so that a contract has the same one in every
run, whatever else was asked for before.
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
    """A stock, or one of its options: then `expiry` is set. `since` is the ex-date of the split whose new
    terms it is on, `before` the contract that it was until then."""

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
        return f"{self.trading_class:<6}{self.expiry_text[2:]}{self.right}{round(self.strike * 1000):08d}"

    @property
    def ends_at(self) -> datetime:
        """The close of an option's last day."""
        if self.expiry is None:
            raise ValueError(f"{self.symbol} does not expire")
        return session_close(self.expiry)


def expiries(today: date) -> dict[date, str]:
    """Listed expirations, ascending: M (third Friday), Q (last day of a quarter), W (other Fridays);
    where there is no session, the one before."""
    found: dict[date, str] = {}

    def put(day: date, kind: str) -> None:
        while not is_session(day):
            day -= timedelta(days=1)
        if day >= today:
            found.setdefault(day, kind)

    for ahead in (*range(7), 9, 12, 14, 18, 24):
        month = today.year * 12 + today.month - 1 + ahead
        first = date(month // 12, month % 12 + 1, 1)
        put(first + timedelta(days=(4 - first.weekday()) % 7 + 14), "M")
        if first.month in (3, 6, 9, 12):
            put((first + timedelta(days=31)).replace(day=1) - timedelta(days=1), "Q")
    friday = today + timedelta(days=(4 - today.weekday()) % 7)
    for week in range(7):
        put(friday + timedelta(weeks=week), "W")
    return dict(sorted(found.items()))


def series(
    stock: Stock, expiry: date, kind: str, anchor: float, *, adjusted: bool
) -> list[Instrument]:
    """The contracts of one expiry, strikes around `anchor`: half of it to each side monthly, a fifth
    otherwise, weekly ones twice as fine. `adjusted`: beside the monthly ones there is a class with a 2
    before its name, as after an odd split."""
    found = []
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
                number = _number(stock, expiry, strike, right, trading_class)
                if number is not None:
                    found.append(Instrument(number, stock, expiry, strike, right, trading_class))
    return found


def _number(
    stock: Stock, expiry: date, strike: float, right: str, trading_class: str
) -> int | None:
    k = round(strike / (stock.strike_step / 2))
    day = (expiry - FIRST_EXPIRY).days
    if not (0 <= day < _DAYS and 0 < k < _STRIKES):
        return None
    low = (right == "P") + 2 * (trading_class != stock.root)
    return FIRST_OPTION + stock.number * BLOCK + (day * _STRIKES + k) * 4 + low


def stock_number(conid: int) -> int | None:
    """The number of the stock that an option's conid belongs to."""
    return (conid - FIRST_OPTION) // BLOCK if conid >= FIRST_OPTION else None
