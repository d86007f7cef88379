"""What may be wrong, looked at: the stages of a run, this machine, and what the warehouse remembers.

A cause has a name of its kind and what it is about: load:tdx, job:tdx_daily. docs/how-to/alerts.md has all of them.
"""

import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders import sources, trading_time
from loaders.engine.load import LoadResult
from loaders.errors import LockHeldError, gravest
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse
from orchestration.alerts import book
from orchestration.alerts.book import Cause, Verdicts
from orchestration.checks.disks import disks
from orchestration.run import history
from orchestration.run.findings import Judgement
from orchestration.run.stages import RunResult
from orchestration.schedule import due, jobs, ledger

HORIZON = timedelta(
    days=60
)  # days that the announced holidays must reach, as `quotemill doctor` has it
REMEMBERED = timedelta(
    days=35
)  # how long a job that does not run any more is judged by its last run
LATE = timedelta(hours=1)  # a start that is this far back was not made: nobody runs the schedule
STEADY = 2.0  # points of percent below which a disk that was too full has room again
_LONGEST = 500  # characters of an error that are told
_HELD = LockHeldError.exit_code


def of_run(result: RunResult, settings: Settings) -> dict[str, Cause | None]:
    """What the stages of a run tell. A lock that is held is told where it is so twice in a row."""
    found: dict[str, Cause | None] = {}
    for source in dict.fromkeys(load.source for load in result.loads):
        own = [x for x in result.loads if x.source == source and not x.is_idle]
        if not own or any(load.status == "cancelled" for load in own):
            continue
        is_held = any(load.exit_code == _HELD or load.status == "skipped" for load in own)
        found[f"lock:{source}"] = _locked(f"the load of {source}") if is_held else None
        # one that stood back loaded nothing: it says nothing of what failed before
        if ended := [x for x in own if x.exit_code != _HELD and x.status != "skipped"]:
            code = gravest(load.exit_code for load in ended)
            why = _failed(f"load of {source}", code, _why(ended, code))
            found[f"load:{source}"] = why if code else None
    if result.error is not None:
        held = result.error_code == _HELD
        found["lock:build"] = _locked("the build") if held else None
        if not held:
            found["build"] = _failed("build", result.error_code, result.error)
    elif result.builds:
        last = result.builds[-1]
        found["lock:build"] = None
        found["build"] = None
        if last.exit_code:
            text = f"build {last.build_id} failed: {last.failures}"[:_LONGEST]
            found["build"] = Cause("error", text, "quotemill status", str(last.exit_code))
    if result.judgement is not None:
        found |= _of_findings(result.judgement, settings.finding_limit)
    return found | _of_stages(result)


def _of_stages(result: RunResult) -> dict[str, Cause | None]:
    found: dict[str, Cause | None] = {}
    for stage in result.stages:
        if stage.name == "archive":
            is_held = stage.exit_code == _HELD
            found["lock:archive"] = _locked("the archive") if is_held else None
            if not is_held:
                why = _failed(stage.name, stage.exit_code, stage.error or "")
                found[stage.name] = why if stage.exit_code else None
    return found


def _why(loads: list[LoadResult], code: int) -> str:
    for load in loads:
        if load.exit_code == code and load.error:
            return f"{load.error} ({load.hint})" if load.hint else load.error
    failed = sum(len(task.failures) for load in loads for task in load.tasks)
    keys = sum(len(task.keys) for load in loads for task in load.tasks)
    return f"{failed:,} of {keys:,} keys failed; `loaders retry` loads them"


def _failed(what: str, code: int, why: str) -> Cause:
    text = f"{what} failed (exit code {code}): {why}"[:_LONGEST]
    return Cause("error", text, "quotemill status", str(code))


def _locked(what: str, patience: int = 2) -> Cause:
    text = f"{what} found another one at work, twice in a row: does that one hang?"
    return Cause("warning", text, "loaders status", patience=patience)


def _of_findings(judged: Judgement, limit: int) -> dict[str, Cause | None]:
    """New errors are told once; that they are over, when no error is left that nobody acknowledged."""
    if judged.ringing > limit:
        text = f"{judged.ringing:,} new findings of severity error; in all: {judged}"
        state = f"finding {judged.newest}"  # the same ones ring anew after each partial run
        return {"qa": Cause("error", text, "quotemill findings --new", state)}
    standing = judged.counts.get("error", 0) - judged.acknowledged.get("error", 0)
    return {} if standing > limit else {"qa": None}


