"""Requests about contracts: the underlying, its close, what is listed, what truly exists."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from loaders.ib.client import clean
from loaders.ib.client.error_codes import (
    AMBIGUOUS,
    COMPETING_SESSION,
    GATEWAY_GONE,
    INVALID_REQUEST,
    NO_ANSWER,
    NO_CONTRACT,
    NO_PERMISSION,
    PACING,
    UNKNOWN,
)
from loaders.ib.client.option_terms import read_terms
from loaders.ib.client.ticker import Patience, Ticker, read_single
from loaders.ib.client.values import (
    SMART,
    BadContract,
    Candidate,
    ChainParams,
    Failure,
    OptionContract,
    PreviousClose,
    Qualified,
    SecType,
    Underlying,
)
from loaders.ib.errors import (
    CompetingSession,
    GatewayGone,
    GatewayTimeout,
    NotPermitted,
    PacingViolation,
    RequestFailed,
    UnknownUnderlying,
)
from quotemill.errors import QuotemillError, UpstreamError
from quotemill.foreign import reading

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection

NEW_YORK = ZoneInfo("America/New_York")
MOST_MULTIPLIER = 10**6


async def find_underlying(
    connection: "Connection", symbol: str, sec_type: SecType, *, exchange: str, timeout: float
) -> Underlying:
    """A stock, by SMART, or an index, of `exchange` or of the only one that has it.

    Raises what `make_error` makes, UpstreamError for what cannot be read.
    """
    is_stock = sec_type == "STK"
    rows, failure = await connection.details(
        timeout,
        symbol=symbol,
        secType=sec_type,
        exchange=SMART if is_stock else exchange,
        primaryExchange=exchange if is_stock else "",
        currency="USD",
    )
    if failure is not None and failure.error_type == NO_CONTRACT:
        raise UnknownUnderlying([symbol], sec_type, exchange)
    if failure is not None:
        raise make_error(failure, f"the contract of {symbol}")
    with reading(f"the contract of {symbol}", UpstreamError):
        listings = _by_number(rows)
        if len(listings) != 1:
            places = ", ".join(sorted(_exchange(row.contract) for row in listings))
            kind = "stocks" if is_stock else "indices"
            raise RequestFailed(
                f"the gateway has {len(listings)} {kind} named {symbol}: {places}. Set "
                "one in the column exchange of the universe",
                None,
            )
        row, contract = listings[0], listings[0].contract
        return Underlying(
            symbol,
            int(contract.conId),
            _exchange(contract),
            row.longName,
            contract.currency,
            sec_type,
        )


async def option_params(
    connection: "Connection", underlying: Underlying, timeout: float
) -> list[ChainParams]:
    rows, failure = await connection.chains(
        underlying.symbol, underlying.sec_type, underlying.conid, timeout
    )
    if failure is not None:
        raise make_error(failure, f"the option parameters of {underlying.symbol}")
    with reading(f"the option parameters of {underlying.symbol}", UpstreamError):
        is_smart = any(row.exchange == SMART for row in rows)
        return [
            ChainParams(
                trading_class=row.tradingClass,
                multiplier=_multiplier(row.multiplier),
                expirations=tuple(sorted(filter(None, map(clean.day, row.expirations)))),
                strikes=tuple(filter(None, map(clean.strike, sorted(map(float, row.strikes))))),
                exchange=row.exchange,
            )
            for row in sorted(rows, key=lambda row: row.tradingClass)
            if row.exchange == SMART or not is_smart
        ]


async def previous_close(
    connection: "Connection",
    underlying: Underlying,
    now: datetime,
    patience: Patience,
    *,
    data_types: Sequence[int],
    by_history: bool,
) -> PreviousClose:
    """The close by the newest daily bar before today, else by a quote.

    Without `by_history` only by a quote: of the first of `data_types` that is permitted.
    """
    failure: Failure | None = None
    if by_history:
        bars, failure = await connection.bars(
            underlying.conid, "5 D", "1 day", patience.timeout, route=underlying.route
        )
        try:
            with reading("a bar", UpstreamError):
                closes = [(clean.new_york_day(bar.date), _close(bar.close)) for bar in bars]
        except UpstreamError as error:
            closes, failure = [], Failure(INVALID_REQUEST, None, str(error))
        today = now.astimezone(NEW_YORK).date()
        for day, price in reversed(closes):
            if day < today and price is not None:
                return PreviousClose(price, day, "history")
        if failure is not None and failure.error_type == GATEWAY_GONE:
            raise make_error(failure, f"the previous close of {underlying.symbol}")
    for data_type in data_types:
        connection.use_data_type(data_type)
        line = await read_single(
            connection,
            underlying.conid,
            _has_close,
            patience,
            snapshot=True,
            route=underlying.route,
        )
        price = _close(line.ticker.close)
        if price is not None:
            return PreviousClose(price, None, "ticker")
        failure = line.failure or failure
        if failure is None or failure.error_type != NO_PERMISSION:
            break
    nothing = Failure(NO_ANSWER, None, "neither a bar nor a quote")
    raise make_error(failure or nothing, f"the previous close of {underlying.symbol}")


async def qualify(
    connection: "Connection", candidates: Sequence[Candidate], timeout: float, batch_size: int
) -> Qualified:
    """See `Gateway.qualify`; what a broken connection leaves open is `failed`."""
    result = Qualified()
    for start in range(0, len(candidates), batch_size):
        batch = candidates[start : start + batch_size]
        answers = await asyncio.gather(*(_look_up(connection, c, timeout) for c in batch))
        for candidate, answer in zip(batch, answers, strict=True):
            if isinstance(answer, OptionContract):
                result.contracts.append(answer)
            elif isinstance(answer, BadContract):
                result.bad.append(answer)
            elif answer.error_type == NO_CONTRACT:
                result.impossible.append(candidate)
            else:
                result.failed.append((candidate, answer))
    return result


async def _look_up(
    connection: "Connection", candidate: Candidate, timeout: float
) -> OptionContract | BadContract | Failure:
    rows, failure = await connection.details(
        timeout,
        symbol=candidate.symbol,
        secType="OPT",
        lastTradeDateOrContractMonth=f"{candidate.expiry:%Y%m%d}",
        strike=float(candidate.strike),
        right=candidate.right,
        exchange=SMART,
        currency="USD",
        tradingClass=candidate.trading_class,
    )
    try:
        with reading(f"the contract of {candidate.symbol}", UpstreamError):
            return _choose(rows, failure, candidate)
    except UpstreamError as error:
        return Failure(INVALID_REQUEST, None, str(error))


def _choose(
    rows: Sequence[Any], failure: Failure | None, candidate: Candidate
) -> OptionContract | BadContract | Failure:
    fitting = _by_number(row for row in rows if _fits(row, candidate))
    if failure is not None and len(fitting) != 1:
        return failure
    if len(fitting) != 1:
        text = f"{len(rows)} contracts received, {len(fitting)} of which fit"
        return Failure(AMBIGUOUS if fitting else INVALID_REQUEST, None, text)
    row, contract, rule = fitting[0], fitting[0].contract, "must be a number above 0"
    conid, multiplier = int(contract.conId), _multiplier(contract.multiplier)
    if conid <= 0:
        return BadContract(candidate, contract.localSymbol, "conid", rule, f"{conid}")
    if multiplier is None:
        return BadContract(
            candidate, contract.localSymbol, "multiplier", rule, str(contract.multiplier or "")
        )
    return OptionContract(
        conid=conid,
        local_symbol=contract.localSymbol,
        symbol=candidate.symbol,
        underlying_conid=int(row.underConId or 0) or candidate.underlying_conid,
        trading_class=contract.tradingClass,
        expiry=candidate.expiry,
        strike=candidate.strike,
        right=candidate.right,
        multiplier=multiplier,
        underlying_route=candidate.underlying_route,
        terms=read_terms(
            contract.localSymbol,
            candidate.expiry,
            trading_class=contract.tradingClass,
            real_expiration=clean.day(row.realExpirationDate or ""),
            liquid_hours=row.liquidHours or "",
            time_zone=row.timeZoneId or "",
        ),
    )


async def find_owner(
    connection: "Connection", contracts: Sequence[OptionContract], timeout: float
) -> OptionContract | None:
    """Which of some contracts with one number has it; None if the gateway does not say."""
    rows, _ = await connection.details(timeout, conId=contracts[0].conid, exchange=SMART)
    owners: list[OptionContract] = []
    with suppress(UpstreamError), reading("the owner of a contract's number", UpstreamError):
        owners = [c for c in contracts if any(_fits(row, c.candidate) for row in rows)]
    return owners[0] if len(owners) == 1 else None


def _by_number(rows: Iterable[Any]) -> list[Any]:
    """The contracts of some rows: a gateway may send one for each of several exchanges."""
    return list({row.contract.conId: row for row in rows}.values())


def _exchange(contract: Any) -> str:
    return str(contract.primaryExchange or contract.exchange)


def _fits(row: Any, candidate: Candidate) -> bool:
    contract = row.contract
    return (
        contract.tradingClass == candidate.trading_class
        and clean.day(contract.lastTradeDateOrContractMonth) == candidate.expiry
        and str(contract.right or "")[:1] == candidate.right
        and clean.strike(float(contract.strike or 0)) == candidate.strike
    )


def make_error(failure: Failure, about: str) -> QuotemillError:
    """The failure of a single request as the error that says who can fix it."""
    text = f"{about}: {failure.error_message}"
    if failure.error_code is not None:
        text += f" (error {failure.error_code})"
    kinds: dict[str, tuple[type[QuotemillError], str]] = {
        GATEWAY_GONE: (
            GatewayGone,
            "Run the same command again, in case the gateway is restarting.",
        ),
        **dict.fromkeys(
            (NO_ANSWER, UNKNOWN), (GatewayTimeout, "Run it again, or raise ib.timeout.")
        ),
        PACING: (
            PacingViolation,
            "Wait some minutes, or lower the rates: there were too many requests.",
        ),
        NO_PERMISSION: (
            NotPermitted,
            "Subscribe to this market data, or set ib.allow_fallback_to_delayed.",
        ),
        COMPETING_SESSION: (
            CompetingSession,
            "Log out the other session of the same user, which takes the market data.",
        ),
    }
    if failure.error_type in kinds:
        kind, hint = kinds[failure.error_type]
        return kind(text, hint=hint)
    return RequestFailed(text, failure.error_code)


def _has_close(ticker: Ticker) -> bool:
    return not math.isnan(ticker.close)


def _close(value: float) -> Decimal | None:
    """A close, unless no stock can have it."""
    price = clean.traded_price(value)
    return None if price is None or price > clean.MOST_PRICE else price


def _multiplier(text: Any) -> Decimal | None:
    try:
        number = Decimal(str(text or ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 < number <= MOST_MULTIPLIER else None
