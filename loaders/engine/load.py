"""One load of one source, from settings to result: warehouse, lock, job record, tasks.

The source says which tasks there are and how each fetches (loaders.engine.source); this module knows
what is the same for all of them. Commands are thin shells over `run_load`.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg

from loaders import log as runlog
from loaders import request_counts as counts
from loaders import sources
from loaders.engine import jobs
from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest, request_of
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
from loaders.warehouse.ownership import has_role
from loaders.warehouse.postgres import Warehouse, WarehouseAway, open_warehouse

if TYPE_CHECKING:
    import dlt

    from loaders.engine.source import Source

NOT_DUE = "not due"  # status of a load for which there was nothing to do
REASONS_LOGGED = 100  # of a task, in the log
PACKAGE_ROWS = 2_000_000  # a package that has as many takes no further key


@dataclass(frozen=True)
class LoadResult:
    """What a load did. `status` is that of its job; `exit_code` follows from it."""

    job_id: int | None  # None: skipped, before there was a job
    source: str
    status: str
    exit_code: int
    tasks: tuple[Task, ...]
    warnings: tuple[str, ...]
    error: str | None
    hint: str
    seconds: float
    # how often: requests, bytes of their answers, retries, fallbacks (another way was taken), refused rows
    counts: Mapping[str, int] = field(default_factory=dict)
    # a day without a session, and the last one was loaded whole: what of it is not built yet still is to be
    is_resting: bool = False

    def total(self, name: str) -> int:
        return sum(getattr(task, name) for task in self.tasks)

    @property
    def ends_source(self) -> bool:
        """Would a further part of the same source only fail again?"""
        return self.status == "failed" and self.exit_code != LockHeldError.exit_code

    @property
    def is_idle(self) -> bool:
        """Was there nothing to do?"""
        return self.status == NOT_DUE

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "tasks": [
                {k: v for k, v in asdict(task).items() if k != "keys"}
                | {"rows_unchanged": task.rows_unchanged}
                for task in self.tasks
            ]
        }


@dataclass
class Load:
    """A running load: what a source needs beside its own client."""

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
    # the moment that stands in for every clock, where one was given
    as_of: datetime | None = None
    # the tasks of the job that is loaded again, with the keys that are left of each
    retried: Sequence[Task] | None = None
    tasks: list[Task] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gone: QuotemillError | None = None
    interrupted: bool = False
    package_rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def interrupt(self) -> None:
        """Finish what is in hand and stop, by the word of this process's own user."""
        self.interrupted = True
        self.watch.stop()

    def stopping(self) -> bool:
        """True once the load is to end: stopped, cancelled, or the source is gone."""
        return self.gone is not None or self.cancelling()

    def cancelling(self) -> bool:
        """True once somebody asked the load to stop. Raises LockHeldError where the lock was lost."""
        return self.watch.asked()

    def progress(self) -> tuple[int, int] | None:
        """The number of the task that runs, and how many of its keys have an answer."""
        running = (task for task in self.tasks if task.status == "running")
        return next(((task.task_no, task.reached) for task in running), None)

    def room(self) -> bool:
        """False once the package in hand is full and takes no further key."""
        return self.package_rows < PACKAGE_ROWS

    def warn(self, text: str) -> None:
        """Say something once, to people and in the job's log."""
        self.warnings.append(text)
        self.reporter.line(f"warning: {text}")
        self.log("warning", text, {})

    def log(
        self, level: str, event: str, detail: Mapping[str, Any], task_no: int | None = None
    ) -> None:
        """Write to the job's log. A fetch must not be lost because nobody can write that down."""
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
        """Write to the log of what runs alone."""
        runlog.write(
            level,
            event,
            source=self.source.name,
            job=self.job_id,
            task=task_no,
            dataset=self.tasks[task_no - 1].dataset if task_no else None,
            code=code,
            detail=detail,
        )

    def cursors(self, resource: str) -> dict[str, str]:
        """The cursors of a landed table, by key."""
        return cursors.read(self.pipeline.state, self.source.name, resource)

    def save(self, task: Task) -> None:
        jobs.save_task(self.warehouse, self.job_id, task)

    def add_task(self, dataset: str, keys: Sequence[str], exchange: str | None = None) -> Task:
        task = Task(len(self.tasks) + 1, dataset, exchange, tuple(keys))
        self.tasks.append(task)
        self.save(task)
        return task


