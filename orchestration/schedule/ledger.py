"""Table ops.schedules: what was started, queued or missed of each job, and what comes next.

The only state of schedules. Each function is one transaction: of two machines that share a
warehouse, one claims a start.
"""

import signal
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from loaders.errors import UpstreamError
from loaders.warehouse.ownership import has_relation
from orchestration.run import history
from orchestration.schedule import due
from orchestration.schedule.jobs import Job, Row

TABLE = "ops.schedules"
OVERDUE = timedelta(minutes=30)
AWAY = UpstreamError.exit_code
# exit codes of a run that the kernel, or its own fault, ended
KILLED = tuple(128 + s for s in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS))
TRIES = 2  # of a start whose run was cut off: it may be what brings the machine down
_COLUMNS = ", ".join(column.name for column in fields(Row))


@dataclass(frozen=True)
class Claim:
    """The start that a run claimed.

    start:     by the rule; None where none is due
    begins_at: then, when the next one begins, if known
    why:       for people
    is_idle:   nothing at all happened
    """

    start: datetime | None = None
    begins_at: datetime | None = None
    why: str = ""
    is_idle: bool = True


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
    known = {row.name: row for row in read_rows(conn)}
    for job in jobs:
        if not _is_registered(known.get(job.name), job):
            _register(conn, job, now)


def may_be_due(row: Row | None, job: Job, now: datetime) -> bool:
    """Whether a job may have something to start. Reads no calendar; `claim_start` decides."""
    if row is None or not _is_registered(row, job):
        return True
    has_come = row.next_run_at is not None and row.next_run_at <= now
    ahead = row.due_through is not None and row.due_through > now + due.WRONG_CLOCK
    was_skipped = due.was_clock_ahead(job.name, row.missed_at, now, jitter=job.jitter)
    is_queued = row.queued_at is not None
    return row.is_enabled and (has_come or row.is_started or ahead or was_skipped or is_queued)


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
) -> Claim:
    """Claim the start that is due, with `forced` also where none is. The caller holds the lock.

    A forced run is one by hand. Where no scheduler has registered the job it promises no further
    start, and after it (`by_hand`) none is due.
    """
    row = _lock_row(conn, job, now, registers=not (forced or by_hand))
    through = _handled_through(row, job, now)
    if forced:
        _record_start(conn, job, now, through, attempts=1)
        return Claim(now)
    if by_hand and row.next_run_at is None and row.queued_at is None:
        return Claim()
    if not row.is_enabled:
        return Claim(why="it is disabled; fix: quotemill schedule enable")
    if _was_cut_off(row) and row.attempts < TRIES and _is_worth_a_run(row, job, now):
        _record_start(conn, job, now, through, row.attempts + 1)
        return Claim(row.last_run_at, why="its last run was cut off")
    if row.queued_at is not None:
        _record_start(conn, job, now, through, attempts=1)
        return Claim(row.queued_at, why="it was queued")
    verdict = job.find_due_start(through, now)
    _record_verdict(conn, job, verdict, row)
    again = _retry_time(row, job, verdict.through)
    if verdict.start is None and again is not None and again <= now:
        _record_start(conn, job, now, verdict.through, attempts=1)
        why = "its source was away" if row.last_exit_code == AWAY else "it was killed"
        return Claim(row.last_run_at, why=why)
    if verdict.start is None:
        return Claim(None, verdict.begins_at, _why_not(job, verdict), not verdict.missed)
    _record_start(conn, job, now, verdict.through, attempts=1)
    return Claim(
        verdict.start, why=f"with {verdict.missed} that were missed" if verdict.missed else ""
    )


def defer_start(conn: psycopg.Connection, job: Job, now: datetime) -> Claim:
    """Skip or queue a start that is due while the job still runs.

    It stays due where no run is alive: the holder of the job's lock is about to claim it, or dies
    and leaves it to the next check.
    """
    row = _lock_row(conn, job, now)
    if row.is_started and history.is_running(conn, job.name):
        return _skip_or_queue(conn, job, row, now)
    return Claim(why="it runs already")


def record_end(conn: psycopg.Connection, job: Job, exit_code: int, now: datetime) -> None:
    """Record how a run ended. A start that came due meanwhile is skipped or queued."""
    row = _lock_row(conn, job, now, registers=False)
    if row.next_run_at is not None:  # of a run by hand: a start is due only where one is promised
        _skip_or_queue(conn, job, row, now)
    ended = replace(row, last_finished_at=now, last_exit_code=exit_code)
    conn.execute(
        "update ops.schedules set last_finished_at = %s, last_exit_code = %s, "
        "next_run_at = least(next_run_at, %s) where name = %s",
        (now, exit_code, _retry_time(ended, job, row.due_through), job.name),
    )


def enable(conn: psycopg.Connection, job: Job, now: datetime) -> None:
    """Turn a job on; the next check of a scheduler promises its start.

    Starts missed while it was off are not caught up.
    """
    _lock_row(conn, job, now, registers=False)
    conn.execute(
        "update ops.schedules set is_enabled = true, due_through = greatest(due_through, %s) "
        "where name = %s and not is_enabled",
        (now, job.name),
    )


def disable(conn: psycopg.Connection, job: Job, now: datetime) -> bool:
    """Turn a job off and cancel its queued run; return whether there was one.

    A running one goes on; if it is cut off it is not started again, even once the job is on.
    """
    row = _lock_row(conn, job, now)
    conn.execute(
        "update ops.schedules set is_enabled = false, queued_at = null, next_run_at = null, "
        "attempts = %s where name = %s",
        (TRIES, job.name),
    )
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


