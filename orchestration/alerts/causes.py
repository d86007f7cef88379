"""Find what is wrong: in the stages of a run, on this machine, in the warehouse's records.

A cause is named by kind and subject, such as load:tdx or job:tdx_daily; one of a machine ends with
its name, such as disk:home@alpha. docs/how-to/alerts.md lists them all.
"""

import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from loaders import sources
from loaders.check import check_holidays
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.trading_time import format_time
from loaders.warehouse.disks import list_disks
from loaders.warehouse.sql_files import read_sql
from orchestration.alerts import book, scheduled_jobs
from orchestration.alerts.book import (
    LONGEST,
    Cause,
    Verdicts,
    check_apart,
    name_some,
    on_this_host,
    ring,
)
from orchestration.alerts.failed_keys import list_subjects, name_subjects, read_subjects
from orchestration.alerts.scheduled_jobs import RUN_MEMORY
from orchestration.checks import records
from orchestration.run import history
from orchestration.run.findings import Judgement
from orchestration.schedule import jobs
from quotemill.errors import (
    INTERRUPTED,
    LockHeldError,
    PartialError,
    QuotemillError,
    UpstreamError,
    most_severe,
)
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import join_hints, say_count

if TYPE_CHECKING:
    from orchestration.run.stages import RunResult

CLOCK_AHEAD = timedelta(days=1)  # a run dated this far ahead is of a wrong clock
RECOVERY_MARGIN = 2.0  # percentage points below the limit at which a disk has room again
_HELD = LockHeldError.exit_code
_PARTIAL = PartialError.exit_code
_AWAY = UpstreamError.exit_code


def check_run(
    result: "RunResult", settings: Settings, job_name: str | None = None
) -> dict[str, Cause | None]:
    """Verdicts on the stages of a run, of a scheduled job or of none.

    A held lock is reported when it is held twice in a row.
    """
    causes: dict[str, Cause | None] = {}
    again = _describe_next_try(result, settings, job_name)
    for source in dict.fromkeys(load.source for load in result.loads):
        own = [x for x in result.loads if x.source == source and not x.is_idle]
        if not own or any(load.status == "cancelled" for load in own):
            continue
        is_held = any(load.exit_code == _HELD or load.status == "skipped" for load in own)
        causes[f"lock:{source}"] = _locked(f"the load of {source}") if is_held else None
        # a skipped load says nothing about what failed before
        if ended := [x for x in own if x.exit_code != _HELD and x.status != "skipped"]:
            code = most_severe(load.exit_code for load in ended)
            cause = _judge_loads(source, ended, code)
            cause = replace(cause, note=again) if code == _AWAY else cause
            causes[f"load:{source}"] = cause if code else None
    if result.error is not None:
        held = result.error_code == _HELD
        # the run waited for long: the other may hang
        text = f"{result.error}, so the loaded data are not built. The other build may hang"
        waited = Cause("lock", "warn", text, "quotemill status", severity="warning")
        causes["lock:build"] = waited if held else None
        if not held:
            causes["build"] = _failed("build", result.error_code, result.error)
    elif result.builds:
        last = result.builds[-1]
        causes["lock:build"] = None
        causes["build"] = None
        if last.exit_code:
            # one that fails every night hides no other
            names = tuple(sorted({f.name for f in last.findings if f.status != "warn"}))
            failed = records.describe_build(last.build_id, "failed", last.failures)
            causes["build"] = ring(failed, state=str(last.exit_code), subjects=names)
    if result.judgement is not None:
        causes |= _check_findings(result.judgement, settings.finding_limit)
    return causes | _check_lags(result, settings) | _check_archive(result)


def _describe_next_try(result: "RunResult", settings: Settings, job_name: str | None) -> str:
    """When the schedule makes a run again whose source was away; empty where it does not."""
    known, _ = jobs.survey(settings, ())
    job = known.get(job_name or "")
    if job is None or not job.retry or result.exit_code != _AWAY:
        return ""
    return f", {job.name} runs again in {job.retry} minutes"


def _check_lags(result: "RunResult", settings: Settings) -> dict[str, Cause | None]:
    """Report sources whose data are later than the setting `stale_after` allows."""
    causes: dict[str, Cause | None] = {}
    # another run would end as such a load did
    stopped = {load.source: load.job_id for load in result.loads if load.error}
    for lag in result.lags:
        limit = getattr(getattr(settings, lag.source, None), "stale_after", 0)
        note = f", {say_count(lag.days, 'trading day')} late"
        late = ring(lag.check(settings, stopped.get(lag.source)), state=lag.late, note=note)
        causes[f"stale:{lag.source}"] = late if limit and lag.days >= limit else None
    return causes


