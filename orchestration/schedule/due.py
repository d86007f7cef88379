"""The decision of a check: whether a job starts, and its row afterwards. The only such place.

A job, its row of ops.schedules and a time in, a decision out. What lies before `due_through` was
decided, so a clock that goes back starts nothing twice.
"""

import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from loaders.trading_time import format_time
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.timing import Timing
from quotemill.errors import SettingsError, UpstreamError

# a start that is not caught up may be this late
GRACE = timedelta(minutes=2)
# starts of a new job, or of a changed rule, count from this long ago: a timer that fires at the
# minute of the first start finds it
LOOK_BACK = timedelta(minutes=10)
# a clock may be this far behind the starts on record: those of two machines differ
TOLERANCE = timedelta(minutes=10)
AWAY = UpstreamError.exit_code
# exit codes of a run that the kernel, or its own fault, ended
_FATAL = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS")  # Windows lacks some
KILLED = tuple(128 + getattr(signal, name) for name in _FATAL if hasattr(signal, name))
TRIES = 2  # of a start whose run was cut off: it may be what brings the machine down


@dataclass(frozen=True)
class Verdict:
    """The due start of a rule. Times are UTC.

    through:   starts up to here are handled from now on
    start:     the start that is due, by the rule; None where none is
    missed:    starts before the due one; one catching-up run stands for them, else they are skipped
    missed_at: the newest of the skipped ones
    """

    through: datetime
    start: datetime | None = None
    missed: int = 0
    missed_at: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """The result of a check.

    row:       what is on record from now on
    start:     by the rule; None where none is made
    why:       for people
    is_idle:   nothing at all happened
    """

    row: Row
    start: datetime | None = None
    why: str = ""
    is_idle: bool = True


def check_clock(rows: Iterable[Row], now: datetime) -> None:
    """Refuse a clock that is behind the last start on record. Raises SettingsError."""
    ahead = [row for row in rows if row.due_through and row.due_through > now + TOLERANCE]
    if ahead:
        last = max(ahead, key=lambda row: (row.due_through, row.name))
        raise SettingsError(
            f"the clock says {format_time(now, timespec='minutes')}, but starts up to "
            f"{format_time(last.due_through, timespec='minutes')} are on record, "
            "so nothing is started",
            hint="set the clock; if it was ahead before: quotemill schedule enable JOB, for "
            f"{', '.join(sorted(row.name for row in ahead))}",
        )


def may_be_due(row: Row | None, job: Job, now: datetime) -> bool:
    """Whether a job may have something to start. Reads no calendar; `decide_start` does."""
    if row is None or not is_registered(row, job):
        return True
    has_come = row.next_run_at is not None and row.next_run_at <= now
    return row.is_enabled and (has_come or row.is_started or row.queued_at is not None)


def decide_start(
    job: Job, row: Row, now: datetime, *, forced: bool = False, by_hand: bool = False
) -> Decision:
    """Decide for the holder of the job's lock.

    A forced run is one by hand. Where no scheduler has registered the job it promises no further
    start, and after it (`by_hand`) none is due.
    """
    if forced:
        return _start(job, row, now, now)
    if by_hand and row.next_run_at is None and row.queued_at is None:
        return Decision(row)
    if not row.is_enabled:
        return Decision(row, why=f"it is disabled; fix: quotemill schedule enable {row.name}")
    if _was_cut_off(row) and row.attempts < TRIES and _is_worth_a_run(job, row, now):
        why = "its last run was cut off"
        return _start(job, row, row.last_run_at, now, why, attempts=row.attempts + 1)
    if row.queued_at is not None:
        return _start(job, row, row.queued_at, now, "it was queued")
    verdict = _judge(job, row, now)
    row = _pass(job, row, verdict)
    if verdict.start is not None:
        why = f"with {verdict.missed} that were missed" if verdict.missed else ""
        return _start(job, row, verdict.start, now, why)
    again = _retry_time(job, row)
    if again is not None and again <= now:
        why = "its source was away" if row.last_exit_code == AWAY else "it was killed"
        return _start(job, row, row.last_run_at, now, why)
    return Decision(row, None, _why_not(job, verdict), not verdict.missed)


def decide_overlap(job: Job, row: Row, now: datetime) -> Decision:
    """Skip a start that is due while the job runs, or queue it until the run ends."""
    verdict = _judge(job, row, now)
    if verdict.start is None or not row.is_enabled:
        return Decision(row, why="it runs already")
    row = _pass(job, row, verdict)
    if job.on_overlap == "skip":
        return Decision(row, why="skipped: it still runs", is_idle=False)
    row = replace(row, queued_at=verdict.start)
    return Decision(row, why="queued: it still runs", is_idle=False)


