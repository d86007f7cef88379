"""Which start of a job is to be made now, and which are let go. Pure: what was, and what time it is."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.schedule.timing import Timing

# a start that is not caught up may be this late
PROMPT = timedelta(minutes=2)
# starts of a job that was not known yet, or by another rule, count from this long ago: a timer that fires at
# the minute of the first start finds it
LOOK_BACK = timedelta(minutes=10)
# what was dealt with lies further ahead than this: the clock was wrong then, and is believed now
WRONG_CLOCK = timedelta(days=1)


@dataclass(frozen=True)
class Verdict:
    """`start` is the instant by the rule that is due now, None where none is; `begins_at` when one that has
    come is to begin by its jitter. `missed` starts came too early for that one: a run that catches up stands for
    them, else they are let go, the newest that is late at `missed_at`. What is due counts from `through` on from now."""

    through: datetime
    start: datetime | None = None
    begins_at: datetime | None = None
    missed: int = 0
    missed_at: datetime | None = None


def judge(
    name: str, timing: Timing, through: datetime, now: datetime, *, jitter: int, catch_up: bool
) -> Verdict:
    """What of a job is due, whose starts up to `through` were dealt with.

    A clock that goes back starts nothing twice: what lies before `through` has been.
    """
    if through > now + WRONG_CLOCK:
        through = now
    come = list(timing.starts(through, now))
    ripe = [start for start in come if begin(name, start, jitter) <= now]
    if not ripe:
        return Verdict(through, begins_at=begin(name, come[0], jitter) if come else None)
    newest = ripe[-1]
    if catch_up or now - begin(name, newest, jitter) <= PROMPT:
        late = [] if catch_up else [s for s in ripe if begin(name, s, jitter) < now - PROMPT]
        return Verdict(newest, newest, None, len(ripe) - 1, max(late, default=None))
    return Verdict(newest, missed=len(ripe), missed_at=newest)


def is_ahead(name: str, missed_at: datetime | None, now: datetime, *, jitter: int) -> bool:
    """Did a clock that was wrong let a start go? By one that is right only what is later than PROMPT is."""
    return missed_at is not None and begin(name, missed_at, jitter) >= now - PROMPT


def dealt_with(
    name: str,
    through: datetime,
    missed_at: datetime | None,
    last_run_at: datetime | None,
    now: datetime,
    *,
    jitter: int,
) -> datetime:
    """Up to when starts were dealt with: `through`, but where a clock that was ahead let some go. Those have yet to
    come, from the last run on: what lies before it may have been made."""
    if not is_ahead(name, missed_at, now, jitter=jitter):
        return through
    first = now - PROMPT - timedelta(seconds=jitter)
    return min(through, max(first, last_run_at or first))


def begin(name: str, start: datetime, jitter: int) -> datetime:
    """A start with its jitter: up to so many seconds later, the same whenever it is asked."""
    if not jitter:
        return start
    digest = hashlib.sha256(f"{name} {start.timestamp()}".encode()).digest()
    return start + timedelta(seconds=int.from_bytes(digest[:4]) % (jitter + 1))
