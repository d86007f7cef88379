"""`quotemill run`: all stages as one recorded run.

The stages: calendar ▶ load ▶ build ▶ qa ▶ archive ▶ alerts ▶ report.
A failed stage stops only what depends on it; alerts and report run in any case.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from loaders import log
from loaders.check import failed
from loaders.engine.metrics import Metric, measure_stage
from loaders.engine.progress import Reporter
from loaders.engine.request import LoadRequest
from loaders.loads import Display
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.alerts import causes, channels
from orchestration.alerts import check as alerts
from orchestration.alerts.book import Verdicts, on_this_host, ring
from orchestration.run import build as builds
from orchestration.run import history
from orchestration.run import stages as pipeline
from orchestration.run.stages import STAGES, RunResult, Stage
from quotemill.errors import QuotemillError, UsageError, most_severe
from quotemill.warehouse.schemas import has_relation


@dataclass(frozen=True)
class StageOutcome:
    """The result of a stage: one line, its exit code, and figures by name."""

    summary: str
    exit_code: int = 0
    error: str | None = None
    hint: str = ""
    figures: Mapping[str, float | int] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()  # of stages other than this one


def run(
    settings: Settings,
    names: Sequence[str],
    display: Display,
    reporter: Reporter,
    *,
    command: str = "run",
    as_of: datetime | None = None,
    only: Sequence[str] = (),
) -> RunResult:
    """Run all stages for these sources, or `only` some.

    The result holds the errors of stages. Only Ctrl-C is raised, and UsageError for an unknown
    stage.
    """
    if unknown := [name for name in only if name not in STAGES]:
        raise UsageError(f"unknown stage: {unknown[0]}", hint=f"Choose from: {', '.join(STAGES)}.")
    stages = only or STAGES
    requests = [LoadRequest(name) for name in names]
    with history.recorded(settings, command) as record:
        result = _run_pipeline(record, settings, requests, display, reporter, as_of, stages)
        result = replace(result, run_id=record.run_id)
        record.measure(result.metrics)
        if not result.was_stopped:
            if "archive" in stages:
                now = as_of or pipeline.source_time(settings, requests) or datetime.now(UTC)
                if "ib" in names:
                    result = _add_stage(result, _run_archive(settings, result, reporter, now))
                result = _add_stage(result, _drop_old_days(settings, result, now))
            if "alerts" in stages:
                result = _add_stage(result, _send_alerts(settings, result, record.run_id))
            if "report" in stages:
                result = _add_stage(result, _write_report(settings, result, as_of))
            record.measure([metric for stage in result.stages for metric in stage.metrics])
        record.end(result.exit_code, result.cause)
    return result


def _run_pipeline(
    record: history.Run,
    settings: Settings,
    requests: Sequence[LoadRequest],
    display: Display,
    reporter: Reporter,
    as_of: datetime | None,
    stages: Collection[str],
) -> RunResult:
    """Run the pipeline; turn an internal error in it into an error of the run.

    So ends a run that the warehouse refuses to record: nothing is loaded or deleted.
    """
    try:
        if record.refusal is not None:
            raise record.refusal
        return pipeline.run(settings, requests, display, reporter.line, as_of, stages)
    except Exception as error:
        known = log.explain(error)
        log.write_error(known)
        return RunResult(
            (), known.exit_code, error=str(known), hint=known.hint, error_code=known.exit_code
        )


def _add_stage(result: RunResult, stage: Stage | None) -> RunResult:
    if stage is None:
        return result
    code = most_severe([result.exit_code, stage.exit_code])
    return replace(result, stages=(*result.stages, stage), exit_code=code)


def _time_stage(name: str, work: Callable[[], StageOutcome]) -> Stage:
    """Do the work of a stage; an error in it becomes its result, which nothing prints yet."""
    started = time.monotonic()
    try:
        outcome = work()
    except Exception as error:
        known = log.explain(error)
        log.write_error(known)
        outcome = StageOutcome("failed", known.exit_code, str(known), known.hint)
    seconds = round(time.monotonic() - started, 2)
    figures = {"seconds": seconds, "exit_code": outcome.exit_code, **outcome.figures}
    return Stage(
        name=name,
        exit_code=outcome.exit_code,
        seconds=seconds,
        summary=outcome.summary,
        error=outcome.error,
        hint=outcome.hint,
        metrics=(*measure_stage(name, "", figures), *outcome.metrics),
    )


def _run_archive(
    settings: Settings, result: RunResult, reporter: Reporter, as_of: datetime
) -> Stage | None:
    """Archive what is closed and drop what is old, if the archive is in use.

    None after an error of the run or a failed build.
    """
    if result.error is not None or any(not build.succeeded for build in result.builds[-1:]):
        return None

    def is_used() -> bool:
        if settings.ib.archive_folder is not None:
            return True
        query = "select exists (select 1 from ops.archive_partitions)"
        with open_warehouse(settings).connect() as conn:
            if not has_relation(conn, "ops.archive_partitions"):
                return False
            [(has_partition,)] = conn.execute(query).fetchall()
        return bool(has_partition)

    def archive() -> StageOutcome:
        from orchestration.archive.retention import retain
        from orchestration.archive.write import Request, archive

        if not is_used():
            return StageOutcome("not in use (start it with `quotemill archive`)")
        warehouse = open_warehouse(settings)
        written = archive(settings, warehouse, Request(), reporter, as_of)
        dropped = retain(settings, warehouse, reporter, as_of, dry_run=False)
        code = most_severe([written.exit_code, dropped.exit_code])
        wrong = [*written.damaged, *written.narrower, *written.refused]
        wrong += [*dropped.damaged, *dropped.remaining]
        return StageOutcome(
            f"{written.files:,} files written, {dropped.rows:,} old rows dropped",
            code,
            f"{len(wrong):,} partitions are kept: {wrong[0]}" if code and wrong else None,
            "quotemill archive" if code else "",
            {
                "files": written.files,
                "rows_archived": written.rows,
                "bytes": written.bytes,
                "rows_dropped": dropped.rows,
            },
        )

    return _time_stage("archive", archive)


def _drop_old_days(settings: Settings, result: RunResult, as_of: datetime) -> Stage | None:
    """Drop what is older than the `retain` of its table, as a build has read it.

    None without such a table, and after a failure. Days that a model has yet to read, such as one
    of another market schema, stay for a later night.
    """
    from orchestration.archive import old_days

    is_built = result.error is None and all(build.succeeded for build in result.builds)
    if not is_built or not old_days.is_retain_set():
        return None

    def drop() -> StageOutcome:
        warehouse = open_warehouse(settings)
        tables = old_days.find_retained_tables(settings, warehouse)
        drops = old_days.drop_old_days(warehouse, tables, as_of, dry_run=False)
        texts = [
            f"{days.table} before {days.before} "
            + (f"is kept: not read yet by {', '.join(days.unread)}" if days.unread else "dropped")
            for days in drops
        ]
        shortened = sum(not days.unread for days in drops)
        return StageOutcome("; ".join(texts), figures={"tables_shortened": shortened})

    return _time_stage("retention", drop)


def _send_alerts(settings: Settings, result: RunResult, run_id: str) -> Stage:
    """Send new and resolved alerts; a failure is logged and keeps the exit code."""

    def send_alerts() -> StageOutcome:
        verdicts = {
            on_this_host("settings"): None,
            **causes.check_run(result, settings, os.environ.get(log.SCHEDULE)),
        }
        checked = alerts.check_and_notify(settings, verdicts, run_id=run_id)
        # without a ping the dead man's switch rings: so while a problem cannot be sent to anybody
        all_sent = not checked.unsent and (settings.alerts.urls or not checked.open)
        if all_sent and (why := channels.ping(settings)):
            log.write("warning", f"the dead man's switch: {why}")
        return StageOutcome(
            _summarize(settings, checked),
            figures={
                "open_causes": len(checked.open),
                "sent_messages": checked.sent,
                "unsent_messages": checked.unsent,
            },
        )

    stage = _time_stage("alerts", send_alerts)
    return replace(stage, exit_code=0)


def _write_report(settings: Settings, result: RunResult, as_of: datetime | None) -> Stage:
    """Write the report page over the one before, with the findings that the run has listed."""
    listed = result.judgement.listed if result.judgement else None

    def report() -> StageOutcome:
        from orchestration.report import gather, page

        state = gather.gather(settings, open_warehouse(settings), None, as_of, listed)
        path = page.write(state, page.default_path(settings))
        sizes = state.space.metrics() if state.space else ()
        return StageOutcome(str(path), figures={"bytes": path.stat().st_size}, metrics=sizes)

    return _time_stage("report", report)


def notify_after_job(settings: Settings) -> None:
    """Send new and resolved alerts after a scheduled job: the schedule could start."""
    _notify(settings, {on_this_host("schedule"): None})


def notify_cannot_start(settings: Settings, error: QuotemillError, name: str = "settings") -> None:
    """Report that nothing can be run or scheduled.

    For example, a settings file was moved or emptied.
    """
    _notify(settings, {on_this_host(name): ring(failed(name, error))})


def _notify(settings: Settings, verdicts: Verdicts) -> None:
    stage = _time_stage(
        "alerts",
        lambda: StageOutcome(_summarize(settings, alerts.check_and_notify(settings, verdicts))),
    )
    for line in stage.lines:
        builds.stderr.line(line)


def _summarize(settings: Settings, checked: alerts.CheckResult) -> str:
    """One line about alerts; empty if nothing is wrong."""
    parts = [f"{checked.sent} sent"] if checked.sent else []
    parts += [f"{checked.unsent} not sent, the next run tries again"] if checked.unsent else []
    if checked.open:
        count = len(checked.open)
        text = f"{count} open {'alert' if count == 1 else 'alerts'} ({', '.join(checked.open)})"
        no_channel = "" if settings.alerts.urls else "no channel configured, set alerts.urls; "
        parts.append(f"{text}; {no_channel}`quotemill alerts list`")
    return "; ".join(parts)
