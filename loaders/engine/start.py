"""The start of a load: what it is to load, its turn in its lane, its pipeline and its job."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from loaders import log
from loaders.engine import jobs
from loaders.engine.jobs import Task
from loaders.engine.packages import Packages
from loaders.engine.progress import Reporter
from loaders.engine.request import LoadRequest, read_request
from loaders.engine.result import LoadResult, not_due, skipped
from loaders.landing.cursors import has_waiting, read_state
from loaders.settings import Settings
from loaders.warehouse import lock as locks
from quotemill.errors import LockHeldError, NotDue
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:
    import dlt

    from loaders.engine.source import Source


class NothingToLoad(Exception):
    """Raised where a load ends before it has a job."""

    def __init__(self, result: LoadResult) -> None:
        super().__init__(result.status)
        self.result = result


@dataclass(frozen=True)
class Asked:
    """A request whose words are days, or that of a job which is retried.

    retried: the tasks of that job, each with the keys that are left
    """

    request: LoadRequest
    retry_of: int | None = None
    retried: Sequence[Task] | None = None


@dataclass(frozen=True)
class Start:
    """A load before it begins. `as_of` replaces every clock."""

    settings: Settings
    source: "Source[Any]"
    request: LoadRequest
    reporter: Reporter
    warehouse: Warehouse
    as_of: datetime | None = None
    is_retry: bool = False

    def clock(self) -> datetime:
        return self.as_of or datetime.now(UTC)

    def read_request(self, retry_job: int | None) -> Asked:
        """Read the request, or that of the retried job. Raises NothingToLoad, UsageError."""
        if not self.is_retry:
            return self._resolve()
        job, tasks = jobs.failed_tasks(self.warehouse, self.request.source, retry_job)
        return Asked(read_request(job["parameters"]), job["job_id"], tasks)

    @contextmanager
    def take_turn(self, asked: Asked) -> Iterator[tuple[locks.LoadLock, Asked]]:
        """The lock of the lane, and the request as it is once that is free.

        Raises LockHeldError where the source neither skips such a load nor waits.
        """
        # by the original request: a resolved one no longer shows who asked
        busy = (
            "fail" if self.is_retry else self.source.requests.when_busy(self.settings, self.request)
        )
        longest = busy.total_seconds() if isinstance(busy, timedelta) else math.inf
        waits = self.reporter.line if busy not in ("fail", "skip") else None
        since = time.monotonic()
        lane = self.source.lane_of(asked.request)
        try:
            taken = locks.load_lock(self.warehouse, lane, queue=waits, longest=longest)
        except LockHeldError as held:
            if busy != "skip":
                raise
            self.reporter.line(f"skipped: {held}")
            raise NothingToLoad(skipped(self.request.source, str(held))) from None
        with taken as lock:
            if self.is_retry:  # the job that was running may have ended meanwhile
                asked = self._read_rest(asked)
            elif waits and time.monotonic() - since > locks.QUEUE_POLL:
                asked = self._resolve()  # it is later, and what the other load did is done
            yield lock, asked

    def open_packages(self, request: LoadRequest) -> Packages:
        """The packages of the lane; rows that an interrupted run had fetched land first."""
        from loaders.warehouse.content import content_id, fetched_folder

        warehouse, source, lane = self.warehouse, self.source.name, self.source.lane_of(request)
        # the content is read before the cursors: a restore in between ends the load
        content = content_id(warehouse)
        packages = Packages(
            open=lambda: self._open_pipeline(content, lane),
            read=lambda: warehouse.ask(lambda conn: read_state(conn, f"raw_{source}", lane)),
            source=source,
            content=content,
        )
        if has_waiting(fetched_folder(warehouse, content) / lane):
            packages.open_pipeline()
        return packages

    def _open_pipeline(self, content: str, lane: str) -> "dlt.Pipeline":
        from loaders.landing import load_job

        pipeline, pending = load_job.open_pipeline(
            self.warehouse,
            content,
            lane=lane,
            source=self.source.name,
            report=self.reporter.line,
        )
        if pending.load_ids:
            self.reporter.line(
                f"stored {pending.read:,} rows fetched by an interrupted run "
                f"({pending.new:,} new, {pending.changed:,} changed)"
            )
        return pipeline

    def record_job(self, asked: Asked, content: str) -> int:
        """Record the job of the load; its number. Raises RestoredMeanwhile."""
        request = asked.request
        mode = "retry" if self.is_retry else request.mode
        lane = self.source.lane_of(request)
        job_id = jobs.start_job(
            self.warehouse, content, lane, request, mode, self.clock(), asked.retry_of
        )
        text = f"load {job_id} starts: {request.mode}"
        log.write("info", text, source=self.source.name, job=job_id)
        return job_id

    @contextmanager
    def keep_connections(self) -> Iterator["Start"]:
        """The same, with a warehouse that keeps its connections for the next question."""
        with self.warehouse.keeping_connections() as warehouse:
            yield replace(self, warehouse=warehouse)

    def _resolve(self) -> Asked:
        resolve, now = self.source.requests.resolve, self.source.requests.now
        try:
            at = self.as_of or now(self.settings)
            return Asked(resolve(self.settings, self.warehouse, self.request, at))
        except NotDue as reason:
            self.reporter.line(str(reason))
            raise NothingToLoad(not_due(self.request.source, reason)) from None

    def _read_rest(self, asked: Asked) -> Asked:
        """The keys that are left of the job. Acknowledged ones failed in a load that succeeded."""
        job, tasks = jobs.failed_tasks(self.warehouse, self.request.source, asked.retry_of)
        if job["status"] == "succeeded" and not any(task.keys for task in tasks):
            self.reporter.line(f"no failed keys in load {asked.retry_of}")
            raise NothingToLoad(skipped(self.request.source))
        return replace(asked, retried=tasks)
