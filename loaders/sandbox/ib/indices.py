"""Indices of the market, and the classes of their options.

Monthly SPX, NDX and VIX settle at the opening prices of their expiration and trade until the
session before, by which the gateway lists them; SPXW, NDXP and XSP settle at the close. All trade
until 16:15, or 13:15 on an early close, but on the day of a settlement at the close only until
then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from loaders.sandbox.ib.hours import is_session, session_before
from loaders.sandbox.ib.stocks import MOST_STOCKS, Stock

TRADES_ON = timedelta(minutes=15)  # after the close


@dataclass(frozen=True)
class IndexClass:
    """A trading class; `is_morning`: it settles at the open."""

    name: str
    is_morning: bool


@dataclass(frozen=True)
class Series:
    """An expiration of a class: the day it is listed by, and the day it expires."""

    trading_class: str
    expiry: date
    expires: date
    kind: str  # M, Q, W


# number, conid, symbol, exchange, name, level, volatility
_LISTED = (
    (0, 416_904, "SPX", "CBOE", "S&P 500 Stock Index", 5900.0, 0.15),
    (1, 416_843, "NDX", "NASDAQ", "NASDAQ 100 Stock Index", 20900.0, 0.19),
    (2, 13_455_763, "VIX", "CBOE", "CBOE Volatility Index", 17.0, 0.9),
    (3, 137_851_301, "XSP", "CBOE", "Mini-SPX Index", 590.0, 0.15),
)
INDICES = {
    symbol: Stock(MOST_STOCKS + number, conid, symbol, place, name, level, volatility, "IND")
    for number, conid, symbol, place, name, level, volatility in _LISTED
}
CLASSES = {
    "SPX": (IndexClass("SPX", is_morning=True), IndexClass("SPXW", is_morning=False)),
    "NDX": (IndexClass("NDX", is_morning=True), IndexClass("NDXP", is_morning=False)),
    "VIX": (IndexClass("VIX", is_morning=True),),
    "XSP": (IndexClass("XSP", is_morning=False),),
}


def list_series(symbol: str, today: date, standard: dict[date, str]) -> Iterator[Series]:
    """The series of an index that trade on a day or later.

    `standard` are the expirations of stocks.
    """
    for each in CLASSES[symbol]:
        if not each.is_morning:
            for day, kind in standard.items():
                yield Series(each.name, day, day, kind)
            continue
        months = _vix_months(today) if symbol == "VIX" else _months(standard)
        for day in months:
            last_traded = session_before(day)
            if last_traded >= today:
                yield Series(each.name, last_traded, day, "M")


def _months(standard: dict[date, str]) -> list[date]:
    return [day for day, kind in standard.items() if kind == "M"]


def _vix_months(today: date) -> Iterator[date]:
    """30 days before the third Friday of the next month, or the session before a holiday."""
    for ahead in range(7):
        month = today.year * 12 + today.month + ahead
        first = date(month // 12, month % 12 + 1, 1)
        friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        day = friday - timedelta(days=30)
        yield day if is_session(day) and is_session(friday) else session_before(day)
