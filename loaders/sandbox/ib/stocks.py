"""Stocks of the market: large American names at made-up prices, and invented ones."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from quotemill.errors import UsageError

N = TypeVar("N", int, float)
MOST_STOCKS = 350  # numbers of contracts are blocks of numbers by stock


def rnd(*parts: object) -> float:
    """A pseudo-random number in (0, 1) from any key, the same everywhere."""
    raw = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return (int.from_bytes(raw, "big") + 0.5) / 2**64


@dataclass(frozen=True)
class Stock:
    """A stock, or an index (`sec_type` IND).

    `price` is that of the first day, `volatility` that of a year.
    """

    number: int
    conid: int
    symbol: str
    primary: str
    name: str
    price: float
    volatility: float
    sec_type: str = "STK"

    @property
    def is_index(self) -> bool:
        return self.sec_type == "IND"

    @property
    def root(self) -> str:
        """Trading class of its options: the symbol without blanks."""
        return self.symbol.replace(" ", "")

    @property
    def strike_step(self) -> float:
        """Distance of monthly strikes; weekly ones are twice as fine."""
        if self.price < 50:
            return 1.0
        if self.price < 200:
            return 2.5
        if self.price < 500:
            return 5.0
        return 10.0 if self.price < 2000 else 50.0 if self.price < 10_000 else 200.0


def parse_event(
    kind: str, text: str, *, number: Callable[[str], N], example: str
) -> tuple[str, date, N]:
    """Read SYMBOL:YYYY-MM-DD:NUMBER; raises UsageError."""
    try:
        symbol, day, value = text.split(":")
        return symbol.strip().upper(), date.fromisoformat(day), number(value)
    except ValueError:
        raise UsageError(f"cannot read {kind} {text!r}", hint=example) from None


_KNOWN_CONIDS = {"AAPL": 265598, "MSFT": 272093, "SPY": 756733, "NVDA": 4815747, "DIS": 4901}
# symbol, exchange, price, volatility
_LISTED = """
AAPL NASDAQ 243 0.27|MSFT NASDAQ 418 0.24|SPY ARCA 584 0.16|NVDA NASDAQ 138 0.45|
DIS NYSE 110 0.30|AMZN NASDAQ 220 0.31|GOOGL NASDAQ 190 0.29|GOOG NASDAQ 191 0.29|
META NASDAQ 599 0.35|TSLA NASDAQ 379 0.58|AVGO NASDAQ 232 0.44|BRK B NYSE 451 0.17|
LLY NYSE 778 0.33|JPM NYSE 240 0.24|V NYSE 315 0.20|UNH NYSE 505 0.28|XOM NYSE 107 0.24|
MA NYSE 522 0.21|COST NASDAQ 910 0.22|HD NYSE 389 0.23|PG NYSE 166 0.17|WMT NYSE 90 0.22|
JNJ NYSE 144 0.17|NFLX NASDAQ 886 0.38|CRM NYSE 330 0.34|BAC NYSE 44 0.26|ORCL NYSE 166 0.34|
ABBV NYSE 179 0.24|CVX NYSE 147 0.24|MRK NYSE 99 0.24|KO NYSE 62 0.16|AMD NASDAQ 120 0.47|
PEP NASDAQ 151 0.18|ACN NYSE 351 0.24|TMO NYSE 522 0.26|LIN NASDAQ 416 0.19|MCD NYSE 292 0.18|
CSCO NASDAQ 59 0.22|ADBE NASDAQ 441 0.33|WFC NYSE 70 0.28|ABT NYSE 113 0.21|IBM NYSE 219 0.24|
GE NYSE 168 0.30|QCOM NASDAQ 155 0.36|PM NYSE 121 0.20|TXN NASDAQ 188 0.30|CAT NYSE 362 0.29|
INTU NASDAQ 627 0.30|VZ NYSE 40 0.22|AMGN NASDAQ 260 0.25|NOW NYSE 1061 0.35|PFE NYSE 26 0.25|
ISRG NASDAQ 525 0.29|GS NYSE 573 0.27|T NYSE 23 0.24|NKE NYSE 74 0.31|BA NYSE 172 0.35|
INTC NASDAQ 20 0.52|UBER NYSE 62 0.39|F NYSE 10 0.36|QQQ NASDAQ 510 0.20|IWM ARCA 222 0.22|
C NYSE 71 0.27|PYPL NASDAQ 86 0.37|AMAT NASDAQ 165 0.39|
"""


def _listed() -> dict[str, Stock]:
    stocks = {}
    for number, entry in enumerate(_LISTED.replace("\n", "").strip("|").split("|")):
        symbol, primary, price, volatility = entry.rsplit(" ", 3)
        conid = _KNOWN_CONIDS.get(symbol, 300_007 + 11 * number)
        name = f"{symbol} CORP"
        stocks[symbol] = Stock(
            number, conid, symbol, primary, name, float(price), float(volatility)
        )
    return stocks


LISTED = _listed()


def choose_stocks(listed: Mapping[str, Stock], symbols: Iterable[str] | None) -> dict[str, Stock]:
    """Those of these symbols, or all that are listed.

    A stock that is not listed is invented: its price and its volatility follow from its symbol, its
    numbers from its position.
    """
    if symbols is None:
        return dict(listed)
    stocks: dict[str, Stock] = {}
    invented = len(LISTED)
    for symbol in dict.fromkeys(symbols):
        if symbol in listed:
            stocks[symbol] = listed[symbol]
            continue
        if invented >= MOST_STOCKS:
            raise UsageError(f"the sandbox has room for only {MOST_STOCKS} stocks")
        if not 1 <= len(symbol) <= 6 or symbol != symbol.upper():
            raise UsageError(
                f"not a symbol: {symbol!r}", hint="Use 1 to 6 characters, in capitals."
            )
        price = round(15 + 300 * rnd("price", symbol) ** 2, 2)
        volatility = round(0.15 + 0.4 * rnd("volatility", symbol), 2)
        stocks[symbol] = Stock(
            invented, 300_007 + 11 * invented, symbol, "NYSE", f"{symbol} INC", price, volatility
        )
        invented += 1
    return stocks


def invent_symbols(count: int) -> list[str]:
    """Symbols of that many invented stocks: SYN001, SYN002, ..."""
    return [f"SYN{n:03}" for n in range(1, count + 1)]
