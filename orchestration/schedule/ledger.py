"""Table ops.schedules: the next start of each job. What it did last is read from ops.runs.

The only state of schedules. Each function is one transaction: of two machines that share a
warehouse, one takes a start, and the other leaves no record.
"""

import socket
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which
from subprocess import list2cmdline

import psycopg
from psycopg.rows import class_row

from loaders.check import Check
from loaders.trading_time import format_time
from loaders.warehouse.sql_files import read_sql
from orchestration.run import history
from orchestration.schedule import due
from orchestration.schedule.due import Decision
from orchestration.schedule.jobs import Job, Row
from quotemill.errors import INTERRUPTED
from quotemill.systems import IS_POSIX
from quotemill.warehouse.schemas import has_relation

TABLE = "ops.schedules"
OVERDUE = timedelta(minutes=30)


def name_install() -> str:
    """The command that lets this machine start jobs: by cron without systemd or launchd."""
    if not IS_POSIX:
        return name_windows_task(str(Path.cwd()), sys.executable)
    kind = "launchd" if sys.platform == "darwin" else "systemd" if which("systemctl") else "cron"
    return f"quotemill schedule install --{kind}"


def name_windows_task(folder: str, python: str) -> str:
    """The command for Windows, whose tasks start in a folder of its own and search no PATH."""
    places = [list2cmdline([place]) for place in (folder, python)]
    task = "cmd /c cd /d {} && {} -m quotemill run".format(*places)
    words = "schtasks /create /tn quotemill /sc daily /st 18:00 /tr"
    return list2cmdline([*words.split(), task])


def describe_overdue_fix() -> str:
    return (
        f"Check its service or cron line, or install one: `{name_install()}` "
        "(`quotemill schedule run` catches up)"
    )


def describe_missed(name: str, start: datetime | None, job: Job) -> Check:
    """The check of a job that nothing started."""
    text = f"nothing started {name} of {format_time(start, job.zone, 'minutes')}"
    return Check("schedule", "warn", text, describe_overdue_fix(), subject=name)


def read_rows(conn: psycopg.Connection, now: datetime | None = None) -> list[Row]:
    """Every row, with the newest run that did not start after `now`; none without the table yet."""
    if not has_relation(conn, TABLE):
        return []
    query = read_sql(__package__, "jobs_on_record").format(status=history.STATUS)
    until = now + due.TOLERANCE if now else datetime.max.replace(tzinfo=UTC)
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(query.encode(), {"until": until}).fetchall()


def register_jobs(conn: psycopg.Connection, jobs: Iterable[Job], now: datetime) -> None:
    """Write down jobs that are new or have another rule, and the next start of each."""
    for job in jobs:
        _read_row(conn, job, now)


def list_overdue(known: Iterable[Row], jobs: Mapping[str, Job], now: datetime) -> list[Row]:
    """Rows of jobs whose next start passed without a check, the longest ago first."""
    late = [
        row
        for row in known
        if row.name in jobs
        and row.is_enabled
        and row.timing == jobs[row.name].rule
        and row.is_overdue(now, OVERDUE)
    ]
    return sorted(late, key=lambda row: (row.next_run_at, row.name))


def claim_start(
    conn: psycopg.Connection,
    job: Job,
    now: datetime,
    *,
    run_id: str,
    dated: datetime | None = None,
    forced: bool = False,
    is_check: bool = True,
) -> Decision:
    """Take the start that is due, or is `forced` while the job does not run; record its run.

    The caller holds the run's lock. Of several callers, in any home, one decides at a time, and
    the next one finds what it recorded. What is no `is_check` of a scheduler makes no start of a
    job that none has registered. `dated` is the time of the run if `now` was given by hand.
    """
    conn.execute("select from ops.schedules where name = %s for update", (job.name,))
    row = _read_row(conn, job, now, dated=dated, is_check=is_check)
    if forced:
        decision = Decision("it is already running") if row.is_running else Decision("", now)
    elif not is_check and row.next_run_at is None:
        return Decision("")
    else:
        decision = due.decide_start(job, row, now)
        conn.execute(
            "update ops.schedules set next_run_at = %s, missed_at = %s where name = %s",
            (decision.next_run_at, decision.missed_at, job.name),
        )
    if decision.start is not None:
        history.begin(conn, run_id, job.name, job.text, dated or now)
    return decision


