"""One load of one source, from settings to result: warehouse, lock, job record, tasks.

The source plans the tasks and fetches each (loaders.engine.source); this module does what is the
same for all sources. loaders.loads calls it for a registered source.
"""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from loaders import log, request_counts
from loaders.engine import failed_keys, jobs
from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest, read_request
from loaders.engine.result import LoadResult, log_end, not_due, skipped
from loaders.errors import (
    LockHeldError,
    NotDue,
    PartialError,
    QuotemillError,
    UpstreamError,
    innermost,
)
from loaders.landing import cursors
from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.warehouse import lock as locks
from loaders.warehouse.postgres import NO_TIMEOUTS, Warehouse, WarehouseAway

if TYPE_CHECKING:
    import dlt

    from loaders.engine.source import Source

PASSING = "what failed is of a moment: run the same command again while that lasts"
PACKAGE_ROWS = 2_000_000  # a package that has as many takes no further key


@dataclass
class Load:
    """A running load: what a source needs besides its own client."""

    source: "Source[Any]"
    lane: str
    settings: Settings
    request: LoadRequest
    warehouse: Warehouse
    pipeline: "dlt.Pipeline"
    lock: locks.LoadLock
    watch: locks.Watch
    job_id: int
    clock: Callable[[], datetime]
    reporter: Reporter
    # the time that replaces every clock, where one was given
    as_of: datetime | None = None
    # the tasks of the job that is retried, each with the keys that are left
    retried: Sequence[Task] | None = None
    tasks: list[Task] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gone: QuotemillError | None = None
    interrupted: bool = False
    package_rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    # the cursors in ops.ingestion_state that this load wrote, by dataset
    published: dict[str, dict[str, str]] = field(default_factory=dict)
    # the pipeline's, until a package changes it: dlt reads a file of all cursors each time
    state: Mapping[str, Any] | None = field(default=None, repr=False)

    def interrupt(self) -> None:
        """Stop after the current batch, because the user of this process pressed Ctrl-C."""
        self.interrupted = True
        self.watch.stop()

    def stopping(self) -> bool:
        """Whether the load must end: stopped, cancelled, or the source is gone."""
        return self.gone is not None or self.cancelling()

    def cancelling(self) -> bool:
        """Whether somebody asked the load to stop. Raises LockHeldError where the lock was lost."""
        return self.watch.asked()

    def end_task(self, task: Task) -> None:
        """Stop here where somebody asked to stop after this task, or an earlier one."""
        if self.watch.last_task is not None and task.task_no >= self.watch.last_task:
            self.watch.stop()

    def progress(self) -> tuple[int, int] | None:
        """The number of the running task, and how many of its keys have an answer."""
        running = (task for task in self.tasks if task.status == "running")
        return next(((task.task_no, task.reached) for task in running), None)

    def room(self) -> bool:
        """Whether the current package takes another key."""
        return self.package_rows < PACKAGE_ROWS

    def warn(self, text: str) -> None:
        """Print a warning and write it to the job's log."""
        self.warnings.append(text)
        self.reporter.line(f"warning: {text}")
        self.log("warning", text, {})

    def log(
        self, level: str, event: str, detail: Mapping[str, Any], task_no: int | None = None
    ) -> None:
        """Write to the job's log. A fetch is not lost because the warehouse is away."""
        self.note(level, event, detail, task_no)
        with contextlib.suppress(WarehouseAway):
            jobs.write_log(self.warehouse, self.job_id, level, event, detail, task_no)

    def note(
        self,
        level: str,
        event: str,
        detail: Mapping[str, Any] | None = None,
        task_no: int | None = None,
        code: str | None = None,
    ) -> None:
        """Write to the log of commands alone."""
        log.write(
            level,
            event,
            source=self.source.name,
            job=self.job_id,
            task=task_no,
            dataset=self.tasks[task_no - 1].dataset if task_no else None,
            code=code,
            detail=detail,
        )

    def accepts_loss(self, dataset: str, loss: str) -> bool:
        """Whether the request takes a loss that a guard would refuse; if so it is recorded."""
        if not self.request.accepts_loss_of(dataset):
            return False
        text = f"{dataset}: accepted by {jobs.requester()}: {loss}"
        if text not in self.warnings:
            self.warn(text)
        return True

    def cursors(self, resource: str) -> dict[str, str]:
        """The cursors of a landed table, by key."""
        if self.state is None:
            self.state = self.pipeline.state
        return cursors.read(self.state, self.source.name, resource)

    def save(self, task: Task) -> None:
        stores = any(d.name == task.dataset and d.recurs for d in self.source.datasets)
        jobs.save_task(self.warehouse, self.job_id, task, stores_failures=stores)

    def add_task(self, dataset: str, keys: Sequence[str], exchange: str | None = None) -> Task:
        task = Task(len(self.tasks) + 1, dataset, exchange, tuple(keys))
        self.tasks.append(task)
        self.save(task)
        return task


