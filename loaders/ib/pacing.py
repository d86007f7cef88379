"""The rate of batches: a bucket of tokens for each purpose, one token for each batch.

A batch has at most `max_concurrent_snapshots` contracts and batches go one after another, so these
are the contracts that hold lines at once. The limit of messages a second is in client/ib_client.py.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from loaders.engine.outcome import Stopped

CANCEL_POLL = 0.25  # seconds between two checks whether the load is to stop
CLOCK_POLL = 1.0  # seconds between two readings of a clock that may run faster than this machine's


class Waits(Protocol):
    """Time as a load passes it; tests drive it."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises Stopped once the load is to end."""
        ...

    def until(self, at: datetime, now: Callable[[], datetime]) -> None:
        """Wait for a time of the clock `now`. Raises Stopped once the load is to end."""
        ...


class MachineWaits:
    """This machine's time."""

    def __init__(self, cancelling: Callable[[], bool]) -> None:
        self._cancelling = cancelling

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._cancelling():
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, CANCEL_POLL))
        raise Stopped("stopped while waiting")

    def until(self, at: datetime, now: Callable[[], datetime]) -> None:
        while (left := (at - now()).total_seconds()) > 0:
            self.pause(min(left, CLOCK_POLL))


class TokenBucket:
    """Tokens that come in evenly, `per_minute`; `burst` of them may gather.

    burst   a sixth of a minute's by default
    waited  seconds that takers had to wait
    """

    def __init__(self, per_minute: float, waits: Waits, burst: int | None = None) -> None:
        self.per_minute = per_minute
        self.burst = burst or burst_size(per_minute)
        self.waited = 0.0
        self._waits = waits
        self._tokens = float(self.burst)
        self._at = waits.monotonic()

    def take(self) -> None:
        """Wait for a token, and take it."""
        self._fill()
        if self._tokens < 1:
            seconds = (1 - self._tokens) * 60 / self.per_minute
            self._waits.pause(seconds)
            self.waited += seconds
            self._fill()
            # a sleeper may wake a hair early
            self._tokens = max(self._tokens, 1.0)
        self._tokens -= 1

    def slow_down(self, share: float = 0.8) -> None:
        """After a complaint: fewer tokens from now on, and none left."""
        self.per_minute = max(self.per_minute * share, 1.0)
        self._tokens = 0.0
        self._at = self._waits.monotonic()

    def _fill(self) -> None:
        now = self._waits.monotonic()
        gained = (now - self._at) * self.per_minute / 60
        self._tokens = min(float(self.burst), self._tokens + gained)
        self._at = now


def burst_size(per_minute: float) -> int:
    """Tokens that may gather."""
    return max(1, int(per_minute // 6))


def seconds_for(batches: int, per_minute: float) -> float:
    """The least time in which a full bucket lets some batches start."""
    return max(0, batches - burst_size(per_minute)) * 60 / per_minute
