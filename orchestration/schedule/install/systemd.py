"""systemd units: a service and a timer per job, one pair for missed starts, one that alerts.

A job's timer fires only at its starts. Starts missed while the warehouse was away, and queued runs,
are found by a check of all jobs every ten minutes, as cron's line and `schedule serve` do each
minute. While a check's jobs run its service is active, so no second check starts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from zoneinfo import ZoneInfo

from loaders.trading_time import sessions
from orchestration.schedule.crontab import WEEKDAYS, Crontab
from orchestration.schedule.install.place import MARK, Place, file_name
from orchestration.schedule.jobs import Job
from orchestration.schedule.timing import Timing

PREFIX = "quotemill-"
_QUOTES = "'\"\\"
ALERT = f"{PREFIX}alert@.service"
LOOK = "schedule.run"  # with a dot, which no job's file has
# at no minute at which a job that ships begins
LOOKS = ("OnBootSec=2min", "OnCalendar=*-*-* *:04/10:00")


def units(jobs: Iterable[Job], place: Place, year: int) -> Mapping[str, str]:
    """Unit files by name. The sessions of `year` give the hours for jobs that run in session."""
    about = "what is due, or was missed, of all jobs"
    units = {
        ALERT: _alert(place),
        f"{PREFIX}{LOOK}.service": _service(LOOK, about, "", place),
        f"{PREFIX}{LOOK}.timer": _timer(about, LOOKS),
    }
    for job in jobs:
        if job.timing is not None:
            name = PREFIX + file_name(job.name)
            about = f"{job.name}: {' '.join(job.command)}"
            word = f" {_word(job.name).replace('$', '$$')}"
            units[f"{name}.service"] = _service(job.name, about, word, place)
            when = [f"OnCalendar={text}" for text in calendar(job.timing, year)]
            when.append(f"Persistent={'true' if job.catch_up else 'false'}")
            units[f"{name}.timer"] = _timer(f"{job.name}: {job.timing}", when)
    return units


def folder_of(unit: str) -> str | None:
    """The folder that a unit works in; None of a timer, which has none."""
    match = re.search("^WorkingDirectory=(.+)$", unit, re.MULTILINE)
    return match[1].replace("%%", "%") if match else None


def calendar(timing: Timing, year: int) -> list[str]:
    """A rule as OnCalendar texts; days without a session are left to `schedule run`."""
    zone = timing.zone.key
    if timing.every is None:
        return [f"{text} {zone}" for tab in timing.tabs for text in _calendar_events(tab)]
    minutes = int(timing.every.total_seconds()) // 60
    first, last = _hours(timing, year)
    # at every minute that a session of this length may have a start at
    return [f"*-*-* {first:02}..{last:02}:00/{minutes}:00 {zone}"]


def _hours(timing: Timing, year: int) -> tuple[int, int]:
    """The first and the last hour of the clock in which a session of a year is open."""
    zone: ZoneInfo = timing.zone
    spans = [span for day in sessions(timing.calendar, year).values() for span in day]
    hours = {at.astimezone(zone).hour for span in spans for at in span}
    crosses = any(a.astimezone(zone).date() != b.astimezone(zone).date() for a, b in spans)
    return (0, 23) if crosses else (min(hours), max(hours))


def _calendar_events(tab: Crontab) -> Iterator[str]:
    months = "*" if len(tab.months) == 12 else _listed(tab.months)
    days = "*" if len(tab.days) == 31 else _listed(tab.days)
    hours = "*" if len(tab.hours) == 24 else _listed(tab.hours)
    clock = f"{hours}:{_listed(tab.minutes) if len(tab.minutes) < 60 else '*'}:00"
    names = ",".join(WEEKDAYS[weekday].capitalize() for weekday in tab.weekdays)
    weekdays = "" if len(tab.weekdays) == 7 else f"{names} "
    if tab.either:
        yield f"*-{months}-{days} {clock}"
        days = "*"
    yield f"{weekdays}*-{months}-{days} {clock}"


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:02}" for number in numbers)


def _service(name: str, about: str, word: str, place: Place) -> str:
    """`word` is the argument of `schedule run`: a job, or nothing."""
    log = _plain(place.log(name))
    unit = name if name == LOOK else file_name(name)
    lines = [
        f"# {MARK} --systemd; edits are lost.",
        "[Unit]",
        f"Description=quotemill {_plain(about)}",
        f"OnFailure={PREFIX}alert@{unit}.service",
        "",
        "[Service]",
        "Type=oneshot",
        *_where(place),
        f"ExecStart={_program(place)} schedule run{word}",
        "# 75: another run is at work, which is no failure",
        "SuccessExitStatus=75",
        "# `schedule run` ends the job; the embedded server that it may have started stays",
        "KillMode=process",
        "TimeoutStopSec=90",
        f"StandardOutput=append:{log}",
        f"StandardError=append:{log}",
    ]
    return "\n".join([*lines, ""])


def _timer(about: str, when: Iterable[str]) -> str:
    lines = [
        f"# {MARK} --systemd; edits are lost.",
        "[Unit]",
        f"Description=quotemill {_plain(about)}",
        "",
        "[Timer]",
        *when,
        "AccuracySec=1s",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join([*lines, ""])


def _alert(place: Place) -> str:
    lines = [
        f"# {MARK} --systemd; edits are lost.",
        "[Unit]",
        "Description=quotemill: report the failure of %i",
        "",
        "[Service]",
        "Type=oneshot",
        *_where(place),
        f"ExecStart={_program(place)} alerts check",
        "KillMode=process",
    ]
    return "\n".join([*lines, ""])


def _program(place: Place) -> str:
    """The program's path; behind `env` if it has characters that systemd refuses there."""
    return (
        f"{'/usr/bin/env ' if set(str(place.program)) & set(_QUOTES) else ''}{_word(place.program)}"
    )


def _where(place: Place) -> list[str]:
    environment = [f"{name}={value}" for name, value in place.environment.items()]
    return [
        f"WorkingDirectory={_plain(place.folder)}",
        *(f"Environment={_word(text)}" for text in environment),
    ]


def _plain(text: object) -> str:
    """A value to the end of its line: % begins a specifier."""
    return str(text).replace("%", "%%")


def _word(text: object) -> str:
    """One word of a command line or of an environment."""
    shown = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"' if set(str(text)) & set(f" ;{_QUOTES}") else shown
