"""Sessions of the New York exchanges and their slots: every 30 minutes, the close included.

A setting adds one a quarter of an hour before the close; its number comes after the others'.

Computed in New York's time, given in UTC. NYSE's calendar is the one that knows every early close;
that of the options exchanges misses 24 December.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from loaders.trading_time import parse_day
from quotemill.errors import NotDue, UsageError

NEW_YORK = ZoneInfo("America/New_York")
EVERY = timedelta(minutes=30)
GRACE = timedelta(seconds=120)  # in which a capture may begin: a later one is late
BEFORE_CLOSE = timedelta(minutes=15)
OPEN, CLOSE = time(9, 30), time(16, 0)
SLOT_NAME = "%Y-%m-%dT%H:%MZ"
SEARCH_DAYS = 10  # in which there is always a session
KNOWN_YEARS = range(1900, 2200)  # of others the calendar has no times
STAND_IN_SESSIONS = 5  # for which a set of contracts may stand in for a newer one


@dataclass(frozen=True)
class Slot:
    """A sampling time of a session. `index` counts from 0 at the open."""

    trade_date: date
    index: int
    at: datetime

    @property
    def label(self) -> str:
        """HH:MM in New York."""
        return f"{self.at.astimezone(NEW_YORK):%H:%M}"

    @property
    def name(self) -> str:
        """The name in cursors and keys: 2026-11-19T15:00Z."""
        return self.at.strftime(SLOT_NAME)


@dataclass(frozen=True)
class Session:
    """A trading day. `is_guess`: without a calendar every weekday counts, from 9:30 to 16:00."""

    trade_date: date
    open_at: datetime
    close_at: datetime
    is_guess: bool = False

    @property
    def is_early_close(self) -> bool:
        return self.close_at.astimezone(NEW_YORK).time() < CLOSE

    @property
    def slots(self) -> tuple[Slot, ...]:
        count = (self.close_at - self.open_at) // EVERY + 1
        return tuple(Slot(self.trade_date, i, self.open_at + i * EVERY) for i in range(count))

    @property
    def slot_before_close(self) -> Slot:
        """The slot that a setting adds: 15:45, or 12:45 on an early close."""
        return Slot(self.trade_date, len(self.slots), self.close_at - BEFORE_CLOSE)


def parse_slot(name: str) -> Slot:
    """The slot that a cursor names. Raises ValueError for an unknown one."""
    if (slot := find_slot(name)) is None:
        raise ValueError(f"not a valid slot: {name}")
    return slot


def find_slot(name: str) -> Slot | None:
    """As `parse_slot`; None where the calendar has no such slot, or no longer."""
    at = datetime.strptime(name, SLOT_NAME).replace(tzinfo=UTC)
    session = session_on(date_in_new_york(at))
    slots = (*session.slots, session.slot_before_close) if session else ()
    return next((slot for slot in slots if slot.at == at), None)


def make_key(symbol: str, point: Slot | Session) -> str:
    """A symbol at a slot or at a session's close: `BRK B 2026-11-19T15:00Z`, `AAPL 2026-11-19`."""
    return f"{symbol} {point.name if isinstance(point, Slot) else point.trade_date}"


def parse_symbol(key: str) -> str:
    return key.rpartition(" ")[0]


def parse_point(key: str) -> str:
    """The slot's name, or the day, of a key."""
    return key.rpartition(" ")[2]


def at_new_york(day: date, clock: time) -> datetime:
    """A wall clock in New York as UTC."""
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def date_in_new_york(at: datetime) -> date:
    return at.astimezone(NEW_YORK).date()


def session_on(day: date) -> Session | None:
    return _year(day.year).get(day)


def require_session(day: date) -> Session:
    """The session of a day that is known to have one."""
    session = session_on(day)
    assert session is not None, f"{day} has no session"
    return session


def sessions_between(first: date, last: date) -> list[Session]:
    """The sessions from one day to another, both included."""
    years = range(first.year, last.year + 1)
    return [s for year in years for day, s in _year(year).items() if first <= day <= last]


def session_before(day: date) -> Session:
    """The newest session before a day."""
    return sessions_between(day - timedelta(days=SEARCH_DAYS), day - timedelta(days=1))[-1]


def session_after(day: date) -> Session:
    """The next session after a day."""
    return sessions_between(day + timedelta(days=1), day + timedelta(days=SEARCH_DAYS))[0]


def parse_session_day(text: str, today: date) -> date:
    """A session as people type it: its day, `today`, or `yesterday` for the one before today's.

    Raises NotDue where today has none: a timer need not know the holidays. Raises UsageError.
    """
    day = session_before(today).trade_date if text == "yesterday" else parse_day(text, today)
    if day.year not in KNOWN_YEARS:
        raise UsageError(f"--date {day}: no sessions are available for that year")
    if session_on(day) is None:
        closed = f"{day} is not a trading day of New York's exchanges"
        if text == "today":
            raise NotDue(f"{closed}, the next one is {session_after(day).trade_date}")
        raise UsageError(
            f"--date {closed}",
            hint=f"Use --date {session_before(day).trade_date}, the previous trading day.",
        )
    return day


def oldest_set(day: date) -> date:
    """The oldest session whose contracts may stand in for those of a day."""
    for _ in range(STAND_IN_SESSIONS):
        day = session_before(day).trade_date
    return day


def within(slots: Sequence[Slot], slot_range: tuple[time, time] | None) -> list[Slot]:
    """The slots within `slot_range` (New York, both ends included); all without a range."""
    if slot_range is None:
        return list(slots)
    first, last = slot_range
    return [slot for slot in slots if first <= slot.at.astimezone(NEW_YORK).time() <= last]


def latest_slot(slots: Sequence[Slot], at: datetime) -> Slot | None:
    """The newest slot that is not later than a time."""
    return next((slot for slot in reversed(slots) if slot.at <= at), None)


def calendar_version() -> str:
    """Name and version of the calendar that the sessions come from."""
    from importlib.metadata import version

    try:
        return f"NYSE {version('pandas-market-calendars')}"
    except ImportError:
        return "weekdays"


@cache
def _year(year: int) -> dict[date, Session]:
    first, last = date(year, 1, 1), date(year, 12, 31)
    try:
        import pandas_market_calendars as calendars
    except ImportError:
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return {
            day: Session(day, at_new_york(day, OPEN), at_new_york(day, CLOSE), is_guess=True)
            for day in days
            if day.weekday() < 5
        }
    schedule = calendars.get_calendar("NYSE").schedule(first, last)
    return {
        day.date(): Session(
            day.date(),
            opened.to_pydatetime().astimezone(UTC),
            closed.to_pydatetime().astimezone(UTC),
        )
        for day, opened, closed in zip(
            schedule.index, schedule["market_open"], schedule["market_close"], strict=True
        )
    }