def of_machine(settings: Settings, ready: list[str], now: datetime) -> dict[str, Cause | None]:
    """Disks and announced holidays; `ready` are the configured sources."""
    found: dict[str, Cause | None] = {}
    limit = settings.alerts.disk_percent
    for disk in disks(settings):
        if disk.is_short(limit):
            text = f"the disk of {disk.folder} is used to {100 * disk.used_share:.0f} %: "
            text += f"{disk.free / 2**30:,.1f} GiB are free"
            found[f"disk:{disk.name}"] = Cause("error", text, "quotemill doctor")
        elif not disk.is_short(limit - STEADY):
            found[f"disk:{disk.name}"] = None
    if {"tdx", "tq"} & set(ready):
        end = trading_time.horizon()
        text = f"the announced holidays of China's exchanges reach {end}"
        text += ": pip install --upgrade pandas-market-calendars"
        is_near = end - now.date() < HORIZON
        found["calendar"] = Cause("warning", text, "quotemill doctor") if is_near else None
    return found


def of_warehouse(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    run_id: str | None,
    now: datetime,
) -> Verdicts:
    """What the warehouse remembers: jobs, self-tests, delayed data. `run_id` is the run that looks."""
    return {
        **_of_jobs(conn, run_id, now),
        **_of_report(conn),
        **_of_schedules(conn, settings, now),
        **_of_settings(conn, settings, now),
        **_of_selftests(conn, settings),
        **_of_delayed(conn, warehouse.inner_schema("qa")),
    }


def _of_jobs(
    conn: psycopg.Connection, run_id: str | None, now: datetime
) -> dict[str, Cause | None]:
    """The last run of each scheduled job, or command: one that was killed, and what failed and tells nobody
    itself, as `quotemill run` does. Runs that a clock far ahead has dated are none; what has not run for
    long is over."""
    query = f"""
        select distinct on (coalesce(r.schedule, r.command))
            coalesce(r.schedule, r.command) as name, r.command, r.started_at, r.exit_code, r.error,
            {history.STATUS} as status, r.schedule is not null as is_scheduled, lag(r.exit_code) over (
                partition by coalesce(r.schedule, r.command) order by r.started_at
            ) as code_before, exists (
                -- of a look that came to its end: what a channel did not take is in the book
                select 1 from ops.metrics as m
                where m.run_id = r.run_id and m.stage = 'alerts' and m.name = 'untold_messages'
            ) as told_itself, (
                select m.value from ops.metrics as m
                where m.run_id = r.run_id and m.stage = 'logscan' and m.name = 'error_kinds'
            ) as error_kinds
        from ops.runs as r
        where r.started_at between %(since)s and %(until)s
            and r.run_id is distinct from %(run_id)s and {history.STATUS} <> 'running'
        order by coalesce(r.schedule, r.command), r.started_at desc
    """
    with conn.cursor(row_factory=dict_row) as cur:
        values = {"since": now - REMEMBERED, "until": now + due.WRONG_CLOCK, "run_id": run_id}
        rows = cur.execute(query.encode(), values).fetchall()
    judged = {f"job:{row['name']}" for row in rows}
    found: dict[str, Cause | None] = {
        name: None
        for name in book.read(conn, only_open=True)
        if name.startswith("job:") and name not in judged
    }
    for row in rows:
        found |= {f"job:{row['name']}": cause for cause in _of_job(row)}
        found |= {f"lock:{row['name']}": cause for cause in _of_lock(row)}
    return found


def _of_lock(row: Mapping[str, Any]) -> list[Cause | None]:
    """Whether a scheduled job found another one at work twice in a row: of its runs, as looks may be more often."""
    if not row["is_scheduled"] or row["told_itself"]:
        return []
    if row["exit_code"] != _HELD:
        return [None]
    return [_locked(f"the scheduled job {row['name']}", 1)] if row["code_before"] == _HELD else []


def _of_job(row: Mapping[str, Any]) -> list[Cause | None]:
    """Empty where its end says nothing: it was stopped, or found another one at work."""
    code, begun = row["exit_code"], f"{row['started_at']:%Y-%m-%d %H:%M} UTC"
    if row["status"] == "interrupted":
        text = f"`{row['command']}` of {begun} was cut short: killed, or its machine stopped"
        return [Cause("error", text, "quotemill status")]
    if code in (_HELD, history.INTERRUPTED):
        return []
    if code == 0 or row["told_itself"]:
        return [None]
    why = f": {row['error']}" if row["error"] else ""
    text = f"`{row['command']}` of {begun} failed (exit code {code}){why}"[:_LONGEST]
    # one more kind of error in the log than the scans before have found is another matter
    state = str(code) if row["error_kinds"] is None else f"{code} {row['error_kinds']}"
    return [Cause("error", text, "quotemill status", state)]


