"""The whole of `quotemill run`: calendar ▶ load ▶ build ▶ qa ▶ archive ▶ alerts ▶ report, on record as one run.

A stage that fails does not stop what does not depend on it: what failed is told, and shown, all the same.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from loaders import log
from loaders.cli.shell import explained, tell
from loaders.engine.load import LoadResult
from loaders.engine.metrics import Metric, of_stage, publish
from loaders.engine.prometheus import of_metrics, of_run
from loaders.engine.request import LoadRequest
from loaders.errors import QuotemillError, UsageError, gravest
from loaders.progress import Reporter
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import open_warehouse
from orchestration import alerts
from orchestration.alerts import causes, channels
from orchestration.alerts.book import Cause, Verdicts
from orchestration.run import history
from orchestration.run import stages as pipeline
from orchestration.run.stages import STAGES, RunResult, Stage


@dataclass(frozen=True)
class Done:
    """What a stage comes to: one line, its exit code, and figures by name."""

    summary: str
    exit_code: int = 0
    error: str | None = None
    hint: str = ""
    figures: tuple[tuple[str, float | int], ...] = ()
    metrics: Sequence[Metric] = ()  # of other stages than its own


def run(
    settings: Settings,
    names: Sequence[str],
    load: Callable[[LoadRequest], LoadResult],
    reporter: Reporter,
    *,
    command: str = "run",
    as_of: datetime | None = None,
    only: Sequence[str] = (),
) -> RunResult:
    """Run the stages for these sources, all or `only` some. Raises UsageError for a stage that there is not.

    Whatever befalls a stage is in the result; nothing but Ctrl-C is raised.
    """
    if unknown := [name for name in only if name not in STAGES]:
        raise UsageError(f"unknown stage {unknown[0]}", hint=f"stages: {', '.join(STAGES)}")
    stages = only or STAGES
    requests = [LoadRequest(name) for name in names]
    with history.recorded(settings, command) as record:
        result = _guarded(settings, requests, load, reporter, as_of, stages)
        result = replace(result, run_id=record.run_id)
        record.measure(result.metrics)
        if not result.was_stopped:
            moment = as_of or pipeline.own_moment(settings, requests) or datetime.now(UTC)
            if "archive" in stages and "ib" in names:
                result = _with(result, _archived(settings, result, reporter, moment))
            if "alerts" in stages:
                result = _with(result, _alerted(settings, result, record.run_id))
            if "report" in stages:
                result = _with(result, _reported(settings, as_of))
            record.measure([metric for stage in result.stages for metric in stage.metrics])
        record.end(result.exit_code, result.why.error)
        whole = of_run(command, record.started_at, datetime.now(UTC), result.exit_code)
        publish(settings, whole | of_metrics(record.metrics))
    return result


def _guarded(
    settings: Settings,
    requests: Sequence[LoadRequest],
    load: Callable[[LoadRequest], LoadResult],
    reporter: Reporter,
    as_of: datetime | None,
    stages: Collection[str],
) -> RunResult:
    """The pipeline; a fault of ours in it is an error of the run, and is told like one."""
    try:
        return pipeline.run(settings, requests, load, reporter.line, as_of, stages)
    except Exception as error:
        known = explained(error)
        log.write_error(known)
        return RunResult((), known.exit_code, error=str(known), hint=known.hint, error_code=1)


def _with(result: RunResult, stage: Stage | None) -> RunResult:
    if stage is None:
        return result
    code = gravest([result.exit_code, stage.exit_code])
    return replace(result, stages=(*result.stages, stage), exit_code=code)


def _stage(name: str, work: Callable[[], Done]) -> Stage:
    """Do the work of a stage, whatever befalls it."""
    started = time.monotonic()
    try:
        done = work()
    except Exception as error:
        known = explained(error)
        tell(known)
        done = Done("failed", known.exit_code, str(known), known.hint)
    seconds = round(time.monotonic() - started, 2)
    figures = (("seconds", seconds), ("exit_code", done.exit_code), *done.figures)
    measured = (*of_stage(name, "", dict(figures)), *done.metrics)
    return Stage(name, done.exit_code, seconds, done.summary, done.error, done.hint, measured)


def _archived(
    settings: Settings, result: RunResult, reporter: Reporter, as_of: datetime
) -> Stage | None:
    """Archive what is closed and drop what is old, where the archive is in use; not after a build that failed."""
    if result.error is not None or any(not build.succeeded for build in result.builds[-1:]):
        return None

    def is_used() -> bool:
        if settings.ib.archive_folder is not None:
            return True
        query = "select exists (select 1 from ops.archive_partitions)"
        with open_warehouse(settings).connect() as conn:
            if not has_relation(conn, "ops.archive_partitions"):
                return False
            [(found,)] = conn.execute(query).fetchall()
        return bool(found)

    def archive() -> Done:
        from orchestration.archive.retention import retain
        from orchestration.archive.write import Request, archive

        if not is_used():
            return Done("not in use: `quotemill archive` begins it")
        warehouse = open_warehouse(settings)
        kept = archive(settings, warehouse, Request(), reporter, as_of)
        dropped = retain(settings, warehouse, reporter, as_of, dry_run=False)
        code = gravest([kept.exit_code, dropped.exit_code])
        wrong = [*kept.damaged, *kept.narrower, *kept.refused, *dropped.damaged, *dropped.kept]
        return Done(
            f"{kept.files:,} files written, {dropped.rows:,} old rows dropped",
            code,
            f"{len(wrong):,} partitions stay: {wrong[0]}" if code and wrong else None,
            "quotemill archive" if code else "",
            (
                *(("files", kept.files), ("rows_archived", kept.rows), ("bytes", kept.bytes)),
                ("rows_dropped", dropped.rows),
            ),
        )

    return _stage("archive", archive)


def _alerted(settings: Settings, result: RunResult, run_id: str) -> Stage:
    """Tell what is new and what is over. What cannot be told is in the log, and never the run's exit code."""

    def told() -> Done:
        verdicts = {"settings": None, **causes.of_run(result, settings)}
        looked = alerts.look(settings, verdicts, run_id=run_id)
        # where something is left untold, silence is what tells it: also where there is nobody to tell
        is_told = not looked.untold and (settings.alerts.urls or not looked.open)
        if is_told and (why := channels.ping(settings)):
            log.write("warning", f"the dead man's switch: {why}")
        return Done(
            _told(settings, looked),
            figures=(
                *(("open_causes", len(looked.open)), ("told_messages", looked.told)),
                ("untold_messages", looked.untold),
            ),
        )

    stage = _stage("alerts", told)
    return replace(stage, exit_code=0)