def end_run(job: Job, row: Row, exit_code: int, now: datetime) -> Row:
    """The row after a run. A start that came due meanwhile is skipped or queued."""
    if row.next_run_at is not None:  # of a run by hand: a start is due only where one is promised
        row = decide_overlap(job, row, now).row
    row = replace(row, last_finished_at=now, last_exit_code=exit_code)
    return replace(row, next_run_at=_earlier(row.next_run_at, _retry_time(job, row)))


def enable(row: Row, now: datetime) -> Row:
    """The row of a job that is turned on, or whose starts a clock ahead has recorded.

    Its starts count from now on; the next check of a scheduler promises one.
    """
    through = row.due_through
    if not row.is_enabled or (through and through > now + TOLERANCE):
        return replace(row, is_enabled=True, due_through=now, next_run_at=None)
    return row


def disable(row: Row) -> Row:
    """The row of a job that is turned off: a run that is cut off is not started again."""
    return replace(row, is_enabled=False, queued_at=None, next_run_at=None, attempts=TRIES)


def is_registered(row: Row, job: Job) -> bool:
    """Whether a scheduler knows the job by its present rule: its next start is on record."""
    if row.timing != job.rule:
        return False
    return row.next_run_at is not None or not row.is_enabled or job.timing is None


def register(job: Job, row: Row, now: datetime, *, promises: bool) -> Row:
    """The row with the job's present rule; a scheduler `promises` its next start."""
    since = now - LOOK_BACK
    through = max(row.due_through or since, since)
    return replace(
        row,
        source=job.source,
        kind=job.kind,
        timing=job.rule,
        due_through=through,
        queued_at=row.queued_at if row.timing == job.rule else None,
        next_run_at=_next_start(job, through) if promises and row.is_enabled else None,
    )


def find_due_start(timing: Timing, through: datetime, now: datetime, *, catch_up: bool) -> Verdict:
    """Find the start that is due of a job whose starts up to `through` were handled."""
    starts = list(timing.starts(through, now))
    if not starts:
        return Verdict(through)
    newest = starts[-1]
    if catch_up or now - newest <= GRACE:
        late = [start for start in starts if not catch_up and start < now - GRACE]
        return Verdict(
            newest, start=newest, missed=len(starts) - 1, missed_at=max(late, default=None)
        )
    return Verdict(newest, missed=len(starts), missed_at=newest)


def _judge(job: Job, row: Row, now: datetime) -> Verdict:
    """Find the due start of the job's rule; nothing where it is off."""
    through = row.due_through or now
    if job.timing is None:
        return Verdict(max(through, now))
    return find_due_start(job.timing, through, now, catch_up=job.catch_up)


def _pass(job: Job, row: Row, verdict: Verdict) -> Row:
    """The row once the starts of a verdict are handled."""
    missed_at = verdict.missed_at or row.missed_at
    row = replace(row, due_through=verdict.through, missed_at=missed_at)
    coming = _earlier(_next_start(job, verdict.through), _retry_time(job, row))
    return replace(row, next_run_at=coming)


def _start(
    job: Job,
    row: Row,
    start: datetime | None,
    now: datetime,
    why: str = "",
    attempts: int = 1,
) -> Decision:
    is_promised = row.next_run_at is not None and row.due_through is not None
    started = replace(
        row,
        last_run_at=now,
        last_finished_at=None,
        last_exit_code=None,
        last_host=socket.gethostname(),
        attempts=attempts,
        queued_at=None,
        next_run_at=_next_start(job, row.due_through) if is_promised else None,
    )
    return Decision(started, start, why=why)


def _why_not(job: Job, verdict: Verdict) -> str:
    if verdict.missed:
        return f"{verdict.missed} starts were missed, and it does not catch up"
    if job.timing is None:
        return f"its rule is off; fix: set schedule.{job.name}.when"
    coming = _next_start(job, verdict.through)
    return f"not due before {format_time(coming, job.zone)}" if coming else "never due"


def _next_start(job: Job, after: datetime | None) -> datetime | None:
    """The first start after the handled ones."""
    return job.timing.next_after(after) if job.timing and after else None


def _retry_time(job: Job, row: Row) -> datetime | None:
    """When a run is made again because its source was away, or it was killed.

    None of a job that promises none. A start that was handled after the run, or the job being
    turned on since, ends that.
    """
    ended, through = row.last_finished_at, row.due_through
    is_repeated = row.last_exit_code in (AWAY, *KILLED)
    if not job.retry or row.next_run_at is None or not is_repeated or ended is None:
        return None
    if through is not None and through > ended:
        return None
    return ended + timedelta(minutes=job.retry)


def _earlier(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def _was_cut_off(row: Row) -> bool:
    """Whether a run on this machine ended unrecorded. The caller holds the job's lock."""
    return row.is_started and row.last_host == socket.gethostname()


def _is_worth_a_run(job: Job, row: Row, now: datetime) -> bool:
    """Whether a run that was cut off is worth repeating: without catch-up only while on time."""
    return job.catch_up or (row.last_run_at is not None and now - row.last_run_at <= GRACE)
