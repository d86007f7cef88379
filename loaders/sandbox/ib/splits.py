"""Splits: prices and strikes are divided from the ex-date, contracts renumbered.

Only whole ratios, as a clearing corporation adjusts them: a contract continues with its strike
divided (to the cent) and its open interest multiplied; its old number is unknown from then on, or
stays its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from loaders.sandbox.ib.listing import BLOCK, Instrument
from loaders.sandbox.ib.stocks import MOST_STOCKS, Stock, parse_event
from quotemill.errors import UsageError

BLOCKS_OF_SPLIT = 2  # blocks of numbers: contracts that continue, and new ones


@dataclass(frozen=True)
class Split:
    """`ratio` new shares for one, from `ex_date` on.

    keeps_numbers: contracts that continue have their numbers, on new terms
    """

    symbol: str
    ex_date: date
    ratio: int
    keeps_numbers: bool = False

    def applies(self, day: date) -> bool:
        return day >= self.ex_date


def parse_split(text: str) -> Split:
    """Read SYMBOL:YYYY-MM-DD:RATIO; raises UsageError."""
    split = Split(*parse_event("split", text, number=int, example="AAPL:2026-11-20:4"))
    if split.ratio < 2:
        raise UsageError(f"split {text!r}: the ratio must be a whole number of at least 2")
    return split


@dataclass(frozen=True)
class SplitStock:
    """A split, and the numbering of the stock's contracts after it.

    carried: stock number of the contracts that continue
    fresh: the stock whose contracts are listed later, around the new price
    """

    split: Split
    carried: int
    fresh: Stock

    def carry(self, row: Instrument) -> Instrument:
        """The contract that continues an old one."""
        shift = 0 if self.split.keeps_numbers else (self.carried - row.stock.number) * BLOCK
        strike = round(row.strike / self.split.ratio, 2)
        ex_date = self.split.ex_date
        return replace(row, conid=row.conid + shift, strike=strike, since=ex_date, before=row)

    def assign(self, row: Instrument, stock: Stock) -> Instrument:
        """A contract of `fresh` as a contract of the stock itself."""
        return replace(row, stock=stock, since=self.split.ex_date)


def split_stocks(splits: Iterable[Split], stocks: dict[str, Stock]) -> dict[str, SplitStock]:
    """Split stocks by symbol; UsageError for an unknown stock or a second split."""
    result: dict[str, SplitStock] = {}
    for split in splits:
        stock = stocks.get(split.symbol)
        if stock is None or split.symbol in result:
            raise UsageError(f"split of {split.symbol}: no such stock, or a second split for it")
        last = MOST_STOCKS - 1 - BLOCKS_OF_SPLIT * len(result)
        if any(last - BLOCKS_OF_SPLIT < s.number < MOST_STOCKS for s in stocks.values()):
            raise UsageError(f"the sandbox has no room for a split with {len(stocks)} stocks")
        fresh = replace(stock, number=last - 1, price=stock.price / split.ratio)
        result[split.symbol] = SplitStock(split, last, fresh)
    return result