def _is_registered(row: Row | None, job: Job) -> bool:
    """Whether a scheduler knows the job by its present rule: its next start is on record."""
    if row is None or row.timing != job.rule:
        return False
    return row.next_run_at is not None or not row.is_enabled or job.timing is None


def _lock_row(conn: psycopg.Connection, job: Job, now: datetime, *, registers: bool = True) -> Row:
    """Lock the job's row until the end of the transaction; rewrite it where the rule changed."""
    query = f"select {_COLUMNS} from ops.schedules where name = %s for update".encode()
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        row = cursor.execute(query, (job.name,)).fetchone()
        is_new = row is None or row.timing != job.rule
        if is_new or (registers and not _is_registered(row, job)):
            was_promised = row is not None and row.next_run_at is not None
            _register(conn, job, now, promises=registers or was_promised)
            row = cursor.execute(query, (job.name,)).fetchone()
    assert row is not None
    return row


def _register(conn: psycopg.Connection, job: Job, now: datetime, *, promises: bool = True) -> None:
    """Write a job's rule down; a scheduler `promises` its next start."""
    since = now - due.LOOK_BACK
    conn.execute(
        """
        insert into ops.schedules as s (name, source, kind, timing, due_through, next_run_at)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (name) do update set
            source = excluded.source,
            kind = excluded.kind,
            timing = excluded.timing,
            -- a row that was inserted by SQL, or moved here, says since when itself
            due_through = case
                when s.timing is null then coalesce(s.due_through, excluded.due_through)
                else greatest(s.due_through, excluded.due_through) end,
            queued_at = case when s.timing = excluded.timing then s.queued_at end,
            next_run_at = case when s.is_enabled then excluded.next_run_at end
        """,
        (
            job.name,
            job.source,
            job.kind,
            job.rule,
            since,
            _next_start(job, since) if promises else None,
        ),
    )


def _record_start(
    conn: psycopg.Connection,
    job: Job,
    now: datetime,
    through: datetime,
    attempts: int,
) -> None:
    conn.execute(
        "update ops.schedules set "
        "last_run_at = %s, last_finished_at = null, last_exit_code = null, last_host = %s, "
        "attempts = %s, due_through = %s, queued_at = null, "
        "next_run_at = case when next_run_at is not null then %s::timestamptz end, "
        # from now on this run says which starts were made
        "missed_at = case when missed_at < %s then missed_at end "
        "where name = %s",
        (now, socket.gethostname(), attempts, through, _next_start(job, through), now, job.name),
    )


def _skip_or_queue(conn: psycopg.Connection, job: Job, row: Row, now: datetime) -> Claim:
    """Skip a start that is due beside a run, or queue it until the run ends."""
    verdict = job.find_due_start(_handled_through(row, job, now), now)
    if verdict.start is None or not row.is_enabled:
        return Claim(why="it runs already")
    _record_verdict(conn, job, verdict, row)
    if job.on_overlap == "skip":
        return Claim(why="skipped: it still runs", is_idle=False)
    conn.execute(
        "update ops.schedules set queued_at = %s where name = %s", (verdict.start, job.name)
    )
    return Claim(why="queued: it still runs", is_idle=False)


def _handled_through(row: Row, job: Job, now: datetime) -> datetime:
    return due.handled_through(
        job.name, row.due_through or now, row.missed_at, row.last_run_at, now, jitter=job.jitter
    )


def _record_verdict(conn: psycopg.Connection, job: Job, verdict: due.Verdict, row: Row) -> None:
    """Record which starts a verdict handles and skips.

    A start that a wrong clock skipped and that has yet to come was not missed.
    """
    conn.execute(
        "update ops.schedules set due_through = %(through)s, "
        "next_run_at = least(%(next)s::timestamptz, %(again)s), missed_at = "
        "coalesce(%(missed)s, case when missed_at <= %(through)s then missed_at end) "
        "where name = %(name)s",
        {
            "through": verdict.through,
            "next": _next_start(job, verdict.through),
            "again": _retry_time(row, job, verdict.through),
            "missed": verdict.missed_at,
            "name": job.name,
        },
    )


def _why_not(job: Job, verdict: due.Verdict) -> str:
    if verdict.missed:
        return f"{verdict.missed} starts were missed, and it does not catch up"
    if job.timing is None:
        return f"its rule is off; fix: set schedule.{job.name}.when"
    coming = _next_start(job, verdict.through)
    return f"not due before {coming:%Y-%m-%d %H:%M:%S} UTC" if coming else "never due"


def _next_start(job: Job, after: datetime) -> datetime | None:
    """When the first start after the handled ones begins."""
    start = job.timing.next_after(after) if job.timing else None
    return None if start is None else due.delay_start(job.name, start, job.jitter)


def _retry_time(row: Row, job: Job, through: datetime | None) -> datetime | None:
    """When a run is made again because its source was away, or it was killed.

    None of a job that promises none.

    `through`: up to when starts are handled. One after the run, or the job being turned on since,
    ends that.
    """
    ended = row.last_finished_at
    is_repeated = row.last_exit_code in (AWAY, *KILLED)
    if not job.retry or row.next_run_at is None or not is_repeated or ended is None:
        return None
    if through is not None and through > ended:
        return None
    return ended + timedelta(minutes=job.retry)


def _is_worth_a_run(row: Row, job: Job, now: datetime) -> bool:
    """Whether a run that was cut off is worth repeating: without catch-up only while on time."""
    return job.catch_up or (row.last_run_at is not None and now - row.last_run_at <= due.GRACE)


def _was_cut_off(row: Row) -> bool:
    """Whether a run on this machine ended unrecorded. The caller holds the job's lock."""
    return row.is_started and row.last_host == socket.gethostname()
