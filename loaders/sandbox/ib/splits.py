"""Splits of stocks: from the ex-date on prices and strikes are divided, and the contracts have new numbers.

Whole ratios alone, as a clearing corporation adjusts them: the contract goes on with its strike divided (to
the cent) and as many times the open interest; the old number is known no more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from loaders.errors import UsageError
from loaders.sandbox.ib.listing import BLOCK, Instrument
from loaders.sandbox.ib.stocks import MOST_STOCKS, Stock

NEEDS = 2  # blocks of numbers of a stock that was split: contracts that go on, and new ones


@dataclass(frozen=True)
class Split:
    """`ratio` new shares for one, from `ex_date` on."""

    symbol: str
    ex_date: date
    ratio: int

    def applies(self, day: date) -> bool:
        return day >= self.ex_date


def parse_split(text: str) -> Split:
    """SYMBOL:YYYY-MM-DD:RATIO. Raises UsageError."""
    try:
        symbol, day, ratio = text.split(":")
        found = Split(symbol.strip().upper(), date.fromisoformat(day), int(ratio))
    except ValueError:
        raise UsageError(f"split {text!r} cannot be read", hint="AAPL:2026-11-20:4") from None
    if found.ratio < 2:
        raise UsageError(f"split {text!r}: the ratio is a whole number from 2 on")
    return found


@dataclass(frozen=True)
class After:
    """A split, and the stock's two lives after it: `carried` numbers the contracts that go on, `fresh`
    those that are listed later, around the new price."""

    split: Split
    carried: int
    fresh: Stock

    def carry(self, row: Instrument) -> Instrument:
        """The contract that an old one goes on as."""
        shift = (self.carried - row.stock.number) * BLOCK
        strike = round(row.strike / self.split.ratio, 2)
        ex_date = self.split.ex_date
        return replace(row, conid=row.conid + shift, strike=strike, since=ex_date, before=row)

    def list_anew(self, row: Instrument, stock: Stock) -> Instrument:
        """A contract of `fresh` as one of the stock itself."""
        return replace(row, stock=stock, since=self.split.ex_date)


def afters(splits: Iterable[Split], stocks: dict[str, Stock]) -> dict[str, After]:
    """By symbol. Raises UsageError for a stock that is not there, or that is split twice."""
    found: dict[str, After] = {}
    for split in splits:
        stock = stocks.get(split.symbol)
        if stock is None or split.symbol in found:
            raise UsageError(f"split of {split.symbol}: no such stock, or a second split of it")
        last = MOST_STOCKS - 1 - NEEDS * len(found)
        if any(other.number > last - NEEDS for other in stocks.values()):
            raise UsageError(f"the sandbox has no room for a split beside {len(stocks)} stocks")
        fresh = replace(stock, number=last - 1, price=stock.price / split.ratio)
        found[split.symbol] = After(split, last, fresh)
    return found