@request_counts.retries_counted()
def run_load(
    settings: Settings,
    source: "Source[Any]",
    request: LoadRequest,
    reporter: Reporter,
    *,
    prepare: Callable[[], Warehouse],
    as_of: datetime | None = None,
    retry_job: int | None = None,
    retry: bool = False,
    on_start: Callable[[Load], None] = lambda _: None,
) -> LoadResult:
    """Load one source. `as_of` replaces the clock; `retry` loads what failed of a job.

    `prepare` opens the warehouse with the tables of all sources. Raises UsageError, SettingsError,
    LockHeldError, UpstreamError before a job exists; afterwards the outcome is in the result and in
    the job's record. Where the source says so, a held lane raises no LockHeldError: the load is
    skipped or waits.
    """
    source.check_request(settings, request)
    warehouse = prepare()

    def clock() -> datetime:
        return as_of or datetime.now(UTC)

    def resolve() -> LoadRequest | LoadResult:
        try:
            return source.resolve(settings, warehouse, asked, as_of or source.now(settings))
        except NotDue as reason:
            reporter.line(str(reason))
            return not_due(asked.source, reason)

    asked, retried, retry_of = request, None, None
    started = time.monotonic()
    # by the original request: a resolved one no longer shows who asked
    busy = "fail" if retry else source.when_busy(settings, request)
    if retry:
        job, retried = jobs.failed_tasks(warehouse, request.source, retry_job)
        retry_of = job["job_id"]
        request = read_request(job["parameters"])
    else:
        resolved = resolve()
        if isinstance(resolved, LoadResult):
            return resolved
        request = resolved
    lane = source.lane_of(request)
    longest = busy.total_seconds() if isinstance(busy, timedelta) else math.inf
    waits = reporter.line if busy not in ("fail", "skip") else None
    since = time.monotonic()
    try:
        taken = locks.load_lock(warehouse, lane, queue=waits, longest=longest)
    except LockHeldError as held:
        if busy != "skip":
            raise
        reporter.line(f"skipped: {held}")
        return skipped(request.source, str(held))
    with taken as lock, warehouse.keeping_connections() as warehouse:
        from loaders.engine import tasks
        from loaders.landing import load_job
        from loaders.warehouse import migrate

        if waits and time.monotonic() - since > locks.QUEUE_POLL:
            resolved = resolve()  # it is later, and what the other load did is done
            if isinstance(resolved, LoadResult):
                return resolved
            request = resolved
        if retry:  # the job that was running may have ended meanwhile
            job, retried = jobs.failed_tasks(warehouse, request.source, retry_of)
            # acknowledged keys failed in a load that succeeded
            if job["status"] == "succeeded" and not any(task.keys for task in retried):
                reporter.line(f"nothing of job {retry_of} had failed")
                return skipped(request.source)
        folder = settings.home / "pipelines" / migrate.warehouse_id(warehouse)
        pipeline, pending = load_job.open_pipeline(
            warehouse,
            folder,
            lane=lane,
            source=source.name,
            accepts_loss=(request.datasets or ()) if request.accept_loss else (),
        )
        if pending.load_ids:
            reporter.line(
                f"landed {pending.read:,} rows that an interrupted run had fetched "
                f"({pending.new:,} new, {pending.changed:,} changed)"
            )
        mode = "retry" if retry else request.mode
        job_id = jobs.start_job(warehouse, lane, request, mode, clock(), retry_of)
        log.write("info", f"job {job_id} starts: {request.mode}", source=source.name, job=job_id)
        with locks.Watch(lock, job_id) as watch:
            load = Load(
                source=source,
                lane=lane,
                settings=settings,
                request=request,
                warehouse=warehouse,
                pipeline=pipeline,
                lock=lock,
                watch=watch,
                job_id=job_id,
                clock=clock,
                reporter=reporter,
                as_of=as_of,
                retried=retried,
            )
            watch.progress = load.progress
            on_start(load)
            before = request_counts.counted()
            error: QuotemillError | None = None
            cancelled = False
            try:
                tasks.run(load)
                cancelled = load.cancelling()
                if not cancelled:
                    _build_indexes(load)
            except WarehouseAway as caught:
                _abandon(load, "failed", str(caught))
                raise
            except QuotemillError as caught:
                error = caught
            except KeyboardInterrupt:
                _abandon(load, "cancelled", "stopped at once")
                raise
            except BaseException as caught:
                _abandon(load, "failed", warehouse.scrub(innermost(caught)))
                raise
            # an error says more than that somebody had also asked to stop
            error = error or load.gone
            load.counts.update(request_counts.counted() - before)
            return _finish(load, error, cancelled and not error, time.monotonic() - started)


