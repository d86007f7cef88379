"""Prices, quotes and open interest: functions of seed, contract and time.

The same question gives the same figures to the last digit, in any order and in any run.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import NormalDist
from threading import RLock

from loaders.sandbox.ib import listing
from loaders.sandbox.ib.dividends import Special, ex_dates, quarterly_amount, until
from loaders.sandbox.ib.hours import (
    FIRST_DAY,
    PUBLISHED,
    is_session,
    session_at,
    session_before,
    session_close,
    session_number,
    session_open,
    session_until,
)
from loaders.sandbox.ib.indices import INDICES, Series
from loaders.sandbox.ib.listing import Instrument
from loaders.sandbox.ib.option_prices import (
    Computation,
    compute,
    volatility,
    years_between,
)
from loaders.sandbox.ib.splits import Split, split_stocks
from loaders.sandbox.ib.stocks import LISTED, Stock, choose_stocks, rnd
from quotemill.errors import UsageError

_normal = NormalDist()
CACHED_CHAINS = 400  # stock-days


@dataclass(frozen=True)
class Query:
    """A contract as a client describes it; an empty field matches everything."""

    conid: int = 0
    symbol: str = ""
    kind: str = ""  # STK, IND, OPT
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    exchange: str = ""
    primary: str = ""
    currency: str = ""
    trading_class: str = ""


@dataclass(frozen=True)
class Quote:
    """Prices in dollars a share; sizes and volume in contracts (of a stock: shares).

    An index has a last level alone: no bid, no ask, no volume.
    last: None if nothing was traded that day
    """

    bid: float
    ask: float
    bid_size: int
    ask_size: int
    last: float | None
    last_size: int
    previous_close: float
    volume: int


class World:
    """The market of some stocks and indices (default: all listed ones).

    adjusted: stocks with a second trading class
    splits: at most one of a stock, on its ex-date
    specials: dividends beside the quarterly ones
    """

    def __init__(
        self,
        symbols: Iterable[str] | None = None,
        *,
        seed: int = 7,
        adjusted: Iterable[str] = ("AAPL",),
        splits: Iterable[Split] = (),
        specials: Iterable[Special] = (),
    ) -> None:
        self.seed, self.adjusted = seed, frozenset(adjusted)
        self.stocks: dict[str, Stock] = choose_stocks(LISTED | INDICES, symbols)
        self._splits = split_stocks(splits, self.stocks)
        self._specials = tuple(specials)
        for special in self._specials:
            if special.symbol not in self.stocks:
                raise UsageError(f"dividend of {special.symbol}: no such stock")
        self._by_number = {stock.number: stock for stock in self.stocks.values()}
        for symbol, split in self._splits.items():
            numbers = split.carried, split.fresh.number
            self._by_number |= dict.fromkeys(numbers, self.stocks[symbol])
        self._by_conid = {
            stock.conid: Instrument(stock.conid, stock) for stock in self.stocks.values()
        }
        self._paths: dict[str, list[float]] = {}
        self._chains: dict[tuple[str, date], dict[int, Instrument]] = {}
        self._series: dict[tuple[str, Series, date, bool], dict[int, Instrument]] = {}
        self._lock = RLock()

    def ratio(self, symbol: str, day: date, today: date) -> int:
        """Shares of `today` for one of `day`; 1 without a split in between."""
        stock = self._splits.get(symbol)
        if stock is None or not stock.split.applies(today) or stock.split.applies(day):
            return 1
        return stock.split.ratio

    def dividend_factor(self, symbol: str, day: date, today: date) -> float:
        """What a price of `day` is multiplied by for the dividends from then to `today`."""
        stock, factor = self.stocks[symbol], 1.0
        for ex_date in ex_dates(stock, day + _DAY, today):
            before = self._path_price(symbol, session_before(ex_date))
            factor *= 1 - quarterly_amount(stock) / before
        return factor

    def close_price(self, symbol: str, day: date, terms: date | None = None) -> float:
        """Close of the newest session not later than `day`.

        Prices are in the shares of that session, or of the day `terms`.
        """
        session = session_until(day)
        whole = self._path_price(symbol, session) / self.ratio(symbol, date.min, session)
        return round(whole / self.ratio(symbol, session, terms or session), 2)

    def _path_price(self, symbol: str, day: date) -> float:
        """The close as if there were no splits."""
        stock, wanted = self.stocks[symbol], session_number(session_until(day))
        with self._lock:
            path = self._paths.setdefault(symbol, [stock.price])
            while len(path) <= wanted:
                step = _normal.inv_cdf(rnd(self.seed, symbol, session_at(len(path))))
                path.append(path[-1] * math.exp(step * stock.volatility / 16))
            return path[wanted]

    def spot(self, symbol: str, when: datetime, terms: date | None = None) -> float:
        """Price: a wave from close to close in a session, else the newest close.

        Prices are in the shares of that session, or of the day `terms`.
        """
        day = session_until(when.date())
        terms = max(day, terms) if terms else day
        start, end = session_open(day), session_close(day)
        if when >= end or when <= start:
            return self.close_price(symbol, day if when >= end else session_before(day), terms)
        last = self.close_price(symbol, day, terms)
        before = self.close_price(symbol, session_before(day), terms)
        share = (when - start) / (end - start)
        swing = 0.15 * self.stocks[symbol].volatility / 16 * math.sin(math.pi * share)
        wave = swing * math.sin(40 * share + rnd(self.seed, symbol, day))
        between = math.log(before) * (1 - share) + math.log(last) * share
        return round(math.exp(between + wave), 2)

    def chain(self, symbol: str, today: date) -> dict[int, Instrument]:
        """Contracts that are listed on a day, by number.

        Strikes surround the price at the end of the month before, so that all sessions of a month
        list the same ones.
        """
        with self._lock:
            if (symbol, today) not in self._chains:
                month = today.replace(day=1)
                rows: dict[int, Instrument] = {}
                for series in listing.list_series(self.stocks[symbol], today):
                    rows |= self._list_series(symbol, series, month=month, today=today)
                while len(self._chains) >= CACHED_CHAINS:
                    self._chains.pop(next(iter(self._chains)))
                self._chains[symbol, today] = rows
            return self._chains[symbol, today]

    def _list_series(
        self, symbol: str, series: Series, *, month: date, today: date
    ) -> dict[int, Instrument]:
        """Contracts of a series that are listed in a month.

        From a split on they continue with new numbers; in later months contracts are listed on the
        new terms.
        """
        stock, split = self.stocks[symbol], self._splits.get(symbol)
        is_split = split is not None and split.split.applies(today)
        key = symbol, series, month, is_split
        if key not in self._series:
            before = max(FIRST_DAY, month - _DAY)
            is_old = split is None or not split.split.applies(before)
            listed = stock if split is None or is_old else split.fresh
            rows = listing.list_contracts(
                listed,
                series,
                anchor=self.close_price(symbol, before),
                adjusted=symbol in self.adjusted,
            )
            if split is not None and not is_old:
                rows = [split.assign(row, stock) for row in rows]
            elif split is not None and is_split:
                rows = [split.carry(row) for row in rows]
            self._series[key] = {row.conid: row for row in rows}
        return self._series[key]

    def find(self, query: Query, today: date) -> list[Instrument]:
        """Contracts that match the non-empty fields of a query; no expired ones."""
        if query.conid:
            if query.conid in self._by_conid:
                known = self._by_conid[query.conid]
                return [known] if known.is_known_at(query.exchange) else []
            number = listing.stock_number(query.conid)
            stock = self._by_number.get(-1 if number is None else number)
            match = self.chain(stock.symbol, today).get(query.conid) if stock else None
            return [match] if match else []
        stock = self.stocks.get(query.symbol)
        if stock is None or query.currency not in ("", "USD"):
            return []
        if query.kind in ("STK", "IND"):
            match = self._by_conid[stock.conid]
            is_known = query.kind == stock.sec_type and match.is_known_at(query.exchange)
            is_known &= query.primary in ("", stock.primary)
            return [match] if is_known else []
        return [
            row
            for row in self.chain(query.symbol, today).values()
            if (not query.strike or row.strike == query.strike)
            and (not query.expiry or row.expiry_text.startswith(query.expiry))
            and (not query.right or row.right == query.right[0])
            and (not query.trading_class or row.trading_class == query.trading_class)
        ]

    def open_interest(self, option: Instrument, when: datetime) -> int:
        """Contracts at the end of a session, published at 06:30 of the next one."""
        day = when.date()
        published = is_session(day) and when.time() >= PUBLISHED
        newest = day if published else session_until(day - _DAY)
        conid = option.before.conid if option.before else option.conid
        base = 5 + 4000 * rnd(self.seed, "oi", conid) ** 3
        drift = 0.9 + 0.2 * rnd(self.seed, "oi", conid, session_before(newest))
        carried = option.since if option.before else None
        return int(base * drift) * self.ratio(option.symbol, date.min, carried or date.min)

    def computation(self, option: Instrument, when: datetime, shift: float = 0.0) -> Computation:
        """Price and greeks of the model; `shift` moves the volatility, as bid and ask do."""
        spot = self.spot(option.symbol, when, option.since)
        years = years_between(when, option.ends_at)
        iv = volatility(option.stock.volatility, option.strike, spot, years) + shift
        ratio = self.ratio(option.symbol, date.min, max(when.date(), option.since or date.min))
        ahead = until(option.stock, when, option.ends_at.date(), self._specials)
        return compute(
            spot,
            (option.strike, option.right, years),
            max(0.01, iv),
            dividends=tuple((at, amount / ratio) for at, amount in ahead),
            is_american=not option.stock.is_index,
        )

    def previous_close(self, instrument: Instrument, day: date) -> float:
        """Close of the session before the newest one that is not later than that day."""
        before = session_before(session_until(day))
        if not instrument.is_option:
            return self.close_price(instrument.symbol, before, session_until(day))
        return round(self.computation(instrument, session_close(before)).price, 2)

    def quote(self, instrument: Instrument, when: datetime) -> Quote:
        day = session_until(when.date())
        elapsed = (when - session_open(day)) / timedelta(hours=6.5)
        share = min(1.0, max(0.0, elapsed))
        if not instrument.is_option:
            spot = self.spot(instrument.symbol, when)
            if instrument.stock.is_index:
                previous = self.previous_close(instrument, when.date())
                return Quote(spot, spot, 0, 0, spot, 0, previous, 0)
            volume = int(4e6 * share * (0.5 + rnd(self.seed, instrument.symbol, day)))
            previous = self.previous_close(instrument, when.date())
            return Quote(
                round(spot - 0.01, 2), round(spot + 0.01, 2), 3, 4, spot, 1, previous, volume
            )
        price = self.computation(instrument, when).price
        tick = 0.01 if price < 3 else 0.05
        half = max(tick, 0.02 * price**0.8)
        bid = max(0.0, math.floor((price - half) / tick) * tick)
        ask = max(tick, math.ceil((price + half) / tick) * tick)
        volume = int(900 * rnd(self.seed, "volume", instrument.conid, day) ** 4 * share * 7)
        return Quote(
            bid=round(bid, 2),
            ask=round(ask, 2),
            bid_size=1 + int(40 * rnd(self.seed, "bid", instrument.conid)),
            ask_size=1 + int(40 * rnd(self.seed, "ask", instrument.conid)),
            last=max(0.01, round(price, 2)) if volume else None,
            last_size=1,
            previous_close=self.previous_close(instrument, when.date()),
            volume=volume,
        )


_DAY = timedelta(days=1)
