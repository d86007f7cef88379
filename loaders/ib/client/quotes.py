"""A batch of contracts looked at: quotes with greeks, or open interest. No contract gets lost."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from loaders.ib.client import clean
from loaders.ib.client.error_codes import NO_ANSWER, NO_LINES, NO_PERMISSION, NO_PRICE, PARTIAL
from loaders.ib.client.gateway import Failure, OpenInterest, OptionContract, Quote
from loaders.ib.client.raw_quotes import Tick
from loaders.ib.client.ticker import (
    Enough,
    Looked,
    Patience,
    has_quote,
    has_quote_and_greeks,
    look_at,
)

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection

HALVINGS = 3  # of the lines in use, where the gateway says that there are none left
OPEN_INTEREST = "101"
# machine time -> what the load's clock showed then
Stamp = Callable[[datetime], datetime]
Stamping = Callable[["Connection"], Awaitable[Stamp]]


@dataclass(frozen=True)
class Batch:
    """How a batch is to be asked for; `stamping` is asked once, when all was read."""

    connection: "Connection"
    patience: Patience
    lines: int
    stamping: Stamping


async def quotes(
    batch: Batch, contracts: Sequence[OptionContract], data_type: int, *, streaming: bool
) -> list[Quote]:
    """One quote for each contract, in order; see `Gateway.quotes`."""
    batch.connection.use_data_type(data_type)
    stocks = list(dict.fromkeys(contract.underlying_conid for contract in contracts))
    numbers = [*stocks, *(contract.conid for contract in contracts)]
    enough: dict[int, Enough] = dict.fromkeys(numbers, has_quote_and_greeks)
    enough |= dict.fromkeys(stocks, has_quote)
    found = await _look_at_all(batch, numbers, enough, snapshot=not streaming)
    if not streaming:
        lacking = [c.conid for c in contracts if _lacks(found[c.conid])]
        again = await _look_at_all(batch, lacking, enough, snapshot=False)
        for conid, looked in again.items():
            found[conid] = _better(found[conid], looked)
    stamp = await batch.stamping(batch.connection)
    return [
        _quote(contract, data_type, found[contract.conid], found[contract.underlying_conid], stamp)
        for contract in contracts
    ]


async def open_interest(
    batch: Batch, contracts: Sequence[OptionContract], data_type: int
) -> list[OpenInterest]:
    """The own side of each contract, in order."""
    batch.connection.use_data_type(data_type)
    enough: dict[int, Enough] = {
        c.conid: _has_calls if c.right == "C" else _has_puts for c in contracts
    }
    found = await _look_at_all(batch, list(enough), enough, snapshot=False, generic=OPEN_INTEREST)
    stamp = await batch.stamping(batch.connection)
    rows = []
    for contract in contracts:
        looked = found[contract.conid]
        tick = looked.tick
        own = tick.call_interest if contract.right == "C" else tick.put_interest
        rows.append(
            OpenInterest(
                contract=contract,
                open_interest=clean.count(own),
                captured_at=stamp(looked.read_at),
                market_data_type=tick.data_type,
                failure=looked.failure,
            )
        )
    return rows


async def _look_at_all(
    batch: Batch,
    conids: Sequence[int],
    enough: dict[int, Enough],
    *,
    snapshot: bool,
    generic: str = "",
) -> dict[int, Looked]:
    """At most `batch.lines` at once; fewer where the gateway has not as many left."""
    found: dict[int, Looked] = {}
    lines, wanted = batch.lines, list(dict.fromkeys(conids))
    for _ in range(HALVINGS + 1):
        places = asyncio.Semaphore(max(1, lines))

        async def one(conid: int, places: asyncio.Semaphore = places) -> None:
            async with places:
                found[conid] = await look_at(
                    batch.connection,
                    conid,
                    enough[conid],
                    batch.patience,
                    snapshot=snapshot,
                    generic=generic,
                    linger=not generic,
                )

        await asyncio.gather(*(one(conid) for conid in wanted))
        wanted = [conid for conid in wanted if _type(found[conid]) == NO_LINES]
        if not wanted:
            break
        lines //= 2
    return found


def _type(looked: Looked) -> str:
    return looked.failure.error_type if looked.failure else ""


def _lacks(looked: Looked) -> bool:
    """Something may still come: the gateway did not say that it will not."""
    if looked.failure is not None:
        return looked.failure.error_type == NO_ANSWER
    return not has_quote_and_greeks(looked.tick)


def _better(first: Looked, second: Looked) -> Looked:
    """The one that knows more; the later one where both know as much."""
    if not second.has_data:
        return first
    if not first.has_data:
        return second
    known = [has_quote(one.tick) + (one.tick.model is not None) for one in (first, second)]
    best = second if known[1] >= known[0] else first
    return replace(best, hold_s=first.hold_s + second.hold_s)


def _has_calls(tick: Tick) -> bool:
    return not math.isnan(tick.call_interest)


def _has_puts(tick: Tick) -> bool:
    return not math.isnan(tick.put_interest)


def _quote(
    contract: OptionContract, requested: int, looked: Looked, stock: Looked, stamp: Stamp
) -> Quote:
    tick, model, under = looked.tick, looked.tick.model, stock.tick
    own = tick.call_interest if contract.right == "C" else tick.put_interest
    quote = Quote(
        contract=contract,
        requested_type=requested,
        captured_at=stamp(looked.read_at),
        asof_at=stamp(tick.arrived) if tick.arrived else None,
        market_data_type=tick.data_type,
        bid=clean.price(tick.bid),
        ask=clean.traded_price(tick.ask),
        last=clean.traded_price(tick.last),
        close_prev=clean.traded_price(tick.close),
        bid_size=clean.count(tick.bid_size),
        ask_size=clean.count(tick.ask_size),
        last_size=clean.count(tick.last_size),
        volume=clean.count(tick.volume),
        open_interest=clean.count(own),
        iv_bid=clean.volatility(tick.of_bid.iv) if tick.of_bid else None,
        iv_ask=clean.volatility(tick.of_ask.iv) if tick.of_ask else None,
        und_bid=clean.traded_price(under.bid),
        und_ask=clean.traded_price(under.ask),
        und_last=clean.traded_price(under.last),
        und_quote_at=stamp(under.arrived) if under.arrived else None,
        und_market_data_type=under.data_type,
        hold_s=looked.hold_s,
        failure=looked.failure,
    )
    if model is None:
        return _judged(quote)
    iv, delta = clean.volatility(model.iv), clean.greek(model.delta)
    quote = replace(
        quote,
        iv=iv,
        delta=delta,
        gamma=clean.greek(model.gamma),
        vega=clean.greek(model.vega),
        theta=clean.greek(model.theta),
        opt_price_model=clean.price(model.price),
        pv_dividend=clean.price(model.dividends),
        und_price=clean.traded_price(model.underlying),
        greeks_source=None if iv is None and delta is None else "model",
    )
    return _judged(quote)


def _judged(quote: Quote) -> Quote:
    """A quote counts that has a bid, an ask, a last trade of its day, or a price or volatility of the model.
    Sizes, a volume, the close before tell nothing of the moment: `no_price`. A part that is no more than
    that (`partial`) is none, so older data may be had instead."""
    priced = (quote.bid, quote.ask, quote.last, quote.opt_price_model, quote.iv)
    failure = quote.failure
    if not quote.has_data or any(value is not None for value in priced):
        return quote
    if failure is not None and failure.error_type == PARTIAL:
        refused = replace(failure, error_type=NO_PERMISSION)
        known = quote.contract, quote.requested_type, quote.captured_at
        return Quote(*known, hold_s=quote.hold_s, failure=refused)
    if failure is not None:
        return quote
    said = "sizes, a volume or the close before came, and no price"
    return replace(quote, failure=Failure(NO_PRICE, None, said))
