"""Objects of the client library as raw answers, without its types."""

from contextlib import suppress
from datetime import date
from typing import Any

from loaders.ib.client import clean
from loaders.ib.client.raw_answers import Bar, Chain, Computation, Details
from quotemill.errors import DataQualityError
from quotemill.foreign import reading


def make_computation(greeks: Any) -> Computation | None:
    if greeks is None:
        return None
    return Computation(
        iv=greeks.impliedVol,
        delta=greeks.delta,
        price=greeks.optPrice,
        dividends=greeks.pvDividend,
        gamma=greeks.gamma,
        vega=greeks.vega,
        theta=greeks.theta,
        underlying=greeks.undPrice,
    )


def list_dividends(
    dividends: Any,
) -> tuple[float | None, float | None, date | None, float | None] | None:
    if dividends is None:
        return None
    day = None
    with suppress(DataQualityError), reading("the next day of a dividend"):
        day = clean.new_york_day(dividends.nextDate) if dividends.nextDate else None
    return dividends.past12Months, dividends.next12Months, day, dividends.nextAmount


def make_details(row: Any) -> Details:
    contract = row.contract
    return Details(
        conid=int(contract.conId),
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
        multiplier=str(contract.multiplier or ""),
        expiry=clean.day(contract.lastTradeDateOrContractMonth),
        strike=float(contract.strike or 0),
        right=str(contract.right or "")[:1],
        exchange=contract.primaryExchange or contract.exchange,
        currency=contract.currency,
        name=row.longName,
        underlying_conid=int(row.underConId or 0),
        expiration=clean.day(row.realExpirationDate or ""),
        liquid_hours=row.liquidHours or "",
        time_zone=row.timeZoneId or "",
    )


def make_bar(row: Any) -> Bar:
    clean.new_york_day(row.date)  # raises for a time that has none
    return Bar(row.date, row.open, row.high, row.low, row.close, float(row.volume))


def make_chain(row: Any) -> Chain:
    days = [day for text in row.expirations if (day := clean.day(text)) is not None]
    return Chain(
        exchange=row.exchange,
        trading_class=row.tradingClass,
        multiplier=str(row.multiplier or ""),
        expirations=tuple(sorted(days)),
        strikes=tuple(sorted(float(strike) for strike in row.strikes)),
    )
