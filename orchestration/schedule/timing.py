"""When a job starts: a rule in words, and the times it names.

    off
    every 30m               5, 10, 15, 30 minutes, 1h, 2h, 3h, 4h, 6h, 8h, 12h: from midnight on
    every 5m in session     5, 10, 15, 30, 60: from open to close of each session, both included
    daily 17:30             or several times: daily 04:00 07:30
    weekly sat 09:30
    monthly 1 10:00         days 1 to 28, which every month has
    cron 30 9 * * sat       five fields of crontab

Pure: no clock, no state. Times are in the rule's zone. A time that spring skips starts an hour
later (02:30 is 03:30 then); one that autumn repeats starts the first time, unless no hour is named.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from loaders.trading_time import Span, is_calendar, sessions
from orchestration.schedule.crontab import WEEKDAYS, Crontab, parse_crontab

FORMS = (
    "off · every 30m (5m, 10m, 15m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h) · "
    "every 5m in session (5, 10, 15, 30, 60) · daily 17:30 · weekly sat 09:30 · monthly 1 10:00 · "
    "cron 30 9 * * sat"
)
EVERY = (
    "every 5m, 10m, 15m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h · every 5m, 10m, 15m, 30m, 60m in session"
)
HORIZON = timedelta(days=800)  # how far ahead a next start is searched
# a session carries the day of its exchange, which may differ from that of the rule's zone, and may
# start on the evening before; a zone may skip a day
_MARGIN_OF_SESSIONS, _MARGIN = timedelta(days=2), timedelta(days=1)
_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"


@dataclass(frozen=True)
class Timing:
    """A rule: `when` as written, with either `every` or `lines`.

    `every` repeats within each session of `calendar`; `lines` are of a crontab, for times on its
    trading days, on every day where there is no calendar.
    """

    when: str
    zone: ZoneInfo
    calendar: str
    every: timedelta | None
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.when, self.zone.key, self.calendar)))

    @cached_property
    def tabs(self) -> tuple[Crontab, ...]:
        return tuple(map(parse_crontab, self.lines))  # by what is slow to import

    def starts(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The starts (UTC, ascending) after one time, up to and including another."""
        margin = _MARGIN_OF_SESSIONS if self.every else _MARGIN
        day, last = (after.astimezone(self.zone) - margin).date(), after
        end = (until.astimezone(self.zone) + margin).date()
        while day <= end:
            starts = [at for at in self._starts_on(day) if last < at <= until]
            # the calendar comes last: reading one takes longer than all else
            if starts and (self.every or self.is_open(day)):
                yield from starts
                last = starts[-1]
            day += timedelta(days=1)

    def next_after(self, at: datetime) -> datetime | None:
        """The first start after a time; None if none comes within two years."""
        return next(self.starts(at, at + HORIZON), None)

    def is_open(self, day: date) -> bool:
        """Whether the calendar has a session on the day."""
        return not self.calendar or day in sessions(self.calendar, day.year)

    def _starts_on(self, day: date) -> list[datetime]:
        """The starts on a day; for `lines` whether or not the calendar has a session."""
        if self.every is not None:
            spans = sessions(self.calendar, day.year).get(day, ())
            return [at for span in spans for at in _repeat_within(span, self.every)]
        starts = set[datetime]()
        for tab in self.tabs:
            for wall in tab.times_on(day):
                first, second = (
                    datetime.combine(day, wall.replace(fold=fold), self.zone).astimezone(UTC)
                    for fold in (0, 1)
                )
                # of a time that spring skips the second one is before the change of clocks
                starts |= {first, max(first, second)} if tab.hourly else {first}
        return sorted(starts)


def _repeat_within(span: Span, every: timedelta) -> list[datetime]:
    start, end = span
    return [start + n * every for n in range((end - start) // every + 1)]


def parse_rule(when: str, zone: str, calendar: str = "") -> Timing | None:
    """Parse a rule; None for `off`. Raises ValueError, which names the wrong value."""
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"unknown time zone {zone!r}; use an IANA name such as Asia/Shanghai"
        ) from None
    words = " ".join(when.split())
    if words.lower() == "off":
        return None
    if calendar and not is_calendar(calendar):
        raise ValueError(
            f"unknown calendar {calendar!r}; use XSHG, XNYS, or leave it empty for every day"
        )
    if match := re.fullmatch(r"every (5|10|15|30|60)m in session", words):
        if not calendar:
            raise ValueError(f"when {when!r} needs a calendar with sessions: XSHG or XNYS")
        return Timing(words, known, calendar, timedelta(minutes=int(match[1])), ())
    lines = _crontab_lines(words)
    if not lines:
        forms = EVERY if words.startswith("every ") else FORMS
        raise ValueError(f"when {when!r} must be one of: {forms}")
    if words.startswith("cron "):
        try:
            parse_crontab(*lines)
        except ValueError as error:
            raise ValueError(f"when {when!r}: {error}") from None
    return Timing(words, known, calendar, None, lines)


def _crontab_lines(words: str) -> tuple[str, ...]:
    """A rule as crontab lines; empty where it is no rule."""
    if match := re.fullmatch(r"every (5|10|15|30)m", words):
        return (f"*/{match[1]} * * * *",)
    if match := re.fullmatch(r"every (1|2|3|4|6|8|12)h", words):
        return (f"0 */{match[1]} * * *",)
    if match := re.fullmatch(rf"daily ({_CLOCK}(?:,? {_CLOCK})*)", words):
        clocks = re.findall(_CLOCK, match[1])
        return tuple(f"{minute} {hour} * * *" for hour, minute in clocks)
    if match := re.fullmatch(rf"weekly ({'|'.join(WEEKDAYS)}) {_CLOCK}", words):
        return (f"{match[3]} {match[2]} * * {match[1]}",)
    if match := re.fullmatch(rf"monthly ([1-9]|1\d|2[0-8]) {_CLOCK}", words):
        return (f"{match[3]} {match[2]} {match[1]} * *",)
    return (words.removeprefix("cron "),) if words.startswith("cron ") else ()
