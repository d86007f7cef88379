"""One load of one source, from settings to result: warehouse, lock, job record, tasks.

The source's own module says which tasks there are and what each fetches; this module knows what is
the same for all of them. Commands are thin shells over `run_load`.
"""

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from loaders.engine import cursors, jobs
from loaders.engine import lock as locks
from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest, request_of
from loaders.errors import LockHeldError, PartialError, QuotemillError, UpstreamError
from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse, WarehouseAway, open_warehouse

if TYPE_CHECKING:
    import dlt
    import psycopg

    from loaders.warehouse.landing import Landed
    from loaders.warehouse.tables import Batch, LandedTable

SOURCES = {"tdx": "loaders.tdx.load"}
CANCEL_POLL = 1.0  # seconds between two looks for a cancel from another terminal


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

    def total(self, name: str) -> int:
        return sum(getattr(task, name) for task in self.tasks)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "tasks": [
                {k: v for k, v in asdict(task).items() if k != "codes"}
                | {"rows_unchanged": task.rows_unchanged}
                for task in self.tasks
            ]
        }


@dataclass
class Load:
    """A running load: what the modules of a source need to fetch and land."""

    settings: Settings
    request: LoadRequest
    warehouse: Warehouse
    pipeline: "dlt.Pipeline"
    lock: locks.LoadLock
    job_id: int
    clock: Callable[[], datetime]
    reporter: Reporter
    retried: Sequence[Task] | None = None
    tasks: list[Task] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    gone: QuotemillError | None = None
    interrupted: bool = False
    _stopped: bool = False
    _looked: float = 0.0

    def interrupt(self) -> None:
        """Finish what is in hand and stop, by the word of this process's own user."""
        self._stopped = self.interrupted = True

    def stopping(self) -> bool:
        """True once the load is to end: stopped, cancelled, or the source is gone."""
        return self.gone is not None or self.cancelling()

    def cancelling(self) -> bool:
        """True once somebody asked the load to stop. Raises LockHeldError where the lock was lost."""
        if not self._stopped and time.monotonic() - self._looked > CANCEL_POLL:
            self._looked = time.monotonic()
            with contextlib.suppress(WarehouseAway):  # what is fetched now is kept on disk
                self.lock.confirm()
                # never back to False: a Ctrl-C may come while the warehouse is asked
                if jobs.cancel_requested(self.warehouse, self.job_id):
                    self._stopped = True
        return self._stopped

    @property
    def cancelled(self) -> bool:
        return self._stopped

    def warn(self, text: str) -> None:
        """Say something once, to people and in the job's log."""
        self.warnings.append(text)
        self.reporter.line(f"warning: {text}")
        self.log("warning", text, {})

    def log(
        self, level: str, event: str, detail: Mapping[str, Any], task_no: int | None = None
    ) -> None:
        """Write to the job's log. A fetch must not be lost because nobody can write that down."""
        with contextlib.suppress(WarehouseAway):
            jobs.write_log(self.warehouse, self.job_id, level, event, detail, task_no)

    def cursors(self, resource: str) -> dict[str, date]:
        return cursors.read(self.pipeline.state, self.request.source, resource)

    def add_task(
        self, dataset: str, codes: Sequence[str] = (), exchange: str | None = None
    ) -> Task:
        task = Task(len(self.tasks) + 1, dataset, exchange, tuple(codes))
        self.tasks.append(task)
        jobs.save_task(self.warehouse, self.job_id, task)
        return task

    def land(
        self,
        task: Task,
        table: "LandedTable",
        batches: "Iterator[Batch]",
        rejects: "LandedTable | None" = None,
        has_cursor: Callable[[str], bool] = lambda _: True,
    ) -> "Landed":
        """Land the batches of one slice as one package, then count, publish and record it.

        `has_cursor` tells the dataset's own cursors where it shares the table with others.
        """
        from loaders.warehouse import landing

        def confirmed() -> "Iterator[Batch]":
            yield from batches
            with contextlib.suppress(WarehouseAway):  # the package waits for it on disk
                self.lock.confirm()

        self.warehouse.ask(lambda _: self.lock.confirm())
        landed = landing.land(
            self.pipeline,
            self.warehouse,
            self.request.source,
            table,
            confirmed(),
            rejects,
        )
        task.rows_read += landed.read
        task.rows_new += landed.new
        task.rows_changed += landed.changed
        self.publish(task.dataset, table.name, has_cursor)
        jobs.save_task(self.warehouse, self.job_id, task)
        return landed

    def publish(self, dataset: str, resource: str, has_cursor: Callable[[str], bool]) -> None:
        moved = {key: day for key, day in self.cursors(resource).items() if has_cursor(key)}
        now = self.clock()
        self.warehouse.ask(
            lambda conn: cursors.publish(conn, self.request.source, dataset, moved, now)
        )


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
    outcome is in the result, and in the job's record. A realtime load raises no LockHeldError: it
    is skipped or waits, as the settings say.
    """
    module = importlib.import_module(SOURCES[request.source])
    module.check_request(settings, request)
    warehouse = prepare_warehouse(settings, reporter)

    def clock() -> datetime:
        return as_of or datetime.now(UTC)

    request = module.resolve(warehouse, request, clock())
    started = time.monotonic()
    realtime = request.mode == "realtime" and not retry
    try:
        taken = locks.load_lock(
            warehouse,
            request.source,
            queue=reporter.line if realtime and module.queues(settings) else None,
        )
    except LockHeldError as held:
        if not realtime:
            raise
        reporter.line(f"skipped: {held}")
        return _skipped(request.source, str(held))
    with taken as lock:
        from loaders.warehouse import landing, migrate

        retried: list[Task] | None = None
        retry_of: int | None = None
        if retry:
            job, retried = jobs.failed_tasks(warehouse, request.source, retry_job)
            retry_of = job["job_id"]
            if job["status"] == "succeeded":
                reporter.line(f"nothing of job {retry_of} had failed")
                return _skipped(request.source)
            request = request_of(job["parameters"])
        folder = settings.home / "pipelines" / migrate.warehouse_id(warehouse)
        pipeline, pending = landing.open_pipeline(warehouse, folder, request.source)
        if pending.load_ids:
            reporter.line(
                f"landed {pending.read:,} rows that an interrupted run had fetched "
                f"({pending.new:,} new, {pending.changed:,} changed)"
            )
        job_id = jobs.start_job(
            warehouse,
            request.source,
            "retry" if retry else request.mode,
            request.parameters(),
            clock(),
            retry_of,
        )
        load = Load(
            settings, request, warehouse, pipeline, lock, job_id, clock, reporter, retried=retried
        )
        on_start(load)
        error: QuotemillError | None = None
        try:
            module.load(load)
        except WarehouseAway as caught:
            _abandon(load, "failed", str(caught))
            raise
        except QuotemillError as caught:
            error = caught
        except KeyboardInterrupt:
            _abandon(load, "cancelled", "stopped at once")
            raise
        except BaseException as caught:
            _abandon(load, "failed", f"{type(caught).__name__}: {caught}")
            raise
        return _finish(load, error or load.gone, time.monotonic() - started)


def _skipped(source: str, *why: str) -> LoadResult:
    return LoadResult(None, source, "skipped", 0, (), why, None, "", 0.0)


def stopped(source: str, error: QuotemillError) -> LoadResult:
    """The result of a load that an error ended before, or instead of, a result of its own."""
    return LoadResult(None, source, "failed", error.exit_code, (), (), str(error), error.hint, 0.0)


def _finish(load: Load, error: QuotemillError | None, seconds: float) -> LoadResult:
    failed = sum(len(task.failures) for task in load.tasks)
    open_tasks = [t for t in load.tasks if t.status in ("pending", "running")]
    for task in open_tasks:
        task.status = "cancelled" if load.cancelled else "failed"
        jobs.save_task(load.warehouse, load.job_id, task)
    progress = any(t.done or t.status == "succeeded" for t in load.tasks)
    if error is not None:
        status, exit_code = "partial" if progress else "failed", error.exit_code
    elif load.cancelled:
        status, exit_code = "cancelled", PartialError.exit_code
    elif failed or any(t.status == "failed" for t in load.tasks):
        status = "partial" if progress else "failed"
        exit_code = PartialError.exit_code if progress else UpstreamError.exit_code
    else:
        status, exit_code = "succeeded", 0
    text = str(error) if error else None
    jobs.finish_job(load.warehouse, load.job_id, status, text)
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
    )


def _abandon(load: Load, status: str, text: str) -> None:
    """Record the end of a job whose error is what people must see, not how its record went."""
    text = text.partition("\n")[0]
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
    migrate.prepare(warehouse, landed_tables(), told_to_dbt(settings))
    if warehouse.reader_role and not warehouse.ask(_has_role(warehouse.reader_role)):
        reporter.line(
            f"warning: the reader role {warehouse.reader_role} does not exist, so nothing is granted "
            f"to it: create role {warehouse.reader_role}, then `quotemill build`"
        )
    write_profile(warehouse, find_project().profiles(settings.home))
    return warehouse


def told_to_dbt(settings: Settings) -> dict[str, str]:
    """The settings that dbt's models read from ops.settings."""
    return {"apply_inferred_actions": str(settings.tdx.apply_inferred_actions).lower()}


def landed_tables() -> list["LandedTable"]:
    """Every landed table of every source."""
    modules = (importlib.import_module(f"loaders.{name}.schemas") for name in SOURCES)
    return [table for module in modules for table in module.TABLES]


def _has_role(name: str) -> "Callable[[psycopg.Connection], bool]":
    query = "select exists (select from pg_roles where rolname = %s)"
    return lambda conn: conn.execute(query, (name,)).fetchone() == (True,)


def default_sources(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The sources whose settings are present, and why the others are skipped."""
    ready, skipped = [], {}
    for name, module in SOURCES.items():
        missing = importlib.import_module(module).missing_settings(settings)
        if missing:
            skipped[name] = missing
        else:
            ready.append(name)
    return ready, skipped
