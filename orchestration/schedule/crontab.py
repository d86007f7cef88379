"""The five fields of a crontab line, and the wall clocks that they name on a day."""

import re
from dataclasses import dataclass
from datetime import date, time

_JANUARY_ON = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = ("", *_JANUARY_ON)
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # as cron counts them; 7 is Sunday too
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
    """`either`: day of the month and weekday are both restricted, and one of them suffices, as cron has it.
    `hourly`: no hour is named, so an hour that comes twice counts twice."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool
    hourly: bool

    def clocks(self, day: date) -> list[time]:
        """The wall clocks of a day, ascending."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        chosen = of_month or of_week if self.either else of_month and of_week
        if day.month not in self.months or not chosen:
            return []
        return [time(hour, minute) for hour in self.hours for minute in self.minutes]


def read(text: str) -> Crontab:
    """Five fields with `*`, numbers, names, ranges, lists and steps. Raises ValueError."""
    fields = text.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{len(fields)} fields instead of {len(_FIELDS)}")
    minutes, hours, days, months, weekdays = (
        _values(field, *of) for field, of in zip(fields, _FIELDS, strict=True)
    )
    return Crontab(
        *(minutes, hours, days, months),
        weekdays=tuple(sorted({weekday % 7 for weekday in weekdays})),
        either=not (fields[2].startswith("*") or fields[4].startswith("*")),
        hourly=fields[1].startswith("*"),
    )


def _values(
    field: str, name: str, least: int, most: int, names: tuple[str, ...]
) -> tuple[int, ...]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{name} {part!r}")
        every, begin, end, step = match.groups()
        if step == "0" or (step and not every and not end):
            raise ValueError(f"{name} {part!r}: a step is of a range, as in */{step or 5}")
        first = least if every else _number(begin, name, least, most, names)
        last = most if every else _number(end or begin, name, least, most, names)
        if names is WEEKDAYS and last == 0 < first:  # sat-sun
            last = 7
        if last < first:
            raise ValueError(f"{name} {part!r} runs backwards")
        found |= set(range(first, last + 1, int(step or 1)))
    return tuple(sorted(found))


def _number(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> int:
    number = names.index(text) if text in names else int(text) if text.isdigit() else -1
    if not least <= number <= most:
        raise ValueError(f"{name} {text!r} is not from {least} to {most}")
    return number
