"""Which start of a job is due now and which are skipped. Pure: history in, time in, verdict out."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.schedule.timing import Timing

# a start that is not caught up may be this late
GRACE = timedelta(minutes=2)
# starts of a new job, or of a changed rule, count from this long ago: a timer that fires at the
# minute of the first start finds it
LOOK_BACK = timedelta(minutes=10)
# starts handled further ahead than this came from a wrong clock; the present one is believed
WRONG_CLOCK = timedelta(days=1)


@dataclass(frozen=True)
class Verdict:
    """What of a job is due. Times are UTC.

    through:   starts up to here are handled from now on
    start:     the start that is due, by the rule; None where none is
    begins_at: when a start that has come begins, after its jitter
    missed:    starts before the due one; one catching-up run stands for them, else they are skipped
    missed_at: the newest of the skipped ones
    """

    through: datetime
    start: datetime | None = None
    begins_at: datetime | None = None
    missed: int = 0
    missed_at: datetime | None = None


def find_due_start(
    name: str, timing: Timing, through: datetime, now: datetime, *, jitter: int, catch_up: bool
) -> Verdict:
    """Find the start that is due of a job whose starts up to `through` were handled.

    A clock that goes back starts nothing twice: what lies before `through` is done.
    """
    if through > now + WRONG_CLOCK:
        through = now
    starts = list(timing.starts(through, now))
    ripe = [start for start in starts if delay_start(name, start, jitter) <= now]
    if not ripe:
        begins_at = delay_start(name, starts[0], jitter) if starts else None
        return Verdict(through, begins_at=begins_at)
    newest = ripe[-1]
    if catch_up or now - delay_start(name, newest, jitter) <= GRACE:
        late = [s for s in ripe if not catch_up and delay_start(name, s, jitter) < now - GRACE]
        return Verdict(
            newest, start=newest, missed=len(ripe) - 1, missed_at=max(late, default=None)
        )
    return Verdict(newest, missed=len(ripe), missed_at=newest)


def was_clock_ahead(name: str, missed_at: datetime | None, now: datetime, *, jitter: int) -> bool:
    """Whether a clock that was ahead skipped a start that by a right clock is not late yet."""
    return missed_at is not None and delay_start(name, missed_at, jitter) >= now - GRACE


def handled_through(
    name: str,
    through: datetime,
    missed_at: datetime | None,
    last_run_at: datetime | None,
    now: datetime,
    *,
    jitter: int,
) -> datetime:
    """Up to when starts were handled: `through`, unless a clock that was ahead skipped some.

    Those have yet to come, from the last run on: earlier ones may have been made.
    """
    if not was_clock_ahead(name, missed_at, now, jitter=jitter):
        return through
    first = now - GRACE - timedelta(seconds=jitter)
    return min(through, max(first, last_run_at or first))


def delay_start(name: str, start: datetime, jitter: int) -> datetime:
    """A start plus its jitter: up to `jitter` seconds, always the same for one start."""
    if not jitter:
        return start
    digest = hashlib.sha256(f"{name} {start.timestamp()}".encode()).digest()
    return start + timedelta(seconds=int.from_bytes(digest[:4]) % (jitter + 1))