def run_load(
    settings: Settings,
    request: LoadRequest,
    reporter: Reporter,
    *,
    as_of: datetime | None = None,
    retry_job: int | None = None,
    retry: bool = False,
    on_start: Callable[[Load], None] = lambda _: None,
) -> LoadResult:
    """Load one source. `as_of` stands in for the clock; `retry` loads what of a job failed.

    Raises UsageError, SettingsError, LockHeldError, UpstreamError before a job exists; afterwards the
    outcome is in the result, and in the job's record. Where the source says so, a lane that is held
    raises no LockHeldError: the load is skipped or waits.
    """
    source = sources.find(request.source)
    source.check_request(settings, request)
    warehouse = prepare_warehouse(settings, reporter)

    def clock() -> datetime:
        return as_of or datetime.now(UTC)

    retried: list[Task] | None = None
    retry_of: int | None = None
    started = time.monotonic()
    # by the request as it was made: one that is resolved no longer says who asked
    busy = "fail" if retry else source.when_busy(settings, request)
    if retry:
        job, retried = jobs.failed_tasks(warehouse, request.source, retry_job)
        retry_of = job["job_id"]
        request = request_of(job["parameters"])
    else:
        try:
            request = source.resolve(settings, warehouse, request, as_of or source.now(settings))
        except NotDue as why:
            reporter.line(str(why))
            return not_due(request.source, why)
    lane = source.lane_of(request)
    try:
        taken = locks.load_lock(warehouse, lane, queue=reporter.line if busy == "wait" else None)
    except LockHeldError as held:
        if busy != "skip":
            raise
        reporter.line(f"skipped: {held}")
        return _skipped(request.source, str(held))
    with taken as lock, warehouse.keeping_connections() as warehouse:
        from loaders.engine import tasks as keyed
        from loaders.landing import load_job
        from loaders.warehouse import migrate

        if retry:  # the job that was running may have ended meanwhile
            job, retried = jobs.failed_tasks(warehouse, request.source, retry_of)
            if job["status"] == "succeeded":
                reporter.line(f"nothing of job {retry_of} had failed")
                return _skipped(request.source)
        folder = settings.home / "pipelines" / migrate.warehouse_id(warehouse)
        pipeline, pending = load_job.open_pipeline(warehouse, folder, lane, source.name)
        if pending.load_ids:
            reporter.line(
                f"landed {pending.read:,} rows that an interrupted run had fetched "
                f"({pending.new:,} new, {pending.changed:,} changed)"
            )
        job_id = jobs.start_job(
            warehouse,
            lane,
            request,
            "retry" if retry else request.mode,
            clock(),
            retry_of,
        )
        runlog.write("info", f"job {job_id} begins: {request.mode}", source=source.name, job=job_id)
        with locks.Watch(lock, job_id) as watch:
            load = Load(
                source, lane, settings, request, warehouse, pipeline, lock, watch, job_id, clock,
                reporter, as_of, retried,
            )  # fmt: skip
            watch.progress = load.progress
            on_start(load)
            before = counts.counted()
            error: QuotemillError | None = None
            cancelled = False
            try:
                keyed.run(load)
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
            # an error tells more than that somebody had also asked to stop
            error = error or load.gone
            load.counts.update(counts.counted() - before)
            return _finish(load, error, cancelled and not error, time.monotonic() - started)


def _skipped(source: str, *why: str) -> LoadResult:
    return LoadResult(None, source, "skipped", 0, (), why, None, "", 0.0)


