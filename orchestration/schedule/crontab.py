"""Parse the five fields of a crontab line; list its wall-clock times on a day."""

import re
from dataclasses import dataclass
from datetime import date, time

_JANUARY_ON = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = ("", *_JANUARY_ON)
# as cron counts them; 7 is Sunday too
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 7, WEEKDAYS),
)
_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")


@dataclass(frozen=True)
class Crontab:
    """The values of each field, ascending; weekdays from Sunday = 0.

    `either`: day of month and weekday are both restricted, and as in cron one match suffices.
    `hourly`: no hour is named, so the hour that repeats in autumn counts twice.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool
    hourly: bool

    def times_on(self, day: date) -> list[time]:
        """The wall-clock times on a day, ascending."""
        matches = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        is_match = any(matches) if self.either else all(matches)
        if day.month not in self.months or not is_match:
            return []
        return [time(hour, minute) for hour in self.hours for minute in self.minutes]


def parse_crontab(text: str) -> Crontab:
    """Parse five fields with `*`, numbers, names, ranges, lists and steps. Raises ValueError.

    APScheduler's parser is no substitute: it counts weekdays from Monday and wants both day fields.
    """
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{len(fields)} fields instead of {len(_FIELDS)}")
    minutes, hours, days, months, weekdays = (
        _parse_field(text, *field) for text, field in zip(fields, _FIELDS, strict=True)
    )
    return Crontab(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=tuple(sorted({weekday % 7 for weekday in weekdays})),
        either=not (fields[2].startswith("*") or fields[4].startswith("*")),
        hourly=fields[1].startswith("*"),
    )


def _parse_field(
    text: str, name: str, least: int, most: int, names: tuple[str, ...]
) -> tuple[int, ...]:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{name} {part!r}")
        every, start, end, step = match.groups()
        if step == "0" or (step and not every and not end):
            raise ValueError(f"{name} {part!r}: a step needs a range, as in */{step or 5}")
        first = least if every else _parse_number(start, name, least, most, names)
        last = most if every else _parse_number(end or start, name, least, most, names)
        if names is WEEKDAYS and last == 0 < first:  # sat-sun
            last = 7
        if last < first:
            raise ValueError(f"{name} {part!r} runs backwards")
        values |= set(range(first, last + 1, int(step or 1)))
    return tuple(sorted(values))


def _parse_number(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> int:
    number = names.index(text) if text in names else int(text) if text.isdigit() else -1
    if not least <= number <= most:
        raise ValueError(f"{name} {text!r} must be from {least} to {most}")
    return number
