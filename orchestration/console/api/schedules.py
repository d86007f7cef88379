"""Scheduled jobs: list, change, enable, disable and start them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field, StringConstraints

from loaders.settings.load import read_layers
from loaders.settings.saving import find_overruling, save_settings
from orchestration.checks.settings import check_settings
from orchestration.console import starting
from orchestration.console.api.answers import Answer, Call, StartedAnswer
from orchestration.console.context import Console
from orchestration.console.errors import describe
from orchestration.schedule import ledger, switching
from orchestration.schedule.install import place
from orchestration.schedule.install.state import Installed, read_installed
from orchestration.schedule.listing import Listing, list_jobs, read_rows_by_name
from quotemill.errors import SettingsError, UsageError

JobName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
RULES = (
    "off",
    "every 30m",
    "every 6h",
    *(f"every {minutes}m in session" for minutes in (5, 10, 15, 30, 60)),
    "daily 17:30",
)


class JobAnswer(Answer):
    """A job with its rule, next run and last run. Times are in UTC.

    state: on, off (by its rule), disabled, queued, or wrong, with an `error`
    when: the rule, as in the settings
    overruled_by: what sets the rule, if the console cannot change it
    """

    job: str
    source: str | None
    state: str
    rule: str
    when: str | None
    calendar: str | None
    time_zone: str | None
    command: str
    next_start: datetime | None
    last_run_at: datetime | None
    last_finished_at: datetime | None
    last_exit_code: int | None
    missed_at: datetime | None
    overruled_by: str | None = None
    error: str | None = None


class SchedulesAnswer(Answer):
    """All jobs, this machine's schedulers, and notes about the last change."""

    jobs: list[JobAnswer]
    installed: list[Installed]
    rules: list[str]
    notes: list[str]


class ScheduleCall(Call):
    """Changes of a job.

    `when` is off, every 30m, every 5m in session (5, 10, 15, 30, 60), daily 17:30, or any other
    rule of `quotemill schedule`. Null restores the default. `enabled` turns it on or off for all
    machines that use the warehouse.
    """

    job: JobName
    when: Annotated[str, Field(max_length=200)] | None = None
    enabled: bool | None = None


def routes(console: Console) -> APIRouter:
    router = APIRouter(tags=["schedules"])

    @router.get("/schedules")
    def read_schedules() -> SchedulesAnswer:
        """List all jobs: `quotemill schedule list`."""
        return describe_schedules(console)

    @router.put("/schedules")
    def change_schedule(call: ScheduleCall) -> SchedulesAnswer:
        """Change when a job starts, and turn it on or off.

        Same as `quotemill settings --set "schedule.JOB.when=daily 18:00"` and
        `quotemill schedule enable JOB`, `disable JOB`.
        """
        return describe_schedules(console, change(console, call))

    @router.post("/schedules/{job}/run", status_code=202)
    def run_job(
        job: Annotated[JobName, Path()],
        call: Call,  # noqa: ARG001 - the body is an empty object
    ) -> StartedAnswer:
        """Start a job now: `quotemill schedule run JOB --now`."""
        read_listing(console).get(job)
        origin = "POST /api/schedules/run"
        command = starting.start_text(console, f"quotemill schedule run {job} --now", origin)
        return StartedAnswer(run_id=command.run_id, command=command.text)

    return router


def change(console: Console, call: ScheduleCall) -> tuple[str, ...]:
    """Change a job. Returns notes about what follows."""
    given = call.model_fields_set - {"job"}
    if not given or (call.enabled is None and "enabled" in given):
        raise UsageError("nothing to change", hint="Give `when`, `enabled`, or both.")
    listing = read_listing(console)
    if call.job not in listing.wrong:
        listing.get(call.job)
    if "when" in given:
        name = f"schedule.{call.job}.when"
        save_settings({name: call.when}, console.environ, console.cwd, check_settings)
    if call.enabled is None:
        return ()
    console.open_warehouse()  # making one, or bringing it up to date, is for a command
    return switching.switch(console.settings(), call.job, console.clock(), on=call.enabled)


def describe_schedules(console: Console, notes: tuple[str, ...] = ()) -> SchedulesAnswer:
    listing = read_listing(console)
    layers = read_layers(console.environ, console.cwd)
    jobs = []
    for row in listing.describe(console.now):
        name = row["job"]
        known, wrong = listing.jobs.get(name), listing.wrong.get(name)
        timing = known.timing if known else None
        own: dict[str, Any] = {
            "when": timing.when if timing else "off" if known else None,
            "calendar": timing.calendar if timing else None,
            "overruled_by": find_overruling(layers, f"schedule.{name}.when"),
            "error": describe(wrong)["error"] if wrong else None,
        }
        jobs.append(JobAnswer(**{**row, **own}))
    installed = _read_installed(console)
    return SchedulesAnswer(jobs=jobs, installed=installed, rules=list(RULES), notes=list(notes))


def _read_installed(console: Console) -> list[Installed]:
    try:
        here = place.find(console.settings(), console.cwd)
    except SettingsError:  # a folder that no timer file can hold
        return []
    return read_installed(here)


def read_listing(console: Console) -> Listing:
    """The jobs with their records; without records before the first load."""
    return list_jobs(console.settings(), console.read_any(read_rows_by_name) or {})


def find_expected(listing: Listing, now: datetime) -> set[str]:
    """The jobs whose next start a scheduler has written down, and of which it has missed none."""
    late = {row.name for row in ledger.list_overdue(listing.rows.values(), listing.jobs, now)}
    return {name for name, row in listing.rows.items() if row.next_run_at is not None} - late