def plan_retry(conn: psycopg.Connection, job: Job, exit_code: int, now: datetime) -> None:
    """Make a run that ended so again, unless a start comes before or nothing schedules the job."""
    if again := due.find_retry(job, exit_code, now):
        conn.execute(
            "update ops.schedules set next_run_at = least(next_run_at, %s) "
            "where name = %s and next_run_at is not null",
            (again, job.name),
        )


def enable(conn: psycopg.Connection, job: Job, now: datetime) -> None:
    """Turn a job on: the next check counts its starts from then on.

    A run that was cut off before is not repeated: it ends as cancelled.
    """
    row = _read_row(conn, job, now, is_check=False)
    if row.is_enabled:
        return
    conn.execute(
        "update ops.schedules set is_enabled = true, next_run_at = null where name = %s",
        (job.name,),
    )
    if row.last_run_at is not None and not row.is_running:
        conn.execute(
            "update ops.runs set finished_at = %s, exit_code = %s, error = 'cut off' "
            "where schedule = %s and started_at = %s and finished_at is null",
            (now, INTERRUPTED, job.name, row.last_run_at),
        )


def disable(conn: psycopg.Connection, job: Job, now: datetime) -> bool:
    """Turn a job off and cancel its queued run; return whether there was one.

    A running one goes on.
    """
    row = _read_row(conn, job, now, is_check=False)
    conn.execute(
        "update ops.schedules set is_enabled = false, next_run_at = null where name = %s",
        (job.name,),
    )
    return job.on_overlap == "queue" and row.next_run_at is not None and row.next_run_at <= now


def withdraw_starts(conn: psycopg.Connection, jobs: Iterable[str]) -> list[Row]:
    """Stop expecting starts of jobs: no scheduler is to make them on this machine.

    A scheduler that goes on checking registers them again. Returns the rows that keep theirs,
    because another machine ran them last.
    """
    rows, names, host = read_rows(conn), set(jobs), socket.gethostname()
    own = {
        row.name
        for row in rows
        if row.last_host == host or (row.last_host is None and row.name in names)
    }
    if own:
        conn.execute(
            "update ops.schedules set next_run_at = null where name = any(%s)", (list(own),)
        )
    return [row for row in rows if row.name in names - own and row.next_run_at is not None]


def _read_row(
    conn: psycopg.Connection,
    job: Job,
    now: datetime,
    *,
    dated: datetime | None = None,
    is_check: bool = True,
) -> Row:
    """The job's row, rewritten if the rule changed; a scheduler's check registers the next start.

    Of two machines that register at once the first one's start stands: it may be taken already.
    """
    until = None if dated else now
    row = next((row for row in read_rows(conn, until) if row.name == job.name), None)
    known = row or Row(job.name)
    if row and row.timing == job.rule and (due.is_registered(row, job) or not is_check):
        return row
    registers = is_check or known.next_run_at is not None
    conn.execute(
        "insert into ops.schedules as s (name, source, kind, timing, next_run_at) "
        "values (%(name)s, %(source)s, %(kind)s, %(timing)s, %(first)s) "
        "on conflict (name) do update set source = excluded.source, kind = excluded.kind, "
        "timing = excluded.timing, next_run_at = excluded.next_run_at "
        "where s.timing is distinct from excluded.timing or s.next_run_at is null",
        {
            "name": job.name,
            "source": job.source,
            "kind": job.kind,
            "timing": job.rule,
            "first": due.find_first(job, known, now) if registers else None,
        },
    )
    return next(row for row in read_rows(conn, until) if row.name == job.name)
