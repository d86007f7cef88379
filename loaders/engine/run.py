"""A load of one source, from settings to result: warehouse, lock, job record, tasks.

The source plans the tasks and fetches each (loaders.engine.source); this module does what is the
same for all sources. loaders.loads calls it for a registered source.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loaders.engine import failed_keys, jobs
from loaders.engine.load import Load
from loaders.engine.progress import Reporter
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult, log_end
from loaders.engine.start import NothingToLoad, Start
from loaders.requests import counts as request_counts
from loaders.settings import Settings
from loaders.warehouse import lock as locks
from quotemill.errors import (
    PartialError,
    QuotemillError,
    UpstreamError,
    UsageError,
    innermost,
)
from quotemill.warehouse.postgres import Warehouse, WarehouseAway

if TYPE_CHECKING:
    from loaders.engine.source import Source

PASSING = (
    "Run the same command again before its time is over: the failed keys can only be captured now."
)


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
    source.requests.check(settings, request)
    start = Start(settings, source, request, reporter, prepare(), as_of, is_retry=retry)
    since = time.monotonic()
    try:
        asked = start.read_request(retry_job)
        with start.take_turn(asked) as (lock, asked), start.keep_connections() as start:
            packages = start.open_packages(asked.request)
            job_id = start.record_job(asked, packages.content)
            with locks.Watch(lock, job_id, packages.content) as watch:
                load = Load(
                    source=source.name,
                    passing=frozenset(d.name for d in source.datasets if not d.recurs),
                    settings=settings,
                    request=asked.request,
                    warehouse=start.warehouse,
                    packages=packages,
                    lock=lock,
                    watch=watch,
                    job_id=job_id,
                    clock=start.clock,
                    reporter=reporter,
                    as_of=as_of,
                    retried=asked.retried,
                )
                watch.progress = load.progress
                on_start(load)
                error, is_cancelled = _run_tasks(load, source)
                return _finish(load, error, is_cancelled, time.monotonic() - since)
    except NothingToLoad as ended:
        return ended.result


def _run_tasks(load: Load, source: "Source[Any]") -> tuple[QuotemillError | None, bool]:
    """Run the tasks; the error that ended them, or whether somebody asked for their end."""
    from loaders.engine import tasks

    before = request_counts.counted()
    error: QuotemillError | None = None
    is_cancelled = False
    try:
        tasks.run(load, source)
        is_cancelled = load.cancelling()
    except WarehouseAway as caught:
        _abandon(load, "failed", str(caught))
        raise
    except QuotemillError as caught:
        error = caught
    except KeyboardInterrupt:
        _abandon(load, "cancelled", "stopped at once")
        raise
    except BaseException as caught:
        _abandon(load, "failed", load.warehouse.scrub(innermost(caught)))
        raise
    # an error says more than that somebody had also asked to stop
    error = error or load.gone
    load.counts.update(request_counts.counted() - before)
    return error, is_cancelled and not error


def name_rest(job_id: int) -> str:
    """The hint of a load that has not ended well."""
    return f"Run `quotemill retry {job_id}` to load the rest."


def _finish(
    load: Load, error: QuotemillError | None, cancelled: bool, seconds: float
) -> LoadResult:
    failed = sum(len(task.failures) for task in load.tasks)
    for task in load.tasks:
        if task.status in jobs.OPEN:
            task.status = "cancelled" if cancelled else "failed"
    # a key that failed may have moved its cursor all the same: part of its rows landed
    progress = any(t.done or t.cursor or t.status == "succeeded" for t in load.tasks)
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
    # of a mistake in the request nothing is left that a retry could load
    recorded = "succeeded" if isinstance(error, UsageError) and not failed else status
    # the record is all that later commands show
    shown = error.with_hint if error else None
    is_recorded = jobs.finish_job(load.warehouse, load.content, load.job_id, recorded, shown)
    log_end(load, status, text, seconds)
    hint = ""
    if exit_code:
        is_over = failed and all(t.dataset in load.passing for t in load.tasks if t.failures)
        hint = PASSING if is_over else name_rest(load.job_id)
    if error:
        hint = error.hint
        # after a restore the number is that of no job, or of another
        has_rest = is_recorded and not isinstance(error, UsageError)
        if has_rest and "quotemill retry" not in hint:
            hint = " ".join(filter(None, (hint, name_rest(load.job_id))))
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


def _abandon(load: Load, status: str, text: str) -> None:
    """Record the end of a job; a failure to record it does not hide the job's own error."""
    text = text.partition("\n")[0]
    load.note("info" if status == "cancelled" else "error", f"load {load.job_id} {status}: {text}")
    try:
        jobs.finish_job(load.warehouse, load.content, load.job_id, status, text, patient=False)
    except Exception as error:
        load.reporter.line(f"cannot record the end of the load: {error}")
