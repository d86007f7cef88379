"""ops.schedules: what of each job was started, is queued, was missed, and comes next.

The only state of schedules. Each function is one transaction; two machines that share a warehouse do not both
take a start.
"""

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from loaders.warehouse.ownership import has_relation
from orchestration.run import history
from orchestration.schedule import due
from orchestration.schedule.jobs import Job, Row

TABLE = "ops.schedules"
OVERDUE = timedelta(minutes=30)
TRIES = 2  # of a start whose run was cut off: a machine that goes down under it is not driven in a circle
_COLUMNS = ", ".join(column.name for column in fields(Row))


@dataclass(frozen=True)
class Taken:
    """`start` is the instant by the rule that a run stands for, None where none is due; then `begins_at`
    may say when the next one is to begin. `why` is for people; `is_idle` where nothing at all happened."""

    start: datetime | None = None
    begins_at: datetime | None = None
    why: str = ""
    is_idle: bool = True


def rows(conn: psycopg.Connection) -> list[Row]:
    """Every row; none in a warehouse that does not have the table yet."""
    if not has_relation(conn, TABLE):
        return []
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from ops.schedules order by name".encode()
        ).fetchall()


def learn(conn: psycopg.Connection, jobs: Iterable[Job], now: datetime) -> None:
    """Write down jobs that are new or have another rule, and what comes next of each."""
    known = {row.name: row for row in rows(conn)}
    for job in jobs:
        row = known.get(job.name)
        if row is None or row.timing != job.rule:
            _learn(conn, job, now)


def waiting(row: Row | None, job: Job, now: datetime) -> bool:
    """May a job have something to start? A look that needs no calendar; `take` decides."""
    if row is None or row.timing != job.rule:
        return True
    comes = row.next_run_at is not None and row.next_run_at <= now
    ahead = row.due_through is not None and row.due_through > now + due.WRONG_CLOCK
    let_go = due.is_ahead(job.name, row.missed_at, now, jitter=job.jitter)
    waits = row.queued_at is not None
    return row.is_enabled and (comes or row.is_begun or ahead or let_go or waits)


def overdue(known: Iterable[Row], jobs: Mapping[str, Job], now: datetime) -> list[Row]:
    """Rows of jobs whose next start has passed, and nobody looked: the longest ago first."""
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


def take(conn: psycopg.Connection, job: Job, now: datetime, *, forced: bool = False) -> Taken:
    """Take the start that is due, for the one who holds the job's lock; `forced` where none is due too."""
    row = _locked(conn, job, now)
    through = _through(row, job, now)
    if forced:
        _begun(conn, job, now, through, attempts=1)
        return Taken(now)
    if not row.is_enabled:
        return Taken(why="it is disabled; `quotemill schedule enable` turns it on")
    if _is_cut(row) and row.attempts < TRIES and _is_of_use(row, job, now):
        _begun(conn, job, now, through, row.attempts + 1)
        return Taken(row.last_run_at, why="its last run was cut off")
    if row.queued_at is not None:
        _begun(conn, job, now, through, attempts=1)
        return Taken(row.queued_at, why="it was queued")
    found = job.judge(through, now)
    _passed(conn, job, found)
    if found.start is None:
        return Taken(None, found.begins_at, _why_not(job, found), not found.missed)
    _begun(conn, job, now, found.through, attempts=1)
    return Taken(found.start, why=f"with {found.missed} that were missed" if found.missed else "")


def turn_away(conn: psycopg.Connection, job: Job, now: datetime) -> Taken:
    """What becomes of a start that is due while the job still runs: let go, or queued. It stays due where no run is
    at work, though one that was cut off is not written to have ended: who holds the job's lock is about to take
    it, or dies and leaves it to the next look."""
    row = _locked(conn, job, now)
    if row.is_begun and history.is_at_work(conn, job.name):
        return _let_go(conn, job, row, now)
    return Taken(why="it runs already")


def finish(conn: psycopg.Connection, job: Job, exit_code: int, now: datetime) -> None:
    """Write down how a run ended. What came due meanwhile is let go or queued."""
    _let_go(conn, job, _locked(conn, job, now), now)
    conn.execute(
        "update ops.schedules set last_finished_at = %s, last_exit_code = %s where name = %s",
        (now, exit_code, job.name),
    )


def enable(conn: psycopg.Connection, job: Job, now: datetime) -> None:
    """Turn a job on. What it would have started while it was off is not made up for."""
    _locked(conn, job, now)
    conn.execute(
        "update ops.schedules set is_enabled = true, due_through = greatest(due_through, %s), "
        "next_run_at = %s where name = %s and not is_enabled",
        (now, _next(job, now), job.name),
    )