def _of_report(conn: psycopg.Connection) -> dict[str, Cause | None]:
    """The newest page that was to be made: it comes after the look of its own run."""
    row = conn.execute(
        "select value from ops.metrics where stage = 'report' and name = 'exit_code' "
        "order by measured_at desc limit 1"
    ).fetchone()
    if row is None:
        return {}
    text = f"the report could not be written (exit code {row[0]})"
    return {"report": Cause("error", text, "quotemill report") if row[0] else None}


def _of_schedules(
    conn: psycopg.Connection, settings: Settings, now: datetime
) -> dict[str, Cause | None]:
    """Scheduled jobs that cannot be read, or should have begun and did not. Those of sources that are configured elsewhere are judged
    there."""
    rows = ledger.rows(conn)
    ready, _ = sources.configured(settings)
    known, wrong = jobs.survey(settings, rows)
    # those that are open are over where nothing below finds them again: a job may be gone without a row
    found: dict[str, Cause | None] = {
        name: None for name in book.read(conn, only_open=True) if name.startswith("schedule:")
    }
    for name, error in wrong.items():
        text = f"{error} ({error.hint})"[:_LONGEST]
        found[f"schedule:{name}"] = Cause("error", text, "quotemill schedule list", str(error))
    for row in rows:
        if row.name in wrong or (row.source is not None and row.source not in ready):
            continue
        found[f"missed:{row.name}"] = None
        job, last = known.get(row.name), row.last_run_at
        missed = (row.missed_at, _overdue(row.next_run_at, now))
        late = [at for at in missed if at and (last is None or last < at)]
        if late and row.is_enabled and job is not None and job.timing is not None:
            text = (
                f"the scheduled job {row.name} should have begun at {max(late):%Y-%m-%d %H:%M} UTC"
            )
            found[f"missed:{row.name}"] = Cause("error", text, "quotemill schedule list")
    return found


def _of_settings(
    conn: psycopg.Connection, settings: Settings, now: datetime
) -> dict[str, Cause | None]:
    """Sources whose jobs this machine ran until their settings were gone: the other jobs end well without a word."""
    ready, _ = sources.configured(settings)
    found: dict[str, Cause | None] = {}
    for row in ledger.rows(conn):
        # what another machine ran last is judged there
        if row.source is None or row.last_run_at is None or row.last_host != socket.gethostname():
            continue
        name = f"settings:{row.source}"
        found.setdefault(name, None)
        if row.source not in ready and row.is_enabled and row.last_run_at > now - REMEMBERED:
            text = f"{row.source} is not configured any more, so {row.name} is not started: it ran here last at "
            text += f"{row.last_run_at:%Y-%m-%d %H:%M} UTC"
            found[name] = Cause("error", text, "quotemill doctor")
    return found


def _overdue(at: datetime | None, now: datetime) -> datetime | None:
    return at if at is not None and at < now - LATE else None


def _of_selftests(conn: psycopg.Connection, settings: Settings) -> dict[str, Cause | None]:
    rows = conn.execute(
        """
        select distinct on (r.source) r.source, r.status, r.failed, r.total, r.started_at, (
            select string_agg(l.no::text, ' ' order by l.no) from ops.testing_logs as l
            where l.run_id = r.run_id and l.status = 'failed'
        )
        from ops.testing_runs as r where r.kind = 'selftest' order by r.source, r.run_id desc
        """
    ).fetchall()
    found: dict[str, Cause | None] = {}
    for source, status, failed, total, at, numbers in rows:
        name = f"selftest:{source}"
        found[name] = None
        if status != "passed":
            text = (
                f"self-test of {source}, {at:%Y-%m-%d %H:%M} UTC: {failed} of {total} checks failed"
            )
            text += f" ({numbers})" if numbers else ""
            report = settings.home / "selftest" / f"{source}_api_failure_report.md"
            command = f"loaders selftest {source} --verbose"
            found[name] = Cause("error", text, command, numbers or status, attachment=report)
    return found


def _of_delayed(conn: psycopg.Connection, qa: str) -> dict[str, Cause | None]:
    """Of the newest session whose delayed rows were judged."""
    if not has_relation(conn, f"{qa}.qa_option_day"):
        return {}
    row = conn.execute(
        f"select trade_date, string_agg(symbol, ' ' order by symbol) filter (where delayed_verdict = 'fail') "
        f"from {qa}.qa_option_day where trade_date = (select max(trade_date) from {qa}.qa_option_day "
        "where delayed_verdict <> 'pending') group by trade_date".encode()
    ).fetchone()
    if row is None:
        return {}
    day, symbols = row
    if symbols is None:
        return {"delayed:ib": None}
    text = f"the gateway served delayed quotes on {day}: {symbols}"[:_LONGEST]
    return {"delayed:ib": Cause("error", text, f"quotemill selfcheck ib --date {day}")}
