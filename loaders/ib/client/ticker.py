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

from loaders.ib.client.error_codes import (
    CONNECTIVITY,
    CUT_OFF,
    GATEWAY_GONE,
    NO_ANSWER,
    NO_PERMISSION,
    PACING,
    PARTIAL,
)
from loaders.ib.client.open_request import ADVISORY, BROKE
from loaders.ib.client.values import SMART, Failure

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection, Line

Ticker = Any  # the client library's: NaN and None stand for what did not come
Enough = Callable[[Ticker], bool]
SILENT = Failure(GATEWAY_GONE, None, "the connection is open, but the gateway does not respond")


@dataclass(frozen=True)
class Patience:
    """Longest waits in seconds.

    timeout  for an answer
    settle   for a complete answer to end
    """

    timeout: float
    settle: float


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
    # it may be over when the line is: what it met brought nothing all the same
    is_cut_off, cut_offs = connection.is_cut_off, connection.cut_offs
    try:
        line = connection.open_line(conid, snapshot=snapshot, generic=generic, route=route)
    except OSError:
        broke = Failure(GATEWAY_GONE, None, BROKE)
        return _make_reading(connection, connection.nothing, broke, started)
    try:
        await _wait(line, enough, patience, linger=linger)
        ticker, failure = line.ticker, _failure(line)
    finally:
        line.leave()
    if failure is None and not has_data(ticker):
        if is_cut_off or connection.cut_offs > cut_offs:
            failure = Failure(CONNECTIVITY, CUT_OFF[0], "the gateway has lost its servers")
        elif connection.lost_messages > lost:
            failure = Failure(PACING, 100, "the request may be one of those that were too many")
        else:
            failure = line.request.explain_silence(f"nothing came for {patience.timeout:g} s")
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
        if request.is_lost:
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