def _check_archive(result: "RunResult") -> dict[str, Cause | None]:
    causes: dict[str, Cause | None] = {}
    for stage in result.stages:
        if stage.name == "archive":
            is_held = stage.exit_code == _HELD
            causes["lock:archive"] = _locked("the archive") if is_held else None
            if not is_held:
                why = _failed(stage.name, stage.exit_code, stage.error or "")
                causes[stage.name] = why if stage.exit_code else None
    return causes


def _judge_loads(source: str, loads: list[LoadResult], code: int) -> Cause:
    """The loads of a source in a run; where they are on record `word_loads` has other words."""
    wrong = [load for load in loads if load.exit_code]  # not those with acknowledged keys only
    failed = sum(len(task.failures) for load in loads for task in load.tasks)
    keys = sum(len(task.keys) for load in loads for task in load.tasks)
    why = next((x.error for x in wrong if x.exit_code == code and x.error), None)
    fix = join_hints(load.hint for load in wrong if load.hint)
    text = f"load of {source} failed (exit code {code}): "
    text += why or f"{failed:,} of {keys:,} keys failed"
    tasks = (task for load in loads for task in load.tasks)
    subjects = list_subjects(source, tasks) if code == _PARTIAL else ()
    cause = Cause("load", "warn", text[:LONGEST], fix, state=str(code))
    return replace(cause, subjects=subjects, note=name_subjects(subjects))


def _failed(what: str, code: int, why: str) -> Cause:
    text = f"{what} failed (exit code {code}): {why}"[:LONGEST]
    return Cause(what, "fail", text, "quotemill status", state=str(code))


def _locked(what: str, patience: int = 2) -> Cause:
    text = f"{what} found another one running twice in a row, which may hang"
    return Cause("lock", "warn", text, "quotemill loads", severity="warning", patience=patience)


def _check_findings(judged: Judgement, limit: int) -> dict[str, Cause | None]:
    """Report new errors once; resolved once no unacknowledged error is left."""
    if judged.ringing > limit:
        text = f"{judged.ringing:,} new error findings, in all {judged}"
        state = f"finding {judged.newest}"  # a partial run repeats the same ones
        return {"qa": Cause("findings", "fail", text, "quotemill findings --new", state=state)}
    if judged.unread and limit:  # it has no findings: the limit is not about it
        text = f"unreadable checks: {name_some(judged.unread)}"
        cause = Cause("findings", "fail", text, "quotemill findings", state="unread")
        return {"qa": replace(cause, subjects=judged.unread)}
    still_open = judged.counts.get("error", 0) - judged.acknowledged.get("error", 0)
    return {} if still_open > limit else {"qa": None}


def check_machine(settings: Settings, ready: list[str], now: datetime) -> dict[str, Cause | None]:
    """Verdicts on disks and announced holidays; `ready` are the configured sources."""
    causes: dict[str, Cause | None] = {}
    limit = settings.alerts.disk_percent
    for disk in list_disks(settings):
        checked = disk.check(limit)
        if checked.verdict != "ok":
            causes[on_this_host(f"disk:{disk.name}")] = ring(checked)
        elif not disk.is_short(limit - RECOVERY_MARGIN):
            causes[on_this_host(f"disk:{disk.name}")] = None
    if any(sources.find(name).insight.needs_holidays for name in ready):
        checked = check_holidays(now)
        cause = None if checked.verdict == "ok" else ring(checked, severity="warning")
        causes[on_this_host("calendar")] = cause
    return causes


def check_tick_store(settings: Settings) -> dict[str, Cause | None]:
    """Verdict on suspended tables; none if the store is unreachable, as its loads say so."""
    if not store_state.is_used(settings):
        return {}
    from loaders.ticks.open_store import open_store  # imports pyarrow

    try:
        with closing(open_store(settings)) as store:
            checks = store.check_suspended()
    except QuotemillError:
        return {}
    if not checks:
        return {"tick_store": None}
    text = "; ".join(check.sentence for check in checks)
    state = " ".join(check.subject for check in checks)
    return {"tick_store": ring(replace(checks[0], sentence=text), state=state)}


def check_warehouse(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    run_id: str | None,
    now: datetime,
) -> Verdicts:
    """Verdicts on jobs, self-tests and delayed data on record.

    `run_id` is the run that checks; it is left out.
    """
    qa = warehouse.inner_schema("qa")
    checks: dict[str, Callable[[], Verdicts]] = {
        "jobs": lambda: _check_jobs(conn, run_id, now),
        "report": lambda: _check_report(conn),
        "schedules": lambda: scheduled_jobs.check_schedules(conn, settings, now),
        "settings": lambda: scheduled_jobs.check_lost_settings(conn, settings, now),
        "selftests": lambda: _check_selftests(conn, settings),
        "delayed": lambda: _check_delayed_quotes(conn, qa),
    }
    verdicts: dict[str, Cause | None] = {}
    for name, check in checks.items():
        verdicts |= check_apart(conn, name, check)
    return verdicts


