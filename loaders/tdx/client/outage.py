"""Wait out an outage, once for all requests of a load.

When the service is down or has lost its quote server, no code can succeed. So the first request
that notices closes a gate, all requests wait behind it, and one task probes at growing intervals.
If the service is not back in time, the gate stays shut for the rest of the load: the remaining
requests fail at once, and a later retry continues from the cursors.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from loaders.engine.outcome import SourceGone
from loaders.trading_time import SHANGHAI
from quotemill.errors import UpstreamError

log = logging.getLogger(__name__)

FIRST_STEP, LONGEST_STEP = 1.0, 30.0
TIMEOUTS_IN_A_ROW = 10


class OutageGate:
    """A gate that holds all requests of a load during an outage.

    probe: raises UpstreamError while the service is down
    budget: seconds of waiting in all
    report: called with why all wait, and empty once they do not

    Only a successful request refills the budget, not a probe: otherwise a service that answers
    probes and nothing else could hold a load for ever.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[object]],
        *,
        budget: float,
        sleep: Callable[[float], Awaitable[object]],
        clock: Callable[[], float],
        report: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._probe, self._budget, self._sleep, self._clock = probe, budget, sleep, clock
        self._report = report
        self._waited = 0.0
        self._probing: asyncio.Task[None] | None = None
        self._late: set[str] = set()
        self._gone: SourceGone | None = None
        self.episode = 0

    async def passage(self) -> int:
        """Wait while the gate is closed; return the number of outages so far.

        Raises SourceGone once the load has given up.
        """
        while self._probing is not None:
            await asyncio.shield(self._probing)
        if self._gone is not None:
            raise SourceGone(str(self._gone), hint=self._gone.hint)
        return self.episode

    async def wait_out(self, episode: int, cause: UpstreamError) -> None:
        """Report an outage and return when it is over. Raises SourceGone as `passage`.

        episode: what `passage` returned to the request that noticed it
        """
        if self._probing is None and self._gone is None and episode == self.episode:
            self.episode += 1
            self._probing = asyncio.create_task(self._until_back(str(cause)))
        await self.passage()

    def answered(self) -> None:
        """Record that a request to the quote server succeeded."""
        self._waited = 0.0
        self._late.clear()

    def timed_out(self, subject: str) -> None:
        """Record a time-out; after many subjects in a row the load gives up."""
        self._late.add(subject)
        if len(self._late) >= TIMEOUTS_IN_A_ROW and self._gone is None:
            self._gone = SourceGone(
                f"no answer in time for {len(self._late)} different codes in a row",
                hint="the service's quote server no longer answers, and the service does not"
                " replace it: restart the TDX service, then `quotemill retry`",
            )

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _until_back(self, cause: str) -> None:
        step = FIRST_STEP
        since = datetime.now(SHANGHAI)
        until = since + timedelta(seconds=self._budget - self._waited)
        down = "the TDX service is down (%s): trying again until %s; Ctrl-C ends"
        log.warning(down, cause, f"{until:%H:%M:%S} Shanghai")
        self._report(f"waits for the TDX service since {since:%H:%M:%S} Shanghai")
        try:
            while self._waited < self._budget:
                begun, pause = self._clock(), min(step, self._budget - self._waited)
                await self._sleep(pause)
                step = min(2 * step, LONGEST_STEP)
                try:
                    await self._probe()
                except UpstreamError as error:
                    cause = str(error)
                else:
                    log.info("the TDX service is back")
                    return
                finally:
                    self._waited += max(pause, self._clock() - begun)
                log.warning("the TDX service is still down (waited %.1f s)", self._waited)
            self._gone = SourceGone(
                f"TDX service outage: waited {self._waited:.0f} s without an answer ({cause})",
                hint="check service and tdx.base_url (`loaders check tdx`), then `quotemill retry`",
            )
        finally:
            self._probing = None
            self._report("")
