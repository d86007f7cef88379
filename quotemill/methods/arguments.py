"""What callers write, as the readers take it: codes, columns, days and times."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

from quotemill.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

Codes: TypeAlias = str | Iterable[str] | None
Columns: TypeAlias = str | Iterable[str] | None
# a datetime is a date, and pandas.Timestamp is a datetime; a number is one like 20240603
Moment: TypeAlias = "date | str | int | np.datetime64 | None"
CHINA, NEW_YORK = "Asia/Shanghai", "America/New_York"
_MIDNIGHT = re.compile(r".+00:00:00(\.0+)?")  # as pandas and numpy write a day of theirs


def read_names(codes: Codes) -> list[str] | None:
    """Codes as a list; None: all. Raises UsageError."""
    if codes is None:
        return None
    names = _list_texts(codes, "code", "600000")
    if not names:
        raise UsageError("codes is empty", hint="Pass None to read the whole market.")
    return names


def read_columns(columns: Columns) -> Sequence[str]:
    """Names of columns; none: all. Raises UsageError."""
    return [] if columns is None else _list_texts(columns, "column", "close")


def read_word(given: Any, what: str, example: str) -> str:
    """One text. Raises UsageError."""
    if isinstance(given, str):
        return given
    raise UsageError(
        f"{what} must be text, not {given!r}", hint=f'Write it as text, such as "{example}".'
    )


def read_count(count: int | None) -> int | None:
    """A number of rows. Raises UsageError."""
    return None if count is None else read_number(count, "count", "pass count=1 for the last row")


def read_number(given: int, what: str, hint: str) -> int:
    """A whole number. Raises UsageError."""
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise UsageError(f"{what} must be a whole number, not {given!r}", hint=hint)
    return int(given)


def read_moment(given: Moment, zone: str = CHINA) -> date | datetime | None:
    """A whole day as a date, or a time of the exchange's zone. Raises UsageError.

    A time with a zone is that instant, also at midnight. One without is of the exchange: pandas
    and numpy have no days, so that their midnight is a whole day, as is that of a datetime.
    """
    if given is None:
        return None
    try:
        is_text = isinstance(given, str | Integral) and not isinstance(given, bool)
        moment = _read_text(str(given)) if is_text else _read_object(given)
        if not isinstance(moment, datetime):
            return moment
        if moment.tzinfo is None:
            is_whole = not is_text or _MIDNIGHT.fullmatch(str(given).strip())
            if is_whole and moment.time() == time.min:
                return moment.date()
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return moment.astimezone(ZoneInfo(zone))
    except (AttributeError, TypeError, ValueError, OverflowError):
        hint = "Write 2024-06-03 or 2024-06-03 09:31."
        raise UsageError(f"not a day or a time: {given}", hint=hint) from None


def read_day(given: Moment, zone: str = CHINA) -> date | None:
    """A day. Raises UsageError, for a time too."""
    moment = read_moment(given, zone)
    if isinstance(moment, datetime):
        hint = f'Write "{moment:%Y-%m-%d}".'
        raise UsageError(f"not a day, but a time: {given}", hint=hint)
    return moment


def read_time(given: datetime | str | None) -> datetime | None:
    """A time as it is written. Raises UsageError."""
    if given is None or isinstance(given, datetime):
        return given
    try:
        return datetime.fromisoformat(given)
    except (TypeError, ValueError):
        hint = "Write 2024-06-03T16:00:00+08:00."
        raise UsageError(f"not a time: {given}", hint=hint) from None


def _list_texts(given: Iterable[str], what: str, example: str) -> list[str]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        given = [given]
    # texts of Arrow are none of Python
    texts = given.to_pylist() if hasattr(given, "to_pylist") else given
    return [read_word(text, what, example) for text in texts]


def _read_text(text: str) -> date:
    text = text.strip().replace("/", "-")
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def _read_object(given: Any) -> date:
    if not isinstance(given, date):
        if given.dtype.kind != "M":
            raise ValueError(given)
        given = given.astype("datetime64[us]").item()  # of nanoseconds it would be a number
    if isinstance(given, datetime):
        return datetime.combine(given.date(), given.timetz())  # not pandas's own kind
    return date.fromisoformat(given.isoformat())
