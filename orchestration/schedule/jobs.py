"""Jobs: those that ship with each source, as the settings change them."""

import difflib
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from loaders import sources
from loaders.engine.operations import ScheduledJob
from loaders.settings import Settings
from orchestration.exports.definition import FORMS
from orchestration.schedule import timing
from orchestration.schedule.settings import JobSettings
from orchestration.schedule.timing import Timing
from quotemill.errors import SettingsError

PROGRAMS = ("quotemill", "loaders")


def _words(job: ScheduledJob) -> JobSettings:
    """A shipped job in the words of the settings."""
    return JobSettings(**{name: v for name, v in asdict(job).items() if name != "needs"})


# of no source: where any is configured
_BACKUP = ScheduledJob("backup", "weekly sun 12:00")
# kind of the job that an older version made of an export; `timing` of its row is the command
_FOLLOWED_EXPORT = "followed export"
# of a job that only the settings have
DEFAULT = _words(ScheduledJob("", "off")).model_copy(update={"command": None})


def shipped_jobs() -> dict[str, Mapping[str, ScheduledJob]]:
    """The jobs that ship with each source by name, and under "" those of no source."""
    jobs = {name: sources.find_operations(name).jobs for name in sources.MODULES}
    return jobs | {"": {"backup": _BACKUP}}


def _is_shipped(settings: Settings, source: str, name: str, job: ScheduledJob) -> bool:
    """Whether the source has the setting that a job needs, or the settings name the job."""
    is_set = not job.needs or bool(getattr(getattr(settings, source), job.needs))
    return is_set or name in settings.schedule


@dataclass(frozen=True)
class Row:
    """A row of ops.schedules, with the job's newest run; times in UTC.

    is_running: its process is alive, on any machine
    is_repeat:  the run before the newest was cut off
    is_ahead:   a clock ahead has dated runs or misses, later than the check
    """

    name: str
    source: str | None = None
    kind: str = "run"
    is_enabled: bool = True
    timing: str | None = None
    next_run_at: datetime | None = None
    missed_at: datetime | None = None
    last_run_at: datetime | None = None
    last_finished_at: datetime | None = None  # None while it runs, or if it was cut off
    last_exit_code: int | None = None
    last_host: str | None = None
    is_running: bool = False
    is_repeat: bool = False
    is_ahead: bool = False

    def waits(self, now: datetime) -> bool:
        """Whether a start has come that waits for the end of the run before it."""
        return self.is_running and self.next_run_at is not None and self.next_run_at <= now

    def is_overdue(self, now: datetime, by: timedelta) -> bool:
        """Whether a start passed so long ago without a check."""
        if self.next_run_at is None or self.is_running:
            return False
        return self.next_run_at < now - by


@dataclass(frozen=True)
class Job:
    """A command and when it is to run; `timing` is None where it is off.

    `deadline` and `retry` are minutes.
    """

    name: str
    command: tuple[str, ...]
    timing: Timing | None
    zone: str
    source: str | None
    on_overlap: str
    deadline: int
    catch_up: bool
    retry: int = 0

    @property
    def kind(self) -> str:
        """The command's own name: run, selftest, archive, …"""
        return self.command[1]

    @property
    def text(self) -> str:
        """The command as runs are recorded: one of quotemill without the program."""
        return " ".join(self.command[self.command[0] == "quotemill" :])

    @property
    def rule(self) -> str:
        """The rule as the ledger compares it: a changed rule counts from now."""
        return str(self.timing) if self.timing else "off"


def read_jobs(settings: Settings) -> dict[str, Job]:
    """The jobs of `survey`. Raises SettingsError where one cannot be read."""
    jobs, wrong = survey(settings)
    for error in wrong.values():
        raise error
    return jobs


def survey(
    settings: Settings, rows: Iterable[Row] = ()
) -> tuple[dict[str, Job], dict[str, SettingsError]]:
    """The jobs by name, and the errors of those that cannot be read, which stop no other job.

    A job is as its source ships it, changed by the settings; `rows` name those that are no more.
    """
    configured, _ = sources.configured(settings)
    shipped = shipped_jobs()
    source_of = {name: source for source, jobs in shipped.items() for name in jobs}
    merged: dict[str, tuple[JobSettings, str | None]] = {
        name: (_words(job), source or None)
        for source in (*configured, *([""] if configured else []))
        for name, job in shipped[source].items()
        if _is_shipped(settings, source, name, job)
    }
    # of a source that is not configured yet: refused if wrong, and not run
    absent = source_of.keys() & settings.schedule.keys() - merged.keys()
    for name in absent:
        merged[name] = (_words(shipped[source_of[name]][name]), source_of[name] or None)
    wrong: dict[str, SettingsError] = {}
    for row in rows:
        said = settings.schedule.get(row.name)
        if row.kind == _FOLLOWED_EXPORT and (said is None or said.command is None):
            wrong[row.name] = _former(row)
    for name, given in settings.schedule.items():
        before, known = merged.get(name, (DEFAULT, None))
        if before.command is None and given.command is None:
            wrong.setdefault(name, _nameless(name, source_of))
        merged[name] = before.model_copy(update=given.model_dump(exclude_none=True)), known
    jobs: dict[str, Job] = {}
    for name, (said, source) in merged.items():
        if name not in wrong:
            try:
                jobs[name] = _job(name, said, source)
            except SettingsError as error:
                wrong[name] = error
    return {name: job for name, job in jobs.items() if name not in absent}, wrong


def _former(row: Row) -> SettingsError:
    command = row.timing or ""
    folder, _, form = shlex.split(command)[3:6]  # export rows WHAT FOLDER --to FORM
    gone = "://" in folder or form not in FORMS
    change = ", with --to parquet and another folder" if gone else ""
    return SettingsError(
        f"the job {row.name} updates an export by its name, but exports no longer have names",
        hint=f'Add [schedule.{row.name}] to quotemill.toml, with when = "daily 21:30" or "off" and '
        f"command = {json.dumps(command, ensure_ascii=False)}{change}",
    )


def _nameless(name: str, shipped: Iterable[str]) -> SettingsError:
    near = difflib.get_close_matches(name, shipped, n=1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return SettingsError(
        f"setting schedule.{name}: no shipped job has this name, so it needs a command{guess}",
        hint=f"Set a command, or choose one of: {', '.join(shipped)}.",
    )


def _job(name: str, said: JobSettings, source: str | None) -> Job:
    try:
        words = tuple(shlex.split(said.command or ""))
        words = words if words[:1] and words[0] in PROGRAMS else ("quotemill", *words)
        if len(words) < 2:
            raise ValueError(f"command {said.command!r} is not a command")
        zone = said.time_zone or "UTC"
        rule = timing.parse_rule(said.when or "off", zone, said.calendar or "")
    except ValueError as error:
        hint = "" if "must be one of" in str(error) else f"Write when as one of: {timing.FORMS}"
        raise SettingsError(f"setting schedule.{name}: {error}", hint=hint) from None
    named = next((word for word in words[2:3] if word in sources.MODULES), None)
    return Job(
        name,
        words,
        rule,
        zone,
        source or named,
        said.on_overlap or "skip",
        said.deadline or 1,
        bool(said.catch_up),
        said.retry or 0,
    )
