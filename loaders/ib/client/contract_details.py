"""Requests about contracts: the underlying, its close, what is listed, what truly exists."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING
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
from loaders.ib.client.raw_answers import Details, Tick
from loaders.ib.client.ticker import Patience, read_single
from loaders.ib.client.values import (
    SMART,
    BadContract,
    Candidate,
    ChainParams,
    Failure,
    HistorySample,
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
    """A stock, by SMART, or an index, of `exchange` or of the only one that has it."""
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
    listings = _by_number(rows)
    if len(listings) != 1:
        places = ", ".join(sorted(row.exchange for row in listings))
        raise RequestFailed(
            f"the gateway knows {len(listings)} {'stocks' if is_stock else 'indices'} {symbol}: "
            f"{places}; name one in the column exchange of the universe",
            None,
        )
    row = listings[0]
    return Underlying(symbol, row.conid, row.exchange, row.name, row.currency, sec_type)


async def option_params(
    connection: "Connection", underlying: Underlying, timeout: float
) -> list[ChainParams]:
    rows, failure = await connection.chains(
        underlying.symbol, underlying.sec_type, underlying.conid, timeout
    )
    if failure is not None:
        raise make_error(failure, f"the option parameters of {underlying.symbol}")
    is_smart = any(row.exchange == SMART for row in rows)
    return [
        ChainParams(
            trading_class=row.trading_class,
            multiplier=_multiplier(row.multiplier),
            expirations=row.expirations,
            strikes=tuple(s for value in row.strikes if (s := clean.strike(value)) is not None),
        )
        for row in sorted(rows, key=lambda row: row.trading_class)
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

    Without `by_history`, or while that farm is known to be broken, only by a quote: of the first of
    `data_types` that is permitted.
    """
    failure: Failure | None = None
    if by_history and connection.health.is_good("history"):
        bars, failure = await connection.bars(
            underlying.conid, "5 D", "1 day", patience.timeout, route=underlying.route
        )
        today = now.astimezone(NEW_YORK).date()
        for bar in reversed(bars):
            price = _close(bar.close)
            day = clean.new_york_day(bar.at)
            if day < today and price is not None:
                return PreviousClose(price, day, "history")
        if failure is not None and failure.error_type == GATEWAY_GONE:
            raise make_error(failure, f"the previous close of {underlying.symbol}")
    for data_type in data_types:
        connection.use_data_type(data_type)
        reading = await read_single(
            connection,
            underlying.conid,
            _has_close,
            patience,
            snapshot=True,
            route=underlying.route,
        )
        price = _close(reading.tick.close)
        if price is not None:
            return PreviousClose(price, None, "ticker")
        failure = reading.failure or failure
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
    rows: Sequence[Details], failure: Failure | None, candidate: Candidate
) -> OptionContract | BadContract | Failure:
    fitting = _by_number(row for row in rows if _fits(row, candidate))
    if failure is not None and len(fitting) != 1:
        return failure
    if len(fitting) != 1:
        text = f"{len(rows)} contracts came, {len(fitting)} of which fit"
        return Failure(AMBIGUOUS if fitting else INVALID_REQUEST, None, text)
    row, rule = fitting[0], "must be a number above 0"
    multiplier = _multiplier(row.multiplier)
    if row.conid <= 0:
        return BadContract(candidate, row.local_symbol, "conid", rule, f"{row.conid}")
    if multiplier is None:
        return BadContract(candidate, row.local_symbol, "multiplier", rule, row.multiplier)
    return OptionContract(
        conid=row.conid,
        local_symbol=row.local_symbol,
        symbol=candidate.symbol,
        underlying_conid=row.underlying_conid or candidate.underlying_conid,
        trading_class=row.trading_class,
        expiry=candidate.expiry,
        strike=candidate.strike,
        right=candidate.right,
        multiplier=multiplier,
        underlying_route=candidate.underlying_route,
        terms=read_terms(
            row.local_symbol,
            candidate.expiry,
            trading_class=row.trading_class,
            real_expiration=row.expiration,
            liquid_hours=row.liquid_hours,
            time_zone=row.time_zone,
        ),
    )


async def find_owner(
    connection: "Connection", contracts: Sequence[OptionContract], timeout: float
) -> OptionContract | None:
    """Which of some contracts with one number has it; None where the gateway does not say."""
    rows, _ = await connection.details(timeout, conId=contracts[0].conid, exchange=SMART)
    owners = [c for c in contracts if any(_fits(row, c.candidate) for row in rows)]
    return owners[0] if len(owners) == 1 else None


def _by_number(rows: Iterable[Details]) -> list[Details]:
    """The contracts of some rows: a gateway may send one for each of several exchanges."""
    return list({row.conid: row for row in rows}.values())


def _fits(row: Details, candidate: Candidate) -> bool:
    return (
        row.trading_class == candidate.trading_class
        and row.expiry == candidate.expiry
        and row.right == candidate.right
        and clean.strike(row.strike) == candidate.strike
    )


async def history_sample(
    connection: "Connection", contracts: Sequence[OptionContract], timeout: float
) -> list[HistorySample]:
    """Samples, one after the other: the service counts requests. A refusal ends them."""
    samples: list[HistorySample] = []
    for contract in contracts:
        refused = samples[-1].failure if samples else None
        if refused is not None and refused.error_type == PACING:
            samples.append(skip_sample(contract, "not asked: too many requests"))
            continue
        bars, failure = await connection.bars(contract.conid, "5 D", "8 hours", timeout)
        times = [bar.at for bar in bars if isinstance(bar.at, datetime)]
        first, last = (times[0], times[-1]) if times else (None, None)
        samples.append(HistorySample(contract, len(bars), first, last, failure))
    return samples


def skip_sample(contract: OptionContract, why: str) -> HistorySample:
    return HistorySample(contract, 0, None, None, Failure(PACING, None, why))


def make_error(failure: Failure, about: str) -> QuotemillError:
    """The failure of a single request as the error that says who can fix it."""
    text = f"{about}: {failure.error_message}"
    if failure.error_code is not None:
        text += f" (error {failure.error_code})"
    kinds: dict[str, tuple[type[QuotemillError], str]] = {
        GATEWAY_GONE: (GatewayGone, "is the gateway restarting? Run the same command again"),
        **dict.fromkeys(
            (NO_ANSWER, UNKNOWN), (GatewayTimeout, "run it again, or raise ib.timeout")
        ),
        PACING: (PacingViolation, "too many requests: wait some minutes, or lower the rates"),
        NO_PERMISSION: (
            NotPermitted,
            "the account needs the market data subscription, or set ib.allow_fallback_to_delayed",
        ),
        COMPETING_SESSION: (
            CompetingSession,
            "another log-in of the same user takes the market data: log it out",
        ),
    }
    if failure.error_type in kinds:
        kind, hint = kinds[failure.error_type]
        return kind(text, hint=hint)
    return RequestFailed(text, failure.error_code)


def _has_close(tick: Tick) -> bool:
    return not math.isnan(tick.close)


def _close(value: float) -> Decimal | None:
    """A close, unless no stock can have it."""
    price = clean.traded_price(value)
    return None if price is None or price > clean.MOST_PRICE else price


def _multiplier(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 < number <= MOST_MULTIPLIER else None
