"""How many historical requests may still be made: the service counts them."""

import time
from collections import deque

REQUESTS, SECONDS = 50, 600.0  # the service allows 60 in that time


class HistoryBudget:
    """The requests of the last ten minutes."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def take(self, count: int = 1) -> bool:
        """Whether so many may be made now; then they count."""
        if self.seconds_until(count) > 0:
            return False
        self._times.extend([time.monotonic()] * count)
        return True

    def seconds_until(self, count: int) -> float:
        """Seconds until so many may be made."""
        now = time.monotonic()
        while self._times and now - self._times[0] > SECONDS:
            self._times.popleft()
        over = len(self._times) + count - REQUESTS
        return SECONDS - (now - self._times[over - 1]) if over > 0 else 0.0