def not_due(source: str, why: NotDue, *, is_resting: bool = False) -> LoadResult:
    """The result of a load for which the moment has nothing to do."""
    runlog.write("info", f"nothing is due: {why}", source=source)
    return LoadResult(
        None, source, NOT_DUE, 0, (), (str(why),), None, "", 0.0, is_resting=is_resting
    )


def stopped(source: str, error: QuotemillError) -> LoadResult:
    """The result of a load that an error ended before, or instead of, a result of its own."""
    return LoadResult(None, source, "failed", error.exit_code, (), (), str(error), error.hint, 0.0)


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
    text = str(error) if error else None
    jobs.finish_job(load.warehouse, load.job_id, status, text)
    _log_end(load, status, text, seconds)
    hint = "`loaders retry` loads what failed" if exit_code else ""
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
    )


def _log_end(load: Load, status: str, error: str | None, seconds: float) -> None:
    """The end of a job in the log: why keys failed, by reason, and its figures."""
    for task in load.tasks:
        by_reason: dict[str, list[str]] = {}
        for key, reason in task.failures.items():
            by_reason.setdefault(reason, []).append(key)
        for reason, keys in islice(by_reason.items(), REASONS_LOGGED):
            event = f"{task.dataset}: {len(keys):,} of {len(task.keys):,} failed: {reason}"
            only = keys[0] if len(keys) == 1 else None
            load.note("warning", event, {"keys": keys[:5]}, task.task_no, only)
    levels = {"succeeded": "info", "cancelled": "info", "partial": "warning"}
    figures = {
        "seconds": round(seconds, 2),
        **{
            name: sum(getattr(task, name) for task in load.tasks)
            for name in ("done", "skipped", "rows_new", "rows_changed")
        },
    }
    told = f"job {load.job_id} {status}" + (f": {error}" if error else "")
    load.note(levels.get(status, "error"), told, figures)


def _build_indexes(load: Load) -> None:
    """Build what an import of this source dropped, this one or one that was cut short. Rows must not
    wait for it, nor those of other sources: their lanes are held meanwhile."""
    from loaders.landing import indexes

    tables = load.source.tables
    if not load.warehouse.ask(lambda conn: indexes.pending(conn, tables)):
        return
    try:
        with load.warehouse.connect(autocommit=True) as conn:
            conn.execute("set statement_timeout = 0")  # a role's own would end every build
            indexes.build(conn, tables, load.lane, load.reporter.line)
    except psycopg.Error as error:
        load.warn(f"an index could not be built, the next load tries again: {error}".strip())


def _abandon(load: Load, status: str, text: str) -> None:
    """Record the end of a job whose error is what people must see, not how its record went."""
    text = text.partition("\n")[0]
    load.note("info" if status == "cancelled" else "error", f"job {load.job_id} {status}: {text}")
    try:
        jobs.finish_job(load.warehouse, load.job_id, status, text, patient=False)
    except Exception as error:
        load.reporter.line(f"the job's end could not be recorded: {error}")


def prepare_warehouse(settings: Settings, reporter: Reporter) -> Warehouse:
    """Open the warehouse, say which it is, bring it to this version, and point plain dbt at it."""
    from loaders.project import find_project
    from loaders.warehouse import migrate
    from loaders.warehouse.profiles import write_profile

    warehouse = open_warehouse(settings)
    reporter.line(f"warehouse: {warehouse.label} ({warehouse.origin})")
    migrate.prepare(warehouse, sources.landed_tables(), sources.told_to_dbt(settings))
    role = warehouse.reader_role
    if role and not warehouse.ask(lambda conn: has_role(conn, role)):
        reporter.line(
            f"warning: the reader role {role} does not exist, so nothing is granted to it: "
            f"create role {role}, then `quotemill build`"
        )
    write_profile(warehouse, find_project().profiles(settings.home))
    return warehouse
