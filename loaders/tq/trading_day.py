"""Clock → trading day.

A night session belongs to the next trading day, Friday's to Monday, and none is held before a
public holiday.

Calendars are trading days, ascending. Exchange time is Asia/Shanghai.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError

EVENING = time(18, 0)  # from here on a clock belongs to the next day
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trading_day_of(at: datetime, calendar: Sequence[date]) -> date | None:
    """The trading day that a time belongs to; None after the last day of the calendar.

    The evening of a day counts for the next day. Where that is no trading day (a weekend, the
    nights after midnight of Friday's session, a holiday), it counts for the next one.
    """
    clock = at.astimezone(SHANGHAI)
    day = clock.date() + timedelta(days=clock.time() >= EVENING)
    position = bisect_left(calendar, day)
    return calendar[position] if position < len(calendar) else None


def night_of(at: datetime, calendar: Sequence[date]) -> date:
    """The trading day of a load's time; its Shanghai date after the last known one."""
    return trading_day_of(at, calendar) or at.astimezone(SHANGHAI).date()


def bounds(day: date, calendar: Sequence[date]) -> tuple[datetime, datetime]:
    """Start (included) and end (excluded) of a trading day, UTC.

    Raises DataQualityError for a day that the calendar lacks, and for its first, before which
    nothing is known.
    """
    position = bisect_left(calendar, day)
    if not position or calendar[position : position + 1] != [day]:
        raise DataQualityError(f"{day} has no previous trading day in the calendar")
    return _evening(calendar[position - 1]), _evening(day)


def _evening(day: date) -> datetime:
    return datetime.combine(day, EVENING, SHANGHAI).astimezone(UTC)


@dataclass(frozen=True)
class Session:
    """`start_s` and `end_s` count from 00:00 of the calendar day on which it starts.

    `idx` from 0.
    """

    session: str  # day, night
    idx: int
    start_s: int
    end_s: int


def has_night(day: date, calendar: Sequence[date]) -> bool:
    """Whether a trading day has a night session: only weekends lie before it."""
    position = bisect_left(calendar, day)
    if not position:
        return False
    eve = calendar[position - 1]
    between = ((eve + timedelta(days=n)).weekday() for n in range(1, (day - eve).days))
    return all(weekday >= 5 for weekday in between)


def spans(
    day: date, sessions: Sequence[Session], calendar: Sequence[date]
) -> list[tuple[datetime, datetime]]:
    """Start and end (UTC) of each session of a trading day, the night first."""
    ordered = sorted(sessions, key=lambda s: (s.session != "night", s.idx))
    position = bisect_left(calendar, day)
    result = []
    for session in ordered:
        if session.session == "night":
            if not has_night(day, calendar):
                continue
            midnight = datetime.combine(calendar[position - 1], time(), SHANGHAI)
        else:
            midnight = datetime.combine(day, time(), SHANGHAI)
        start, end = (midnight + timedelta(seconds=s) for s in (session.start_s, session.end_s))
        result.append((start.astimezone(UTC), end.astimezone(UTC)))
    return result


def close_of(day: date, sessions: Sequence[Session]) -> datetime:
    """The end (UTC) of a day's last session; 15:00 where no session is known."""
    ends = [s.end_s for s in sessions if s.session == "day"]
    midnight = datetime.combine(day, time(), SHANGHAI)
    return (midnight + timedelta(seconds=max(ends, default=15 * 3600))).astimezone(UTC)


def sessions_on(day: date, versions: Mapping[date, Sequence[Session]]) -> Sequence[Session]:
    """The sessions on a day, from versions by the day from which they hold.

    The source gives today's hours only, so the oldest version stands for all time before it.
    """
    dates = sorted(versions)
    position = max(bisect_right(dates, day) - 1, 0)
    return versions[dates[position]] if dates else ()


def to_time(nanoseconds: int) -> datetime:
    """Nanoseconds since 1970 as UTC, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def nanoseconds(at: datetime) -> int:
    """A time as nanoseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