def disable(conn: psycopg.Connection, job: Job, now: datetime) -> bool:
    """Turn a job off, and cancel its queued run: whether there was one. What runs goes on, and is not started
    again where it is cut off, nor weeks later, once the job is turned on."""
    row = _locked(conn, job, now)
    conn.execute(
        "update ops.schedules set is_enabled = false, queued_at = null, next_run_at = null, "
        "attempts = %s where name = %s",
        (TRIES, job.name),
    )
    return row.queued_at is not None


def _locked(conn: psycopg.Connection, job: Job, now: datetime) -> Row:
    """The job's row, nobody else's until the end of the transaction; made anew by another rule."""
    query = f"select {_COLUMNS} from ops.schedules where name = %s for update".encode()
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        row = cursor.execute(query, (job.name,)).fetchone()
        if row is None or row.timing != job.rule:
            _learn(conn, job, now)
            row = cursor.execute(query, (job.name,)).fetchone()
    assert row is not None
    return row


def _learn(conn: psycopg.Connection, job: Job, now: datetime) -> None:
    since = now - due.LOOK_BACK
    conn.execute(
        """
        insert into ops.schedules as s (name, source, kind, timing, due_through, next_run_at)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (name) do update set
            source = excluded.source,
            kind = excluded.kind,
            timing = excluded.timing,
            -- a row that was put here by SQL, or moved here, says itself since when
            due_through = case when s.timing is null then coalesce(s.due_through, excluded.due_through)
                else greatest(s.due_through, excluded.due_through) end,
            queued_at = null,
            next_run_at = case when s.is_enabled then excluded.next_run_at end
        """,
        (job.name, job.source, job.kind, job.rule, since, _next(job, since)),
    )


def _begun(
    conn: psycopg.Connection, job: Job, now: datetime, through: datetime, attempts: int
) -> None:
    conn.execute(
        "update ops.schedules set last_run_at = %s, last_finished_at = null, last_exit_code = null, "
        "last_host = %s, attempts = %s, due_through = %s, queued_at = null, next_run_at = %s, "
        # what is ahead of this run, which tells from now on what was made, has yet to come or was made
        "missed_at = case when missed_at < %s then missed_at end "
        "where name = %s",
        (now, socket.gethostname(), attempts, through, _next(job, through), now, job.name),
    )


def _let_go(conn: psycopg.Connection, job: Job, row: Row, now: datetime) -> Taken:
    """A start that is due beside a run gives way to it, or waits for its end."""
    found = job.judge(_through(row, job, now), now)
    if found.start is None or not row.is_enabled:
        return Taken(why="it runs already")
    _passed(conn, job, found)
    if job.on_overlap == "skip":
        return Taken(why="left out: it still runs", is_idle=False)
    conn.execute("update ops.schedules set queued_at = %s where name = %s", (found.start, job.name))
    return Taken(why="queued: it still runs", is_idle=False)


def _through(row: Row, job: Job, now: datetime) -> datetime:
    return due.dealt_with(
        job.name, row.due_through or now, row.missed_at, row.last_run_at, now, jitter=job.jitter
    )


def _passed(conn: psycopg.Connection, job: Job, found: due.Verdict) -> None:
    """Starts that a verdict deals with, and those that it lets go. What a clock that was wrong let go, and is to
    come, was not missed."""
    conn.execute(
        "update ops.schedules set due_through = %(through)s, next_run_at = %(next)s, missed_at = "
        "coalesce(%(missed)s, case when missed_at <= %(through)s then missed_at end) "
        "where name = %(name)s",
        {
            **{"through": found.through, "next": _next(job, found.through)},
            **{"missed": found.missed_at, "name": job.name},
        },
    )


def _why_not(job: Job, found: due.Verdict) -> str:
    if found.missed:
        return f"{found.missed} starts were missed, and it does not catch up"
    if job.timing is None:
        return f"its rule is off: set schedule.{job.name}.when"
    coming = _next(job, found.through)
    return f"not due before {coming:%Y-%m-%d %H:%M:%S} UTC" if coming else "never due"


def _next(job: Job, after: datetime) -> datetime | None:
    """When the first start after what was dealt with begins."""
    start = job.timing.next_after(after) if job.timing else None
    return None if start is None else due.begin(job.name, start, job.jitter)


def _is_of_use(row: Row, job: Job, now: datetime) -> bool:
    """Is what was cut off still worth a run? Of a job that does not catch up while it is as good as on time."""
    return job.catch_up or (row.last_run_at is not None and now - row.last_run_at <= due.PROMPT)


def _is_cut(row: Row) -> bool:
    """Did a run of this machine end without a word? Asked by the one who holds the job's lock."""
    return row.is_begun and row.last_host == socket.gethostname()