def _reported(settings: Settings, as_of: datetime | None) -> Stage:
    """Write the page of how things stand, in the place of the one before."""

    def report() -> Done:
        from orchestration.report import gather, page

        found = gather.gather(
            settings, open_warehouse(settings), gather.default_since(as_of), as_of
        )
        path = page.write(found, page.place(settings))
        sizes = found.space.metrics() if found.space else ()
        return Done(str(path), figures=(("bytes", path.stat().st_size),), metrics=sizes)

    return _stage("report", report)


def look_after(settings: Settings) -> None:
    """Tell what is new or over once a scheduled job has ended: the schedule could begin."""
    _look(settings, {"schedule": None})


def cannot_begin(settings: Settings, error: QuotemillError, name: str = "settings") -> None:
    """Tell that nothing can be run or scheduled: a settings file that was moved or emptied must not be silence."""
    text = f"{error} ({error.hint})" if error.hint else str(error)
    _look(channels.or_remembered(settings), {name: Cause("error", text, "quotemill doctor")})


def _look(settings: Settings, verdicts: Verdicts) -> None:
    _stage("alerts", lambda: Done(_told(settings, alerts.look(settings, verdicts))))


def _told(settings: Settings, looked: alerts.Looked) -> str:
    """A line of what was told; empty where nothing is wrong."""
    parts = [f"told {looked.told}"] if looked.told else []
    parts += [f"could not tell {looked.untold}, the next run tries again"] if looked.untold else []
    if looked.open:
        nobody = "" if settings.alerts.urls else ", and nobody is told: alerts.urls is empty"
        parts.append(f"open are {', '.join(looked.open)}{nobody}; `quotemill alerts list`")
    return "; ".join(parts)
