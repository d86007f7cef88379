"""Sessions of NYSE, and a clock that is moved by hand.

Days are dates of New York, times carry that zone.
"""

from bisect import bisect_left, bisect_right
from datetime import date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo

ET = ZoneInfo("America/New_York")
FIRST_DAY = date(2024, 12, 2)  # prices start here
LAST_DAY = date(2030, 12, 31)  # options expire at most here
OPENS = time(9, 30)
PUBLISHED = time(6, 30)  # open interest of the session before


@cache
def _closes() -> tuple[tuple[date, ...], dict[date, datetime]]:
    import pandas_market_calendars as calendars

    table = calendars.get_calendar("NYSE").schedule(FIRST_DAY, LAST_DAY)
    closes = {
        stamp.date(): close.to_pydatetime().astimezone(ET)
        for stamp, close in table["market_close"].items()
    }
    return tuple(closes), closes


def load_calendar() -> None:
    """Load the calendar, which takes seconds, before a client waits for an answer."""
    _closes()


def is_session(day: date) -> bool:
    return day in _closes()[1]


def session_open(day: date) -> datetime:
    return datetime.combine(day, OPENS, ET)


def session_close(day: date) -> datetime:
    """13:00 on an early close, else 16:00. Raises KeyError on a day without a session."""
    return _closes()[1][day]


def session_number(day: date) -> int:
    """Number of sessions before that day."""
    return bisect_left(_closes()[0], day)


def session_at(number: int) -> date:
    return _closes()[0][number]


def session_before(day: date) -> date:
    return session_at(session_number(day) - 1)


def session_until(day: date) -> date:
    """The newest session not later than that day."""
    return session_at(bisect_right(_closes()[0], day) - 1)


class VirtualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self.set(start)

    def set(self, now: datetime) -> None:
        """Move the clock; a time without a zone is one of New York."""
        self._now = (now if now.tzinfo else now.replace(tzinfo=ET)).astimezone(ET)

    def now(self) -> datetime:
        return self._now
