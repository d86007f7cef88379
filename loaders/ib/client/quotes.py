"""Market data of a batch of contracts: quotes with greeks, or open interest; none gets lost."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from loaders.ib.client import clean
from loaders.ib.client.error_codes import (
    NO_ANSWER,
    NO_LINES,
    NO_PERMISSION,
    NO_PRICE,
    PARTIAL,
    UNKNOWN,
)
from loaders.ib.client.ticker import (
    SILENT,
    Enough,
    Patience,
    Reading,
    Ticker,
    has_level,
    has_quote,
    has_quote_and_greeks,
    read_line,
)
from loaders.ib.client.values import SMART, Failure, OpenInterest, OptionContract, Quote

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection

HALVINGS = 3  # of the lines in use, where the gateway says that none is left
OPEN_INTEREST = "101"
# machine time -> time of the load's clock
Stamp = Callable[[datetime], datetime]
Stamping = Callable[["Connection"], Awaitable[Stamp]]


@dataclass(frozen=True)
class Batch:
    """How a batch is requested; `stamping` is called once, when all was read."""

    connection: "Connection"
    patience: Patience
    lines: int
    stamping: Stamping


async def quotes(batch: Batch, contracts: Sequence[OptionContract], data_type: int) -> list[Quote]:
    """One quote for each contract, in order; see `Gateway.quotes`."""
    batch.connection.use_data_type(data_type)
    routes = {contract.underlying_conid: contract.underlying_route for contract in contracts}
    numbers = [*routes, *(contract.conid for contract in contracts)]
    enough: dict[int, Enough] = dict.fromkeys(numbers, has_quote_and_greeks)
    enough |= {conid: has_quote if r == SMART else has_level for conid, r in routes.items()}
    readings = await _read_lines(batch, numbers, enough, snapshot=True, routes=routes)
    lacking = [c.conid for c in contracts if _may_get_more(readings[c.conid])]
    again = await _read_lines(batch, lacking, enough, snapshot=False)
    for conid, reading in again.items():
        readings[conid] = _choose_better(readings[conid], reading)
    stamp = await batch.stamping(batch.connection)
    return [
        _make_quote(
            c, data_type, readings[c.conid], stock=readings[c.underlying_conid], stamp=stamp
        )
        for c in contracts
    ]


async def open_interest(
    batch: Batch, contracts: Sequence[OptionContract], data_type: int
) -> list[OpenInterest]:
    """Open interest of each contract, in order."""
    batch.connection.use_data_type(data_type)
    enough: dict[int, Enough] = {
        c.conid: _has_calls if c.right == "C" else _has_puts for c in contracts
    }
    readings = await _read_lines(batch, list(enough), enough, snapshot=False, generic=OPEN_INTEREST)
    stamp = await batch.stamping(batch.connection)
    rows = []
    for contract in contracts:
        reading = readings[contract.conid]
        rows.append(
            OpenInterest(
                contract=contract,
                open_interest=_own_interest(contract, reading.ticker),
                captured_at=stamp(reading.read_at),
                market_data_type=reading.data_type,
                failure=reading.failure,
            )
        )
    return rows


async def _read_lines(
    batch: Batch,
    conids: Sequence[int],
    enough: dict[int, Enough],
    *,
    snapshot: bool,
    generic: str = "",
    routes: Mapping[int, str] = MappingProxyType({}),
) -> dict[int, Reading]:
    """At most `batch.lines` at once; fewer where the gateway has not as many left.

    `routes` has the exchanges of those that are not on SMART.
    """
    readings: dict[int, Reading] = {}
    lines, wanted = batch.lines, list(dict.fromkeys(conids))
    for _ in range(HALVINGS + 1):
        places = asyncio.Semaphore(max(1, lines))

        async def read(conid: int, places: asyncio.Semaphore = places) -> None:
            async with places:
                readings[conid] = await read_line(
                    batch.connection,
                    conid,
                    enough[conid],
                    batch.patience,
                    snapshot=snapshot,
                    generic=generic,
                    linger=not generic,
                    route=routes.get(conid, SMART),
                )

        await asyncio.gather(*(read(conid) for conid in wanted))
        wanted = [conid for conid in wanted if _lacks_line(readings[conid])]
        if not wanted:
            break
        lines //= 2
    silent = {n: r for n, r in readings.items() if r.failure and r.failure.error_type == NO_ANSWER}
    if silent and not await batch.connection.is_alive():
        readings |= {conid: replace(reading, failure=SILENT) for conid, reading in silent.items()}
    return readings


def _lacks_line(reading: Reading) -> bool:
    return reading.failure is not None and reading.failure.error_type == NO_LINES


def _may_get_more(reading: Reading) -> bool:
    """Whether more may come: the gateway did not say that it will not."""
    if reading.failure is not None:
        return reading.failure.error_type in (NO_ANSWER, UNKNOWN)
    return not has_quote_and_greeks(reading.ticker)


def _choose_better(first: Reading, second: Reading) -> Reading:
    """The reading with more values; the later one where both have as many."""
    if not second.has_data:
        return first
    if not first.has_data:
        return second
    known = [has_quote(r.ticker) + (r.ticker.modelGreeks is not None) for r in (first, second)]
    best = second if known[1] >= known[0] else first
    return replace(best, hold_s=first.hold_s + second.hold_s)


def _has_calls(ticker: Ticker) -> bool:
    return not math.isnan(ticker.callOpenInterest)


def _has_puts(ticker: Ticker) -> bool:
    return not math.isnan(ticker.putOpenInterest)


def _own_interest(contract: OptionContract, ticker: Ticker) -> int | None:
    is_call = contract.right == "C"
    return clean.count(ticker.callOpenInterest if is_call else ticker.putOpenInterest)


def _make_quote(
    contract: OptionContract, requested: int, reading: Reading, *, stock: Reading, stamp: Stamp
) -> Quote:
    ticker, under = reading.ticker, stock.ticker
    arrived_at, und_arrived_at = reading.arrived_at, stock.arrived_at
    quote = Quote(
        contract=contract,
        requested_type=requested,
        captured_at=stamp(reading.read_at),
        asof_at=stamp(arrived_at) if arrived_at else None,
        market_data_type=reading.data_type,
        bid=clean.price(ticker.bid),
        ask=clean.traded_price(ticker.ask),
        last=clean.traded_price(ticker.last),
        close_prev=clean.traded_price(ticker.close),
        bid_size=clean.count(ticker.bidSize),
        ask_size=clean.count(ticker.askSize),
        last_size=clean.count(ticker.lastSize),
        volume=clean.count(ticker.volume),
        open_interest=_own_interest(contract, ticker),
        iv_bid=clean.volatility(ticker.bidGreeks.impliedVol) if ticker.bidGreeks else None,
        iv_ask=clean.volatility(ticker.askGreeks.impliedVol) if ticker.askGreeks else None,
        und_bid=clean.traded_price(under.bid),
        und_ask=clean.traded_price(under.ask),
        und_last=clean.traded_price(under.last),
        und_quote_at=stamp(und_arrived_at) if und_arrived_at else None,
        und_market_data_type=stock.data_type,
        hold_s=reading.hold_s,
        is_incomplete=reading.has_data and not has_quote_and_greeks(ticker),
        failure=reading.failure,
    )
    model = ticker.modelGreeks
    if model is None:
        return check_price(quote)
    iv, delta = clean.volatility(model.impliedVol), clean.greek(model.delta)
    quote = replace(
        quote,
        iv=iv,
        delta=delta,
        gamma=clean.greek(model.gamma),
        vega=clean.greek(model.vega),
        theta=clean.greek(model.theta),
        opt_price_model=clean.price(model.optPrice),
        pv_dividend=clean.price(model.pvDividend),
        und_price=clean.traded_price(model.undPrice),
        greeks_source=None if iv is None and delta is None else "model",
    )
    return check_price(quote)


def check_price(quote: Quote) -> Quote:
    """A quote with a current price, else with a failure.

    A bid, an ask, a last trade of its day, or a price or volatility of the model is one; sizes, a
    volume, the close before are not: `no_price`; nor is a last trade without a volume, which is of
    an earlier day. A part without one (`partial`) counts as refused, so older data may be had
    instead.
    """
    traded = quote.last if quote.volume else None
    priced = (quote.bid, quote.ask, traded, quote.opt_price_model, quote.iv)
    failure = quote.failure
    if not quote.has_data or any(value is not None for value in priced):
        return quote
    if failure is not None and failure.error_type == PARTIAL:
        refused = replace(failure, error_type=NO_PERMISSION)
        known = quote.contract, quote.requested_type, quote.captured_at
        return Quote(*known, hold_s=quote.hold_s, failure=refused)
    if failure is not None:
        return quote
    said = "sizes, a volume or an earlier price arrived, but nothing of the day"
    return replace(quote, failure=Failure(NO_PRICE, None, said))
