"""Parse the five fields of a crontab line; list its wall-clock times on a day."""

import re
from dataclasses import dataclass
from datetime import date, time

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# croniter knows more, such as L and random values
_FIELD = re.compile(rf"(?:[\d*,/-]|{'|'.join(WEEKDAYS + _MONTHS)})+")
_VALUES = (range(60), range(24), range(1, 32), range(1, 13), range(7))


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

    Of croniter only the fields: its times repeat where the clock goes back.
    """
    from croniter import croniter  # slow to import

    fields = text.lower().split()
    if len(fields) != len(_VALUES):
        raise ValueError(f"{len(fields)} fields instead of {len(_VALUES)}")
    for field in fields:
        ranges = re.findall(r"(\w+)-(\w+)", field)
        if not _FIELD.fullmatch(field) or any(_number(a) >= _number(b, 7) for a, b in ranges):
            raise ValueError(f"{field!r} is not a crontab field")
    expanded, _ = croniter.expand(" ".join(fields))
    minutes, hours, days, months, weekdays = (
        tuple(every if values == ["*"] else sorted(map(int, values)))
        for values, every in zip(expanded, _VALUES, strict=True)
    )
    return Crontab(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        either=not (fields[2].startswith("*") or fields[4].startswith("*")),
        hourly=fields[1].startswith("*"),
    )


def _number(word: str, sunday: int = 0) -> int:
    """The value of one end of a range: croniter reads 5-5 and 5-3 as every value."""
    if word in _MONTHS:
        return 1 + _MONTHS.index(word)
    return (WEEKDAYS.index(word) or sunday) if word in WEEKDAYS else int(word)
