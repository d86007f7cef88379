"""A market data line held until there is enough, or no more comes. Deadlines are of real time.

A snapshot ends by itself (after up to 11 seconds). A complete one that has not ended for `settle`
seconds is cancelled, a stream always. After an advisory error data may still come.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loaders.ib.client.error_codes import GATEWAY_GONE, NO_ANSWER, NO_PERMISSION, PACING, PARTIAL
from loaders.ib.client.health import LOST
from loaders.ib.client.open_request import ADVISORY, BROKE
from loaders.ib.client.values import SMART, Failure

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection, Line

MOST_REQUESTS = 3  # of one contract, while the gateway loses its servers and has them back
Ticker = Any  # the client library's: NaN and None stand for what did not come
Enough = Callable[[Ticker], bool]
SILENT = Failure(GATEWAY_GONE, None, "the connection is open, and the gateway answers nothing")


@dataclass(frozen=True)
class Patience:
    """Longest waits in seconds.

    timeout       for an answer
    settle        for a complete answer to end
    connectivity  for a gateway without its servers
    """

    timeout: float
    settle: float
    connectivity: float


@dataclass(frozen=True)
class Reading:
    """A reading of a line. A ticker with data has no failure but `partial`."""

    ticker: Ticker
    failure: Failure | None
    read_at: datetime
    hold_s: float

    @property
    def has_data(self) -> bool:
        return has_data(self.ticker)

    @property
    def arrived_at(self) -> datetime | None:
        """When the newest data came, UTC by the machine's clock."""
        return self.ticker.time.astimezone(UTC) if self.has_data else None

    @property
    def data_type(self) -> int | None:
        """The market data type that was served; the library has 1 before anything came."""
        return int(self.ticker.marketDataType) if self.has_data else None


def has_data(ticker: Ticker) -> bool:
    return ticker.time is not None


def has_quote(ticker: Ticker) -> bool:
    """Whether bid and ask came; -1 counts: the gateway says that it has no price."""
    return not (math.isnan(ticker.bid) or math.isnan(ticker.ask))


def has_level(ticker: Ticker) -> bool:
    """Whether the level of an index came: it has neither bid nor ask."""
    return not math.isnan(ticker.last)


def has_quote_and_greeks(ticker: Ticker) -> bool:
    return has_quote(ticker) and ticker.modelGreeks is not None


async def read_line(
    connection: "Connection",
    conid: int,
    enough: Enough,
    patience: Patience,
    *,
    snapshot: bool,
    generic: str = "",
    linger: bool = True,
    route: str = SMART,
) -> Reading:
    """Request a contract's data. A broken connection is the failure `gateway_gone`; nothing raises.

    `linger`: wait `settle` for more, or for the end of the snapshot, once there is enough.
    """
    started, lost = time.monotonic(), connection.lost_messages
    for _ in range(MOST_REQUESTS):
        try:
            line = connection.open_line(conid, snapshot=snapshot, generic=generic, route=route)
        except OSError:
            return _make_reading(
                connection, connection.nothing, Failure(GATEWAY_GONE, None, BROKE), started
            )
        try:
            await _wait(line, enough, patience, linger=linger)
            ticker, failure, request = line.ticker, _failure(line), line.request
        finally:
            line.leave()
        missing = failure is None and not enough(ticker)
        if request.is_forgotten and missing:
            continue
        if missing and not has_data(ticker) and not connection.health.is_good("quotes"):
            if await connection.health.wait(patience.connectivity, "quotes"):
                continue
            failure = Failure("connectivity", LOST, "the gateway has lost its servers")
            return _make_reading(connection, ticker, failure, started)
        break
    if failure is None and not has_data(ticker):
        if connection.lost_messages > lost:
            failure = Failure(PACING, 100, "the request may be among those that were too many")
        else:
            failure = request.explain_silence(f"nothing came for {patience.timeout:g} s")
    return _make_reading(connection, ticker, failure, started)


async def read_single(connection: "Connection", *arguments: Any, **options: Any) -> Reading:
    """As `read_line`; one that stays silent on an open connection is lost with it."""
    reading = await read_line(connection, *arguments, **options)
    is_silent = reading.failure is not None and reading.failure.error_type == NO_ANSWER
    if is_silent and not await connection.is_alive():
        return replace(reading, failure=SILENT)
    return reading


async def _wait(line: "Line", enough: Enough, patience: Patience, *, linger: bool) -> None:
    deadline = time.monotonic() + patience.timeout
    complete_since: float | None = None
    changed_at = time.monotonic()
    while (now := time.monotonic()) < deadline:
        request = line.request
        if request.is_forgotten or request.is_lost:
            return
        until = deadline
        if request.is_advised:
            until = min(until, changed_at + patience.settle)
            if now >= until:
                return
        elif request.is_over or request.failure() is not None:
            return
        if enough(line.ticker):
            if not linger:
                return
            complete_since = complete_since or now
            until = min(until, complete_since + patience.settle)
            if now >= until:
                return
        await request.wait(until - now)
        if request.changed.is_set():
            changed_at = time.monotonic()


def _failure(line: "Line") -> Failure | None:
    request, came = line.request, has_data(line.ticker)
    failure = request.failure()
    if failure is not None and failure.error_code == ADVISORY and came:
        failure = None
    if failure is None:
        parts = [(row, text) for row, text in request.codes if row.error_type == PARTIAL]
        if parts:
            row, text = parts[-1]
            # without data it is no part: older data may be had instead
            failure = Failure(PARTIAL if came else NO_PERMISSION, row.code, text)
    return failure


def _make_reading(
    connection: "Connection", ticker: Ticker, failure: Failure | None, started: float
) -> Reading:
    if failure is not None and failure.error_type != PARTIAL:
        ticker = connection.nothing
    return Reading(ticker, failure, datetime.now(UTC), time.monotonic() - started)
