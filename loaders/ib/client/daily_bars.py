"""Day bars and dividends of underlyings.

TRADES bars are adjusted for splits, ADJUSTED_LAST for dividends too, both to the shares of today;
the latter end now, whatever is asked (interactivebrokers.github.io/tws-api/historical_bars.html).
Dividends are tick 59 of the generic tick 456, `0.83,0.92,20130219,0.23`: the past and the next
twelve months, the next ex-date and its amount (tick_types.html of the same site).
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from loaders.ib.client import clean
from loaders.ib.client.contract_details import make_error
from loaders.ib.client.error_codes import NO_PRICE, PARTIAL
from loaders.ib.client.ticker import Patience, Ticker, read_single
from loaders.ib.client.values import Failure, Underlying
from quotemill.errors import DataQualityError, QuotemillError, UpstreamError
from quotemill.foreign import reading

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection

DURATION = "1 Y"
DIVIDENDS = "456"


@dataclass(frozen=True)
class DailyBar:
    """A day of an underlying, in the shares of today.

    volume          None of an index, for which the gateway has 0
    adjusted_close  for dividends too; None of an index, and where the gateway has none
    """

    trade_date: date
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None
    adjusted_close: Decimal | None


@dataclass(frozen=True)
class Dividends:
    """Dividends a share, paid and to pay; None where the gateway does not say."""

    past_12_months: Decimal | None
    next_12_months: Decimal | None
    next_ex_date: date | None
    next_amount: Decimal | None


def count_requests(underlying: Underlying) -> int:
    """Historical requests that `read_bars` makes."""
    return 1 if underlying.is_index else 2


async def read_bars(
    connection: "Connection", underlying: Underlying, timeout: float
) -> tuple[list[DailyBar], QuotemillError | None]:
    """A year of day bars, today's included, oldest first; why they lack adjusted closes.

    Raises what `make_error` makes if there are no bars, UpstreamError for what cannot be read.
    """

    async def request(what: str) -> tuple[list[Any], Failure | None]:
        bars, failure = await connection.bars(
            underlying.conid, DURATION, "1 day", timeout, route=underlying.route, what=what
        )
        if not bars and failure is None:  # an end without a bar
            failure = Failure(NO_PRICE, None, f"the gateway sent no {what} bar")
        return bars, failure

    trades, failure = await request("TRADES")
    if failure is not None:
        raise make_error(failure, f"the day bars of {underlying.symbol}")
    adjusted, failure = ([], None) if underlying.is_index else await request("ADJUSTED_LAST")
    about = f"the adjusted closes of {underlying.symbol}"
    error = None if failure is None else make_error(failure, about)
    try:
        with reading(about, UpstreamError):
            closes = {
                clean.new_york_day(bar.date): clean.traded_price(bar.close) for bar in adjusted
            }
    except UpstreamError as unreadable:
        closes, error = {}, unreadable
    rows = []
    with reading(f"the day bars of {underlying.symbol}", UpstreamError):
        for bar in trades:
            day, prices = clean.new_york_day(bar.date), _read_prices(bar)
            if prices is not None:
                volume = None if underlying.is_index else clean.count(bar.volume)
                rows.append(DailyBar(day, *prices, volume, closes.get(day)))
    return rows, error


async def read_dividends(
    connection: "Connection", underlying: Underlying, patience: Patience
) -> Dividends | None:
    """The dividends of a stock, None where none is sent. Raises what `make_error` makes."""
    line = await read_single(
        connection,
        underlying.conid,
        _has_dividends,
        patience,
        snapshot=False,
        generic=DIVIDENDS,
        linger=False,
    )
    sent, day = line.ticker.dividends, None
    if sent is None:
        if line.failure is not None and line.failure.error_type != PARTIAL:
            raise make_error(line.failure, f"the dividends of {underlying.symbol}")
        return None
    with suppress(DataQualityError), reading("the next day of a dividend"):
        day = clean.new_york_day(sent.nextDate) if sent.nextDate else None
    past, following = clean.price(sent.past12Months), clean.price(sent.next12Months)
    return Dividends(past, following, day, clean.price(sent.nextAmount))


def _has_dividends(ticker: Ticker) -> bool:
    return ticker.dividends is not None


def _read_prices(bar: Any) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
    """Open, high, low and close; None of a bar that lacks one."""
    opened, high = clean.traded_price(bar.open), clean.traded_price(bar.high)
    low, close = clean.traded_price(bar.low), clean.traded_price(bar.close)
    if opened is None or high is None or low is None or close is None:
        return None
    return opened, high, low, close
