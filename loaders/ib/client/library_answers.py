"""Objects of the client library as raw answers, without its types."""

from datetime import date
from typing import Any

from loaders.ib.client import clean
from loaders.ib.client.raw_answers import Chain, Computation, Details


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
    day = dividends.nextDate
    return (
        dividends.past12Months,
        dividends.next12Months,
        clean.new_york_day(day) if day else None,
        dividends.nextAmount,
    )


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


def make_chain(row: Any) -> Chain:
    days = [day for text in row.expirations if (day := clean.day(text)) is not None]
    return Chain(
        exchange=row.exchange,
        trading_class=row.tradingClass,
        multiplier=str(row.multiplier or ""),
        expirations=tuple(sorted(days)),
        strikes=tuple(sorted(float(strike) for strike in row.strikes)),
    )
