"""Jobs as many watchers see them at once: one read of the warehouse a second for all of them."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from loaders.engine import job_status
from loaders.engine.job_status import JobView
from loaders.errors import QuotemillError, UsageError
from orchestration.console.context import Console
from orchestration.console.errors import Busy, NotThere, describe

FRESH = 1.0  # seconds that a view serves all who ask
QUIET = 15.0  # seconds without news until a sign of life
LONGEST = 3600.0  # seconds of a stream; a browser opens the next by itself


class JobWatch:
    """The newest view of each job that somebody watches."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._turn = threading.Lock()
        self._views: dict[int, tuple[float, JobView | QuotemillError]] = {}
        self._watchers = 0

    def read(self, job_id: int) -> JobView:
        """A job, at most FRESH old. Raises NotThere, and why it cannot be read.

        A warehouse that hangs is asked by one of those who wait, not by each after the other.
        """
        with self._turn:
            now = time.monotonic()
            self._views = {n: v for n, v in self._views.items() if now - v[0] < FRESH}
            if job_id not in self._views:
                view = self._read(job_id)
                self._views[job_id] = (time.monotonic(), view)
            known = self._views[job_id][1]
        if isinstance(known, QuotemillError):
            raise known
        return known

    def _read(self, job_id: int) -> JobView | QuotemillError:
        try:
            return job_status.read_job(self._console.require_warehouse(), job_id)
        except UsageError as error:
            return NotThere(str(error), hint="GET /api/jobs lists them")
        except QuotemillError as error:
            return error

    def forget(self, job_id: int) -> None:
        """Read a job again at the next question: somebody changed it."""
        with self._turn:
            self._views.pop(job_id, None)

    def refuse_if_full(self) -> None:
        """Raises Busy where as many watch as may."""
        if self._watchers >= self._console.limits.watchers:
            raise Busy("too many pages watch a load", hint="close some of them")

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
            is_running = True
            try:
                view = await run_in_threadpool(self.read, job_id)
                name, document, is_running = "job", summarize(view), view.is_running
            except QuotemillError as error:
                name, document = "fault", describe(error)
            event = format_event(name, document)
            if event != shown:
                shown, at = event, time.monotonic()
                yield event
            elif time.monotonic() - at > QUIET:
                at = time.monotonic()
                yield ": still here\n\n"
            if not is_running:
                yield format_event("end", document)
                return
            await asyncio.sleep(FRESH)


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
        "seconds": round(view.job["seconds"]),
        "keys": view.keys,
        "reached": view.reached,
        "rate": view.rate,
        "left": view.left,
        "failures": len(view.failures),
        "parts": parts,
    }
