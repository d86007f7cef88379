"""When a job is to start: a rule made of words, and the instants that it names.

    off
    every 5m in session     5, 10, 15, 30, 60: from the open to the close of each session, both included
    daily 17:30             or several times: daily 04:00 07:30
    weekly sat 09:30
    monthly 1 10:00         days 1 to 28, which every month has
    cron 30 9 * * sat       five fields of crontab

Pure: no clock, no state. Clocks are of the rule's zone. One that is leapt over in spring starts as much later
(02:30 is 03:30 then); one that comes twice in autumn starts the first time, except where no hour is named.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from loaders.trading_time import Span, is_calendar, sessions
from orchestration.schedule import crontab
from orchestration.schedule.crontab import WEEKDAYS, Crontab

FORMS = (
    "off · every 5m in session (5, 10, 15, 30, 60) · daily 17:30 · weekly sat 09:30 · "
    "monthly 1 10:00 · cron 30 9 * * sat"
)
SEARCHED = timedelta(days=800)  # how far ahead a next start is looked for
# a session is named by the day at its exchange, which may be another than that of the clock, and may begin on
# the evening before; a zone may leap over a day
_MARGIN_OF_SESSIONS, _MARGIN = timedelta(days=2), timedelta(days=1)
_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"


@dataclass(frozen=True)
class Timing:
    """`when` as it was written. Either `every` within each session of `calendar`, or the clocks of `tabs`
    on its trading days; without a calendar on every day."""

    when: str
    zone: ZoneInfo
    calendar: str
    every: timedelta | None
    tabs: tuple[Crontab, ...]

    def __str__(self) -> str:
        return " ".join(filter(None, (self.when, self.zone.key, self.calendar)))

    def starts(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The instants (UTC, ascending) after one moment, up to and including another."""
        margin = _MARGIN_OF_SESSIONS if self.every else _MARGIN
        day, last = (after.astimezone(self.zone) - margin).date(), after
        end = (until.astimezone(self.zone) + margin).date()
        while day <= end:
            found = [at for at in self._on(day) if last < at <= until]
            # the calendar is asked last: to read one takes longer than all else
            if found and (self.every or self.is_open(day)):
                yield from found
                last = found[-1]
            day += timedelta(days=1)

    def next_after(self, at: datetime) -> datetime | None:
        """The first start after a moment; None where none comes within two years."""
        return next(self.starts(at, at + SEARCHED), None)

    def is_open(self, day: date) -> bool:
        """Is a day one of those that count?"""
        return not self.calendar or day in sessions(self.calendar, day.year)

    def _on(self, day: date) -> list[datetime]:
        """The starts of a day, whatever the calendar says where it does not make them."""
        if self.every is not None:
            spans = sessions(self.calendar, day.year).get(day, ())
            return [at for span in spans for at in _within(span, self.every)]
        found = set[datetime]()
        for tab in self.tabs:
            walls = [datetime.combine(day, clock, self.zone) for clock in tab.clocks(day)]
            found |= {wall.astimezone(UTC) for wall in walls}
            if tab.hourly:
                found |= {wall.replace(fold=1).astimezone(UTC) for wall in walls}
        return sorted(found)


def _within(span: Span, every: timedelta) -> list[datetime]:
    begin, end = span
    return [begin + n * every for n in range((end - begin) // every + 1)]


def read(when: str, zone: str, calendar: str = "") -> Timing | None:
    """A rule of its words; None for `off`. Raises ValueError, which says what is wrong with which."""
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"time_zone {zone!r} is none: names are like Asia/Shanghai, America/New_York, UTC"
        ) from None
    words = " ".join(when.split())
    if words.lower() == "off":
        return None
    if calendar and not is_calendar(calendar):
        raise ValueError(f"calendar {calendar!r} is unknown: XSHG, XNYS; empty for every day")
    if found := re.fullmatch(r"every (5|10|15|30|60)m in session", words):
        if not calendar:
            raise ValueError(f"when {when!r} needs a calendar whose sessions it is: XSHG, XNYS")
        return Timing(words, known, calendar, timedelta(minutes=int(found[1])), ())
    try:
        tabs = tuple(crontab.read(text) for text in _tabs(words))
    except ValueError as error:
        raise ValueError(f"when {when!r}: {error}") from None
    if not tabs:
        raise ValueError(f"when {when!r} is none of: {FORMS}")
    return Timing(words, known, calendar, None, tabs)


def _tabs(words: str) -> Iterable[str]:
    """A rule as lines of crontab; none where it is no rule."""
    if found := re.fullmatch(rf"daily ({_CLOCK}(?:,? {_CLOCK})*)", words):
        return [f"{minute} {hour} * * *" for hour, minute in re.findall(_CLOCK, found[1])]
    if found := re.fullmatch(rf"weekly ({'|'.join(WEEKDAYS)}) {_CLOCK}", words):
        return [f"{found[3]} {found[2]} * * {found[1]}"]
    if found := re.fullmatch(rf"monthly ([1-9]|1\d|2[0-8]) {_CLOCK}", words):
        return [f"{found[3]} {found[2]} {found[1]} * *"]
    return [words.removeprefix("cron ")] if words.startswith("cron ") else []
