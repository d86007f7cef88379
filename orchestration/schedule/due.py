"""The decision of a check: whether a job starts, and its next start then. The only such place.

A job, its record and a time in, a decision out. What lies before the next start on record was
decided, so a clock that goes back starts nothing twice.
"""

import signal
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from loaders.trading_time import format_time
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.timing import Timing
from quotemill.errors import UpstreamError

# a start that is not caught up may be this late
GRACE = timedelta(minutes=2)
# starts of a new job, or of a changed rule, count from this long ago: a timer that fires at the
# minute of the first start finds it
LOOK_BACK = timedelta(minutes=10)
# a clock may be this far behind the runs on record: the clocks of two machines differ
TOLERANCE = timedelta(minutes=10)
AWAY = UpstreamError.exit_code
# exit codes of a run that the kernel, or its own fault, ended
_FATAL = ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS")  # Windows lacks some
KILLED = tuple(128 + getattr(signal, name) for name in _FATAL if hasattr(signal, name))


@dataclass(frozen=True)
class Decision:
    """The result of a check. Times are UTC.

    why:         for people
    start:       the start to make; None where none is
    next_run_at: on record from now on
    missed_at:   the newest start that was not made, on record from now on
    is_idle:     nothing at all happened
    """

    why: str
    start: datetime | None = None
    next_run_at: datetime | None = None
    missed_at: datetime | None = None
    is_idle: bool = True


def may_be_due(row: Row | None, job: Job, now: datetime) -> bool:
    """Whether a job may have something to start. Reads no calendar; `decide_start` does."""
    if row is None or not is_registered(row, job):
        return True
    if row.next_run_at is None or not row.is_enabled:
        return False
    return row.next_run_at <= now or row.is_ahead or _is_cut_off(job, row, now)


def decide_start(job: Job, row: Row, now: datetime) -> Decision:
    """Decide for a registered job.

    A start that came while the job ran is left out (`skip`), or stays due until the run has ended
    (`queue`): from then on it may be as late as any other.
    """
    same = Decision("", None, row.next_run_at, row.missed_at)
    if not row.is_enabled:
        return replace(same, why=f"it is disabled; fix: quotemill schedule enable {row.name}")
    if job.timing is None:
        return replace(same, why=f"its rule is off; fix: set schedule.{job.name}.when")
    following = job.timing.next_after(now)
    if row.next_run_at is None:
        return replace(same, why="never due")
    if row.next_run_at > now:
        if _is_cut_off(job, row, now):
            return Decision(
                "its last run was interrupted", row.last_run_at, following, row.missed_at
            )
        coming = _earlier(row.next_run_at, following) if row.is_ahead else row.next_run_at
        why = f"not due before {format_time(coming, job.zone)}"
        return replace(same, why=why, next_run_at=coming)
    *earlier, start = row.next_run_at, *job.timing.starts(row.next_run_at, now)
    came_while_it_ran = _ran_at(row, start)
    if came_while_it_ran and job.on_overlap == "skip":
        following = _earlier(following, find_retry(job, row.last_exit_code, row.last_finished_at))
        why = f"skipped: it {'is' if row.is_running else 'was'} still running"
        return Decision(why, None, following, row.missed_at, is_idle=False)
    if row.is_running:
        return replace(same, why="queued: it is still running")
    late = [] if job.catch_up else [at for at in earlier if now - at > GRACE]
    possible = start
    if came_while_it_ran and row.last_finished_at is not None:
        late, possible = [], row.last_finished_at
    if not job.catch_up and now - possible > GRACE:
        why = f"{len(earlier) + 1} starts were missed, and it does not catch up"
        return Decision(why, None, following, start, is_idle=False)
    why = f"makes up for {len(earlier)} missed starts" if earlier else _why_again(job.timing, row)
    return Decision(why, start, following, max(late, default=row.missed_at))


def find_retry(job: Job, exit_code: int | None, ended: datetime | None) -> datetime | None:
    """When a run is made again because its source was away, or it was killed."""
    if not job.retry or ended is None or exit_code not in (AWAY, *KILLED):
        return None
    return ended + timedelta(minutes=job.retry)


def is_registered(row: Row, job: Job) -> bool:
    """Whether a scheduler knows the job by its present rule: its next start is on record."""
    if row.timing != job.rule:
        return False
    return row.next_run_at is not None or not row.is_enabled or job.timing is None


def find_first(job: Job, row: Row, now: datetime) -> datetime | None:
    """The first start of a job that is new, was turned on, or has another rule.

    What came while it was off is not made up for.
    """
    since = now - (GRACE if row.timing == job.rule else LOOK_BACK)
    since = max(since, row.last_run_at or since)
    return job.timing.next_after(since) if job.timing and row.is_enabled else None


def _ran_at(row: Row, start: datetime) -> bool:
    """Whether the job runs, or ran when a start came."""
    if row.last_run_at is None or row.is_running or row.last_finished_at is None:
        return row.is_running
    return row.last_run_at <= start <= row.last_finished_at


def _is_cut_off(job: Job, row: Row, now: datetime) -> bool:
    """Whether a run was cut off and is repeated: once, if late only to catch up."""
    if row.last_run_at is None or row.last_finished_at is not None or row.is_running:
        return False
    is_worth = job.catch_up or now - row.last_run_at <= GRACE
    return is_worth and not row.is_repeat


def _why_again(timing: Timing, row: Row) -> str:
    """Why a run is repeated; empty for a start of the rule."""
    ended, start = row.last_finished_at, row.next_run_at
    if ended is None or start is None or row.last_exit_code not in (AWAY, *KILLED):
        return ""
    if start in timing.starts(start - timedelta(microseconds=1), start):
        return ""
    return "its source was unreachable" if row.last_exit_code == AWAY else "it was killed"


def _earlier(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)
