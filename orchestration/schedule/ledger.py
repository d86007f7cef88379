"""Table ops.schedules: what was started, queued or missed of each job, and what comes next.

The only state of schedules. Each function is one transaction: of two machines that share a
warehouse, one claims a start.
"""

import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from shutil import which
from subprocess import list2cmdline

import psycopg
from psycopg.rows import class_row

from orchestration.run import history
from orchestration.schedule import due
from orchestration.schedule.due import Decision
from orchestration.schedule.jobs import Job, Row
from quotemill.systems import IS_POSIX
from quotemill.warehouse.schemas import has_relation

TABLE = "ops.schedules"
OVERDUE = timedelta(minutes=30)
_NAMES = [column.name for column in fields(Row)]
_COLUMNS = ", ".join(_NAMES)
_CHANGES = ", ".join(f"{name} = %({name})s" for name in _NAMES if name != "name")


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
        f"is its service or line of cron on? `{name_install()}` makes one; "
        "`quotemill schedule run` catches up"
    )


def read_rows(conn: psycopg.Connection) -> list[Row]:
    """Every row; none in a warehouse without the table yet."""
    if not has_relation(conn, TABLE):
        return []
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from ops.schedules order by name".encode()
        ).fetchall()


def register_jobs(conn: psycopg.Connection, jobs: Iterable[Job], now: datetime) -> None:
    """Write down jobs that are new or have another rule, and the next start of each."""
    for job in jobs:
        _lock_row(conn, job, now)


def list_overdue(known: Iterable[Row], jobs: Mapping[str, Job], now: datetime) -> list[Row]:
    """Rows of jobs whose next start passed without a check, the longest ago first."""
    late = [
        row
        for row in known
        if row.name in jobs
        and row.is_enabled
        and row.timing == jobs[row.name].rule
        and row.next_run_at is not None
        and row.next_run_at < now - OVERDUE
    ]
    return sorted(late, key=lambda row: (row.next_run_at, row.name))


def claim_start(
    conn: psycopg.Connection,
    job: Job,
    now: datetime,
    *,
    forced: bool = False,
    by_hand: bool = False,
) -> Decision:
    """Claim the start that is due, with `forced` also where none is. The caller holds the lock."""
    row = _lock_row(conn, job, now, promises=not (forced or by_hand))
    return _record(conn, due.decide_start(job, row, now, forced=forced, by_hand=by_hand))


def defer_start(conn: psycopg.Connection, job: Job, now: datetime) -> Decision:
    """Skip or queue a start that is due while the job still runs.

    It stays due where no run is alive: the holder of the job's lock is about to claim it, or dies
    and leaves it to the next check.
    """
    row = _lock_row(conn, job, now)
    if row.is_started and history.is_running(conn, job.name):
        return _record(conn, due.decide_overlap(job, row, now))
    return Decision(row, why="it runs already")


def record_end(conn: psycopg.Connection, job: Job, exit_code: int, now: datetime) -> None:
    """Record how a run ended."""
    row = _lock_row(conn, job, now, promises=False)
    _write(conn, due.end_run(job, row, exit_code, now))


def enable(conn: psycopg.Connection, job: Job, now: datetime) -> None:
    """Turn a job on. Starts missed while it was off are not caught up."""
    _write(conn, due.enable(_lock_row(conn, job, now, promises=False), now))


def disable(conn: psycopg.Connection, job: Job, now: datetime) -> bool:
    """Turn a job off and cancel its queued run; return whether there was one.

    A running one goes on; if it is cut off it is not started again, even once the job is on.
    """
    row = _lock_row(conn, job, now)
    _write(conn, due.disable(row))
    return row.queued_at is not None


def withdraw_starts(conn: psycopg.Connection, jobs: Iterable[str]) -> list[Row]:
    """Promise no more starts of jobs, as no scheduler is to make them on this machine.

    A scheduler that goes on checking promises them again. Returns the rows that keep theirs,
    because another machine ran them last.
    """
    if not has_relation(conn, TABLE):
        return []
    conn.execute(
        "update ops.schedules set next_run_at = null "
        "where (name = any(%(jobs)s) and last_host is null) or last_host = %(host)s",
        {"jobs": list(jobs), "host": socket.gethostname()},
    )
    return [row for row in read_rows(conn) if row.name in set(jobs) and row.next_run_at is not None]


def _lock_row(conn: psycopg.Connection, job: Job, now: datetime, *, promises: bool = True) -> Row:
    """Lock the job's row until the end of the transaction; rewrite it where the rule changed."""
    conn.execute("insert into ops.schedules (name) values (%s) on conflict do nothing", (job.name,))
    query = f"select {_COLUMNS} from ops.schedules where name = %s for update".encode()
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        [row] = cursor.execute(query, (job.name,))
    if row.timing != job.rule or (promises and not due.is_registered(row, job)):
        was_promised = row.next_run_at is not None
        row = due.register(job, row, now, promises=promises or was_promised)
        _write(conn, row)
    return row


def _record(conn: psycopg.Connection, decision: Decision) -> Decision:
    _write(conn, decision.row)
    return decision


def _write(conn: psycopg.Connection, row: Row) -> None:
    conn.execute(f"update ops.schedules set {_CHANGES} where name = %(name)s".encode(), vars(row))
