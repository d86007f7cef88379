"""What callers write, as the readers take it: codes, columns, days and times."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

from quotemill.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

Codes: TypeAlias = str | Iterable[str] | None
Columns: TypeAlias = str | Sequence[str] | None
# a datetime is a date, and pandas.Timestamp is a datetime; a number is one like 20240603
Moment: TypeAlias = "date | str | int | np.datetime64 | None"
CHINA, NEW_YORK = "Asia/Shanghai", "America/New_York"


def read_names(codes: Codes) -> list[str] | None:
    """Codes as a list; None: all. Raises UsageError."""
    if codes is None:
        return None
    names = [codes] if isinstance(codes, str) else list(codes)
    if not names:
        raise UsageError("no codes are given", hint="None reads the whole market")
    return names


def read_columns(columns: Columns) -> Sequence[str]:
    """Names of columns; none: all."""
    return (columns,) if isinstance(columns, str) else columns or ()


def read_moment(given: Moment, zone: str = CHINA) -> date | datetime | None:
    """A whole day as a date, or a time of the exchange's zone. Raises UsageError.

    A time without a zone is one of the exchange. pandas and numpy have no days: their midnight is
    a whole day, as is that of a datetime.
    """
    if given is None:
        return None
    try:
        is_text = isinstance(given, str | int)
        moment = _read_text(str(given)) if is_text else _read_object(given)
        if not isinstance(moment, datetime):
            return moment
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        moment = moment.astimezone(ZoneInfo(zone))
    except (AttributeError, TypeError, ValueError, OverflowError):
        hint = "write 2024-06-03 or 2024-06-03 09:31"
        raise UsageError(f"{given} is no day and no time", hint=hint) from None
    is_day = moment.time() == time.min and not is_text
    return moment.date() if is_day else moment


def read_day(given: Moment, zone: str = CHINA) -> date | None:
    """A day. Raises UsageError, for a time too."""
    moment = read_moment(given, zone)
    if isinstance(moment, datetime):
        raise UsageError(f"{given} has a time, where a day is asked for", hint="write 2024-06-03")
    return moment


def read_time(given: datetime | str | None) -> datetime | None:
    """A time as it is written. Raises UsageError."""
    if given is None or isinstance(given, datetime):
        return given
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        hint = "write 2024-06-03T16:00:00+08:00"
        raise UsageError(f"{given} is no time", hint=hint) from None


def _read_text(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _read_object(given: Any) -> date:
    if not isinstance(given, date):
        given = given.astype("datetime64[us]").item()  # of nanoseconds it would be a number
    if isinstance(given, datetime):
        return datetime.combine(given.date(), given.timetz())  # not pandas's own kind
    if not isinstance(given, date):
        raise ValueError(given)
    return given