def _finish(
    load: Load, error: QuotemillError | None, cancelled: bool, seconds: float
) -> LoadResult:
    failed = sum(len(task.failures) for task in load.tasks)
    for task in load.tasks:
        if task.status in jobs.OPEN:
            task.status = "cancelled" if cancelled else "failed"
    progress = any(t.done or t.status == "succeeded" for t in load.tasks)
    if error is not None:
        status, exit_code = "partial" if progress else "failed", error.exit_code
    elif cancelled:
        status, exit_code = "cancelled", PartialError.exit_code
    elif failed or any(t.status == "failed" for t in load.tasks):
        status = "partial" if progress else "failed"
        exit_code = PartialError.exit_code if progress else UpstreamError.exit_code
    else:
        status, exit_code = "succeeded", 0
    is_standing = False
    if failed and error is None and not cancelled:
        known = load.warehouse.ask(lambda conn: failed_keys.read_known(conn, load.job_id))
        is_known = len(known) == len({(t.dataset, key) for t in load.tasks for key in t.failures})
        is_standing = is_known and exit_code == PartialError.exit_code
        if is_known and all(failure.acknowledged_at for failure in known):
            load.reporter.line(f"{failed:,} keys failed, all of them acknowledged")
            status, exit_code = "succeeded", 0
    text = str(error) if error else None
    jobs.finish_job(load.warehouse, load.job_id, status, text)
    log_end(load, status, text, seconds)
    hint = ""
    if exit_code:
        moments = {d.name for d in load.source.datasets if not d.recurs}
        is_over = failed and all(t.dataset in moments for t in load.tasks if t.failures)
        hint = PASSING if is_over else "`loaders retry` loads what failed"
    if status == "cancelled":
        hint = "run again to continue"
    elif error:
        hint = error.hint
    return LoadResult(
        load.job_id,
        load.request.source,
        status,
        exit_code,
        tuple(load.tasks),
        tuple(load.warnings),
        text,
        hint,
        round(seconds, 2),
        dict(load.counts),
        is_standing=is_standing,
    )


def _build_indexes(load: Load) -> None:
    """Build the indexes that an import of this source dropped, this one or an interrupted one.

    At the end of a load, so that neither its rows nor those of other sources wait for it.
    """
    from loaders.landing import indexes

    tables = load.source.tables
    if not load.warehouse.ask(lambda conn: indexes.pending(conn, tables)):
        return
    try:
        with load.warehouse.connect(autocommit=True) as conn:
            conn.execute(NO_TIMEOUTS)
            indexes.build_pending(conn, tables, load.lane, load.reporter.line)
    except psycopg.Error as error:
        load.warn(f"an index could not be built, the next load tries again: {error}".strip())


def _abandon(load: Load, status: str, text: str) -> None:
    """Record the end of a job; a failure to record it does not hide the job's own error."""
    text = text.partition("\n")[0]
    load.note("info" if status == "cancelled" else "error", f"job {load.job_id} {status}: {text}")
    try:
        jobs.finish_job(load.warehouse, load.job_id, status, text, patient=False)
    except Exception as error:
        load.reporter.line(f"the job's end could not be recorded: {error}")