def _check_jobs(
    conn: psycopg.Connection, run_id: str | None, now: datetime
) -> dict[str, Cause | None]:
    """Verdicts on the last run of each scheduled job or command.

    A killed run counts, and a failed one that did not report itself as `quotemill run` does. Runs
    dated by a clock far ahead are left out; a job that has not run for long is resolved.
    """
    query = read_sql(__package__, "last_runs").format(status=history.STATUS)
    with conn.cursor(row_factory=dict_row) as cur:
        values = {"since": now - RUN_MEMORY, "until": now + CLOCK_AHEAD, "run_id": run_id}
        rows = cur.execute(query.encode(), values).fetchall()
    judged = {f"job:{row['name']}" for row in rows}
    causes: dict[str, Cause | None] = {
        name: None
        for name in book.read_entries(conn, only_open=True)
        if name.startswith("job:") and name not in judged
    }
    for row in rows:
        causes |= {f"job:{row['name']}": cause for cause in _check_job(conn, row)}
        causes |= {f"lock:{row['name']}": cause for cause in _check_lock(row)}
    return causes


def _check_lock(row: Mapping[str, Any]) -> list[Cause | None]:
    """Report a scheduled job whose last two runs both found another one running."""
    if not row["is_scheduled"] or row["has_reported"]:
        return []
    if row["exit_code"] != _HELD:
        return [None]
    return [_locked(f"the scheduled job {row['name']}", 1)] if row["code_before"] == _HELD else []


def _check_job(conn: psycopg.Connection, row: Mapping[str, Any]) -> list[Cause | None]:
    """Empty where its end says nothing: it was stopped, or found another one running."""
    code, started = row["exit_code"], format_time(row["started_at"], timespec="minutes")
    if row["status"] == "interrupted":
        text = f"`{row['command']}` from {started} was interrupted: killed, or its machine stopped"
        return [Cause("job", "fail", text, "quotemill status", subject=row["name"])]
    if code in (_HELD, INTERRUPTED):
        return []
    if code == 0 or row["has_reported"]:
        return [None]
    subjects = read_subjects(conn, row) if code == _PARTIAL else ()
    reason = row["error"] or name_some(subjects)
    why = f": {reason}" if reason else ""
    text = f"`{row['command']}` from {started} failed (exit code {code}){why}"[:LONGEST]
    # a new kind of error in the log is sent again
    state = str(code) if row["error_kinds"] is None else f"{code} {row['error_kinds']}"
    cause = Cause("job", "fail", text, "quotemill status", subject=row["name"])
    return [replace(cause, state=state, subjects=subjects)]


def _check_report(conn: psycopg.Connection) -> dict[str, Cause | None]:
    """Verdict on the newest report of this machine: written after the check of its own run."""
    row = conn.execute(
        "select m.value from ops.metrics as m inner join ops.runs as r on m.run_id = r.run_id "
        "where m.stage = 'report' and m.name = 'exit_code' and r.host = %s "
        "order by m.measured_at desc limit 1",
        (socket.gethostname(),),
    ).fetchone()
    if row is None:
        return {}
    text = f"the report could not be written (exit code {row[0]})"
    cause = Cause("report", "fail", text, "quotemill report") if row[0] else None
    return {on_this_host("report"): cause}


def _check_selftests(conn: psycopg.Connection, settings: Settings) -> dict[str, Cause | None]:
    causes: dict[str, Cause | None] = {}
    for run in records.judge_tests(conn):
        if run.figures["kind"] == "selftest":
            report = settings.home / "selftest" / f"{run.subject}_api_failure_report.md"
            cause = ring(run, state=run.figures["failed"], attachment=report)
            causes[f"selftest:{run.subject}"] = None if run.verdict == "ok" else cause
    return causes


def _check_delayed_quotes(conn: psycopg.Connection, qa: str) -> dict[str, Cause | None]:
    """Verdict on the newest session whose delayed rows were judged."""
    if not has_relation(conn, f"{qa}.qa_option_day"):
        return {}
    row = conn.execute(
        "select trade_date, "
        "string_agg(symbol, ' ' order by symbol) "
        # not of a symbol that was tried beside the universe; an older table does not say which
        "filter (where delayed_verdict = 'fail' "
        "and (to_jsonb(d) ->> 'is_in_universe')::boolean is not false) "
        f"from {qa}.qa_option_day as d where trade_date = (select max(trade_date) "
        f"from {qa}.qa_option_day where delayed_verdict <> 'pending') group by trade_date".encode()
    ).fetchone()
    if row is None:
        return {}
    day, symbols = row
    if symbols is None:
        return {"delayed:ib": None}
    text = f"the gateway served delayed quotes on {day}: {symbols}"[:LONGEST]
    return {"delayed:ib": Cause("delayed", "fail", text, f"quotemill selfcheck ib --date {day}")}
