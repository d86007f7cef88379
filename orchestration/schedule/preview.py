"""Preview a schedule: what would start when, between two days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from loaders.trading_time import sessions
from orchestration.schedule.jobs import Job, Row


@dataclass(frozen=True)
class Planned:
    """A start; `at` is UTC."""

    job: Job
    at: datetime

    def as_json(self) -> dict[str, Any]:
        return {
            "job": self.job.name,
            "at": self.at.isoformat(),
            "local": self.at.astimezone(ZoneInfo(self.job.zone)).isoformat(),
            "time_zone": self.job.zone,
            "command": " ".join(self.job.command),
        }


@dataclass(frozen=True)
class Preview:
    """A simulated schedule.

    starts: in time order
    notes:  days without a session, early closes, clock changes
    idle:   why a job does not start at all, by job
    """

    starts: tuple[Planned, ...]
    notes: tuple[str, ...]
    idle: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        starts = [planned.as_json() for planned in self.starts]
        return {"starts": starts, "notes": list(self.notes), "idle": dict(self.idle)}


def simulate(jobs: Iterable[Job], rows: Mapping[str, Row], first: date, last: date) -> Preview:
    """List all starts from day `first` to `last`, both included, each in its job's own zone."""
    starts: list[Planned] = []
    idle: dict[str, str] = {}
    jobs = list(jobs)
    for job in jobs:
        row = rows.get(job.name)
        if job.timing is None:
            idle[job.name] = "off in its settings"
        elif row is not None and not row.is_enabled:
            idle[job.name] = "disabled"
        else:
            zone = ZoneInfo(job.zone)
            midnights = [
                datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1))
            ]
            after, until = (at.astimezone(UTC) - timedelta(microseconds=1) for at in midnights)
            planned = [Planned(job, at) for at in job.timing.starts(after, until)]
            starts += planned
            if not planned:
                idle[job.name] = f"no start on these days: {job.rule}"
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    ordered = sorted(starts, key=lambda planned: (planned.at, planned.job.name))
    return Preview(tuple(ordered), tuple(_notes(jobs, days)), idle)


def _notes(jobs: Iterable[Job], days: Iterable[date]) -> Iterable[str]:
    """Remarks on the days, by the calendars and zones of the jobs."""
    timings = [job.timing for job in jobs if job.timing]
    calendars = sorted({timing.calendar for timing in timings} - {""})
    zones = sorted({timing.zone.key for timing in timings})
    for day in days:
        for calendar in calendars:
            spans = sessions(calendar, day.year).get(day)
            if spans is None:
                yield f"{day}: no {calendar} session"
            elif spans[-1][1] - spans[0][0] < _usual_length(calendar, day.year):
                yield f"{day}: {calendar} closes early, {spans[-1][1]:%H:%M} UTC"
        for zone in map(ZoneInfo, zones):
            before, after = (
                datetime.combine(day + timedelta(days=n), time(), zone).utcoffset() for n in (0, 1)
            )
            if before != after:
                yield f"{day}: the clock of {zone.key} changes"


def _usual_length(calendar: str, year: int) -> timedelta:
    """The length of most sessions of a year, breaks included."""
    lengths = [spans[-1][1] - spans[0][0] for spans in sessions(calendar, year).values()]
    return max(set(lengths), key=lengths.count)
