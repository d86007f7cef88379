"""Clock → trading day: a night session belongs to the next trading day, Friday's to Monday, and none is
held before a public holiday.

Calendars are trading days, ascending. Exchange time is Asia/Shanghai.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from loaders.errors import DataQualityError
from loaders.trading_time import SHANGHAI

EVENING = time(18, 0)  # from here on a clock belongs to the next day


def trading_day_of(at: datetime, calendar: Sequence[date]) -> date | None:
    """The trading day that an instant belongs to; None after the last day of the calendar.

    The evening of a day counts for the next day; what then is no trading day (a weekend, the nights
    after midnight of Friday's session, a holiday) counts for the next one that is.
    """
    clock = at.astimezone(SHANGHAI)
    day = clock.date() + timedelta(days=clock.time() >= EVENING)
    position = bisect_left(calendar, day)
    return calendar[position] if position < len(calendar) else None


def night_of(at: datetime, calendar: Sequence[date]) -> date:
    """The trading day that a load at an instant counts for; its date in Shanghai after the calendar's last."""
    return trading_day_of(at, calendar) or at.astimezone(SHANGHAI).date()


def bounds(day: date, calendar: Sequence[date]) -> tuple[datetime, datetime]:
    """The instants, UTC, between which everything belongs to a trading day: start included, end not.

    Raises DataQualityError for a day that the calendar lacks, and for its first, before which nothing
    is known.
    """
    position = bisect_left(calendar, day)
    if not position or calendar[position : position + 1] != [day]:
        raise DataQualityError(f"{day} has no trading day before it in the calendar")
    return _evening(calendar[position - 1]), _evening(day)


def _evening(day: date) -> datetime:
    return datetime.combine(day, EVENING, SHANGHAI).astimezone(UTC)


@dataclass(frozen=True)
class Session:
    """`start_s` and `end_s` count from 00:00 of the calendar day on which it begins; `idx` from 0."""

    session: str  # day, night
    idx: int
    start_s: int
    end_s: int


def has_night(day: date, calendar: Sequence[date]) -> bool:
    """Is a night session held on the evening before a trading day? Only weekends may lie between."""
    position = bisect_left(calendar, day)
    if not position:
        return False
    eve = calendar[position - 1]
    between = ((eve + timedelta(days=n)).weekday() for n in range(1, (day - eve).days))
    return all(weekday >= 5 for weekday in between)


def spans(
    day: date, sessions: Sequence[Session], calendar: Sequence[date]
) -> list[tuple[datetime, datetime]]:
    """Start and end (UTC) of each session of a trading day, in their order; the night first."""
    found = []
    position = bisect_left(calendar, day)
    for session in sorted(sessions, key=lambda s: (s.session != "night", s.idx)):
        if session.session == "night":
            if not has_night(day, calendar):
                continue
            midnight = datetime.combine(calendar[position - 1], time(), SHANGHAI)
        else:
            midnight = datetime.combine(day, time(), SHANGHAI)
        start, end = (midnight + timedelta(seconds=s) for s in (session.start_s, session.end_s))
        found.append((start.astimezone(UTC), end.astimezone(UTC)))
    return found


def close_of(day: date, sessions: Sequence[Session]) -> datetime:
    """The end of the last session of a trading day, UTC; 15:00 where no session is known."""
    ends = [s.end_s for s in sessions if s.session == "day"]
    midnight = datetime.combine(day, time(), SHANGHAI)
    return (midnight + timedelta(seconds=max(ends, default=15 * 3600))).astimezone(UTC)


def sessions_on(day: date, versions: Mapping[date, Sequence[Session]]) -> Sequence[Session]:
    """The sessions of a variety on a day, of versions by the day from which they hold.

    The source tells today's hours only, so the oldest version stands for all time before it.
    """
    dates = sorted(versions)
    position = max(bisect_right(dates, day) - 1, 0)
    return versions[dates[position]] if dates else ()
