"""Jobs as many watchers see them at once: one read of the warehouse a second for all of them."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from loaders.engine import job_status
from loaders.engine.job_status import JobView
from orchestration.console.context import Console
from orchestration.console.errors import Busy, NotThere, describe
from quotemill.errors import QuotemillError, UsageError

FRESH = 1.0  # seconds that a view serves all who ask
QUIET = 15.0  # seconds without news until a sign of life
LONGEST = 3600.0  # seconds of a stream; a browser opens the next by itself


@dataclass(frozen=True)
class Seen:
    """A job as it was read, or why it cannot be; `event` and `end` are what all watchers get."""

    at: float
    job: JobView | QuotemillError
    event: str
    end: str | None


class JobWatch:
    """The newest view of each job that somebody watches."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._turn = threading.Lock()
        self._seen: dict[int, Seen] = {}
        self._watchers = 0

    def read(self, job_id: int) -> JobView:
        """A job, at most FRESH old. Raises NotThere, and why it cannot be read."""
        job = self._ask(job_id).job
        if isinstance(job, QuotemillError):
            raise job
        return job

    def _ask(self, job_id: int) -> Seen:
        # a warehouse that hangs is asked by one of those who wait, not by each after the other
        with self._turn:
            seen = self._find(job_id)
            if seen is None:
                job = self._read(job_id)
                now = time.monotonic()
                seen = _describe(job, now)
                self._seen = {n: s for n, s in self._seen.items() if now - s.at < FRESH}
                self._seen[job_id] = seen
        return seen

    def _find(self, job_id: int) -> Seen | None:
        seen = self._seen.get(job_id)
        return seen if seen and time.monotonic() - seen.at < FRESH else None

    def _read(self, job_id: int) -> JobView | QuotemillError:
        try:
            return job_status.read_job(self._console.require_warehouse(), job_id)
        except UsageError as error:
            return NotThere(str(error), hint="List them with GET /api/jobs.")
        except QuotemillError as error:
            return error

    def forget(self, job_id: int) -> None:
        """Read a job again at the next question: somebody changed it."""
        with self._turn:
            self._seen.pop(job_id, None)

    def refuse_if_full(self) -> None:
        """Raises Busy where as many watch as may."""
        if self._watchers >= self._console.limits.watchers:
            raise Busy("too many pages are watching loads", hint="Close some of them.")

    async def stream(self, job_id: int) -> AsyncIterator[str]:
        """Server-sent events: `job` at each change, `fault` while it cannot be read, `end`."""
        self._watchers += 1
        try:
            async for event in self._list_events(job_id):
                yield event
        finally:
            self._watchers -= 1

    async def _list_events(self, job_id: int) -> AsyncIterator[str]:
        shown, at, started = "", time.monotonic(), time.monotonic()
        while time.monotonic() - started < LONGEST:
            seen = self._find(job_id) or await run_in_threadpool(self._ask, job_id)
            if seen.event != shown:
                shown, at = seen.event, time.monotonic()
                yield shown
            elif time.monotonic() - at > QUIET:
                at = time.monotonic()
                yield ": still here\n\n"
            if seen.end is not None:
                yield seen.end
                return
            await asyncio.sleep(FRESH)


def _describe(job: JobView | QuotemillError, now: float) -> Seen:
    if isinstance(job, QuotemillError):
        return Seen(now, job, format_event("fault", describe(job)), None)
    document = summarize(job)
    end = None if job.is_running else format_event("end", document)
    return Seen(now, job, format_event("job", document), end)


def format_event(name: str, document: Any) -> str:
    text = json.dumps(document, ensure_ascii=False, default=str)
    return f"event: {name}\ndata: {text}\n\n"


def summarize(view: JobView) -> dict[str, Any]:
    """A job's progress in few figures."""
    parts = [
        {
            "dataset": part.dataset,
            "keys": part.keys,
            "reached": part.reached,
            "failed": part.failed,
            "rate": part.rate,
            "left": part.left,
        }
        for part in view.parts
    ]
    return {
        "job_id": view.job["job_id"],
        "status": view.job["status"],
        "held_by": view.job["held_by"],
        "seconds": round(view.job["seconds"]),
        "keys": view.keys,
        "reached": view.reached,
        "rate": view.rate,
        "left": view.left,
        "failures": len(view.failures),
        "parts": parts,
    }
