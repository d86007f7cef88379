"""What callers write, as the readers take it: codes, days, times."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TypeAlias

from quotemill.errors import UsageError

Codes: TypeAlias = str | Iterable[str] | None
Columns: TypeAlias = Sequence[str] | None
Day: TypeAlias = date | str | None


def read_names(codes: Codes) -> list[str] | None:
    """Codes as a list; None: all. Raises UsageError."""
    if codes is None:
        return None
    names = [codes] if isinstance(codes, str) else list(codes)
    if not names:
        raise UsageError("no codes are given", hint="None reads the whole market")
    return names


def read_time(time: datetime | str | None) -> datetime | None:
    """A time. Raises UsageError."""
    if time is None or isinstance(time, datetime):
        return time
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        hint = "write 2024-06-03T16:00:00+08:00"
        raise UsageError(f"{time} is no time", hint=hint) from None


def read_day(day: Day) -> date | None:
    """A day. Raises UsageError."""
    if isinstance(day, datetime):
        return day.date()
    if day is None or isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"{day} is no day", hint="write 2024-06-03") from None
