"""Looking at one contract until there is enough, or no more to come. Deadlines are of real time.

A snapshot ends by itself (after up to 11 seconds). What is complete and has not ended for `settle`
seconds is cancelled, a stream always. Advisory errors end the library's wait, but not
ours: data may come all the same.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loaders.ib.client.error_codes import GATEWAY_GONE, NO_ANSWER, NO_PERMISSION, PACING, PARTIAL
from loaders.ib.client.gateway import Failure
from loaders.ib.client.health import LOST
from loaders.ib.client.raw_quotes import ADVISORY, BROKE, Tick

if TYPE_CHECKING:
    from loaders.ib.client.ib_client import Connection, Line

MOST_ASKS = 3  # of one contract, while the gateway loses and finds its servers
Enough = Callable[[Tick], bool]
NOTHING = Tick()


@dataclass(frozen=True)
class Patience:
    """Seconds: for an answer, for a complete one to end, for a gateway without its servers."""

    timeout: float
    settle: float
    connectivity: float


@dataclass(frozen=True)
class Looked:
    """`failure` with a tick that has a data type: only where the gateway gives a part (`partial`)."""

    tick: Tick
    failure: Failure | None
    read_at: datetime
    hold_s: float

    @property
    def has_data(self) -> bool:
        return self.tick.data_type is not None


def has_quote(tick: Tick) -> bool:
    """-1 counts: the gateway has said that there is none."""
    return not (math.isnan(tick.bid) or math.isnan(tick.ask))


def has_quote_and_greeks(tick: Tick) -> bool:
    return has_quote(tick) and tick.model is not None


async def look_at(
    connection: "Connection",
    conid: int,
    enough: Enough,
    patience: Patience,
    *,
    snapshot: bool,
    generic: str = "",
    linger: bool = True,
) -> Looked:
    """A broken connection is the failure `gateway_gone`: nothing that the gateway does raises.

    `linger`: wait `settle` for more, or for the end of the snapshot, once there is enough.
    """
    begun, lost = time.monotonic(), connection.lost_messages
    for _ in range(MOST_ASKS):
        try:
            line = connection.look(conid, snapshot=snapshot, generic=generic)
        except OSError:
            return _looked(NOTHING, Failure(GATEWAY_GONE, None, BROKE), begun)
        try:
            await _wait(line, enough, patience, linger=linger)
            tick, failure, forgotten = line.tick(), _failure(line), line.ask.is_forgotten
        finally:
            line.leave()
        missing = failure is None and not enough(tick)
        if forgotten and missing:
            continue
        if missing and tick.data_type is None and not connection.health.is_good("quotes"):
            if await connection.health.wait(patience.connectivity, "quotes"):
                continue
            told = "the gateway has lost its servers"
            return _looked(tick, Failure("connectivity", LOST, told), begun)
        break
    if failure is None and tick.data_type is None:
        if connection.lost_messages > lost:
            failure = Failure(PACING, 100, "the request may be among those that were too many")
        else:
            failure = Failure(NO_ANSWER, None, f"nothing came for {patience.timeout:g} s")
    return _looked(tick, failure, begun)


async def _wait(line: "Line", enough: Enough, patience: Patience, *, linger: bool) -> None:
    deadline = time.monotonic() + patience.timeout
    complete_since: float | None = None
    changed_at = time.monotonic()
    while (now := time.monotonic()) < deadline:
        ask = line.ask
        if ask.is_forgotten or ask.is_lost:
            return
        until = deadline
        if ask.is_advised:
            until = min(until, changed_at + patience.settle)
            if now >= until:
                return
        elif ask.is_over or ask.failure() is not None:
            return
        if enough(line.tick()):
            if not linger:
                return
            complete_since = complete_since or now
            until = min(until, complete_since + patience.settle)
            if now >= until:
                return
        await ask.wait(until - now)
        if ask.changed.is_set():
            changed_at = time.monotonic()


def _failure(line: "Line") -> Failure | None:
    ask, came = line.ask, line.tick().data_type is not None
    failure = ask.failure()
    if failure is not None and failure.error_code == ADVISORY and came:
        failure = None
    if failure is None:
        parts = [(row, text) for row, text in ask.codes if row.error_type == PARTIAL]
        if parts:
            row, text = parts[-1]
            # without the other part it is no part: older data may be had instead
            failure = Failure(PARTIAL if came else NO_PERMISSION, row.code, text)
    return failure


def _looked(tick: Tick, failure: Failure | None, begun: float) -> Looked:
    if failure is not None and failure.error_type != PARTIAL:
        tick = NOTHING
    return Looked(tick, failure, datetime.now(UTC), time.monotonic() - begun)
