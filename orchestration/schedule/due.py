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
    them, else they are let go, the newest of them at `missed_at`. What is due counts from `through` on from now."""

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
        missed_at = None if catch_up else max(ripe[:-1], default=None)
        return Verdict(newest, newest, None, len(ripe) - 1, missed_at)
    return Verdict(newest, missed=len(ripe), missed_at=newest)


def dealt_with(
    through: datetime, missed_at: datetime | None, last_run_at: datetime | None, now: datetime
) -> datetime:
    """Up to when starts were dealt with: `through`, but where a clock that was wrong let some go that lie ahead of
    now. Those have yet to come, from the last run on: what lies before it may have been made."""
    if missed_at is None or missed_at <= now:
        return through
    return min(through, max(now, last_run_at or now))


def begin(name: str, start: datetime, jitter: int) -> datetime:
    """A start with its jitter: up to so many seconds later, the same whenever it is asked."""
    if not jitter:
        return start
    digest = hashlib.sha256(f"{name} {start.timestamp()}".encode()).digest()
    return start + timedelta(seconds=int.from_bytes(digest[:4]) % (jitter + 1))
