"""Contracts that are listed on a day.

Not every pair of a strike and an expiry is listed, as at the real exchange. A number (`conid`)
encodes stock, expiry, strike and right, so that a contract has the same one in every run.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from loaders.sandbox.ib.hours import is_session, session_close, session_open
from loaders.sandbox.ib.indices import TRADES_ON, Series
from loaders.sandbox.ib.indices import list_series as list_index_series
from loaders.sandbox.ib.stocks import Stock

FIRST_OPTION = 600_000_000
BLOCK = 1 << 22  # numbers of a stock: 2048 days, 512 strikes, two rights, two classes
FIRST_EXPIRY = date(2025, 1, 1)
_DAYS, _STRIKES = 2048, 512


@dataclass(frozen=True)
class Instrument:
    """A stock or index, or one of its options: then `expiry` is set, its last day of trading.

    expires: day of expiration, where that is a later one: it settles at the open
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
    expires: date | None = None

    @property
    def symbol(self) -> str:
        return self.stock.symbol

    @property
    def is_option(self) -> bool:
        return self.expiry is not None

    def is_known_at(self, exchange: str) -> bool:
        """Whether a stock or index is found at an exchange; SMART has no index."""
        return exchange in ("", self.stock.primary, "" if self.stock.is_index else "SMART")

    @property
    def expiry_text(self) -> str:
        return f"{self.expiry:%Y%m%d}" if self.expiry else ""

    @cached_property
    def local_symbol(self) -> str:
        if not self.is_option:
            return self.symbol
        strike = f"{round(self.strike * 1000):08d}"
        return f"{self.trading_class:<6}{self.expires or self.expiry:%y%m%d}{self.right}{strike}"

    @property
    def ends_at(self) -> datetime:
        """When an option expires: the close of its last day, or the open of the next."""
        if self.expiry is None:
            raise ValueError(f"{self.symbol} does not expire")
        return session_open(self.expires) if self.expires else session_close(self.expiry)

    def closes_at(self, day: date) -> datetime:
        """End of trading in a session."""
        is_settled = self.expiry == day and self.expires is None
        trades_on = self.stock.is_index and self.is_option and not is_settled
        return session_close(day) + (TRADES_ON if trades_on else timedelta())


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


def list_series(stock: Stock, today: date) -> Iterator[Series]:
    """The series that trade on a day or later, in the order of their last day."""
    standard = list_expiries(today)
    if stock.is_index:
        yield from list_index_series(stock.symbol, today, standard)
        return
    for expiry, kind in standard.items():
        yield Series(stock.root, expiry, expiry, kind)


def list_contracts(
    stock: Stock, series: Series, *, anchor: float, adjusted: bool
) -> list[Instrument]:
    """Contracts of a series, with strikes around the price `anchor`.

    They reach half of it to each side for monthly expiries, a fifth for others; weekly strikes are
    twice as fine. With `adjusted` some monthly ones also have a trading class with a 2 before its
    name, as after an odd split.
    """
    contracts, expiry, kind = [], series.expiry, series.kind
    expires = series.expires if series.expires != expiry else None
    span = 0.5 if kind == "M" else 0.2
    step = stock.strike_step / (2 if kind == "W" else 1)
    lowest, highest = anchor * (1 - span) / step, anchor * (1 + span) / step
    for k in range(math.ceil(lowest), math.floor(highest) + 1):
        strike = round(k * step, 2)
        classes = [series.trading_class]
        if adjusted and kind == "M" and k % 10 == 0:
            classes.append(f"2{stock.root}")
        for trading_class in classes:
            for right in "CP":
                number = _conid(stock, expiry, strike, right, trading_class)
                if number is not None:
                    contracts.append(
                        Instrument(
                            number, stock, expiry, strike, right, trading_class, expires=expires
                        )
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
