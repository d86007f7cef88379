"""A request that is under way, and why it ended."""

import asyncio
import time
from typing import Any

from loaders.ib.client.error_codes import (
    GATEWAY_GONE,
    NO_ANSWER,
    PARTIAL,
    UNKNOWN,
    ErrorCode,
)
from loaders.ib.client.values import Failure

BROKE = "the connection to the gateway broke"
CLIENT_ID_IN_USE, TOO_FAST = 326, 100
ADVISORY = 10089  # refused, but data come at times
ENDS_NOTHING = ("info", "wait")  # actions after which an answer may still come


class Request:
    """A request that is under way. `changed` is set whenever something happens to it."""

    def __init__(
        self, number: int, future: "asyncio.Future[Any]", conid: int | None = None
    ) -> None:
        self.number, self.conid, self.started = number, conid, time.monotonic()
        self.codes: list[tuple[ErrorCode, str]] = []
        self.changed = asyncio.Event()
        self._future = future
        future.add_done_callback(lambda _: self.changed.set())

    @property
    def is_over(self) -> bool:
        """Whether no answer comes any more: it came, or the connection was lost."""
        return self._future.done()

    @property
    def is_lost(self) -> bool:
        future = self._future
        return future.done() and not future.cancelled() and future.exception() is not None

    @property
    def result(self) -> Any:
        return self._future.result() if self.is_over and not self.is_lost else None

    def failure(self) -> Failure | None:
        """The last error of this request that ends it."""
        if self.is_lost:
            return Failure(GATEWAY_GONE, None, BROKE)
        ending = [(row, text) for row, text in self.codes if row.action not in ENDS_NOTHING]
        if not ending:
            return None
        row, text = ending[-1]
        return Failure(row.error_type, row.code, text)

    def explain_silence(self, waited: str) -> Failure:
        """Why nothing came in time: a number that is not known, if one came, else `waited`."""
        said = [(row, text) for row, text in self.codes if row.error_type == UNKNOWN]
        if not said:
            return Failure(NO_ANSWER, None, waited)
        row, text = said[-1]
        return Failure(UNKNOWN, row.code, text)

    @property
    def is_advised(self) -> bool:
        """Whether it has an error after which a part of the data may still come."""
        return any(row.error_type == PARTIAL or row.code == ADVISORY for row, _ in self.codes)

    async def wait(self, seconds: float) -> None:
        """Wait until something happens, at most so long."""
        self.changed.clear()
        try:
            await asyncio.wait_for(self.changed.wait(), max(0.0, seconds))
        except TimeoutError:
            return
