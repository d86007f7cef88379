"""`quotemill schedule run`, `serve`, `enable` and `disable`."""

import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated

import typer

from loaders import log
from loaders.cli import shell
from loaders.cli.shell import AsOf
from loaders.engine import signals
from loaders.engine.progress import print_line
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.alerts.check import load_settings_or_notify
from orchestration.cli.schedule.jobs import (
    JobName,
    OneJob,
    find_command,
    parse_now,
    require_scheduler,
    takes_as_of,
)
from orchestration.schedule import switching
from orchestration.schedule.jobs import Job
from orchestration.schedule.listing import NO_JOB, Listing, list_jobs
from orchestration.schedule.runner import Runner
from orchestration.schedule.switching import open_prepared, refuse_before_opening
from quotemill.errors import QuotemillError, SettingsError, UsageError, most_severe
from quotemill.warehouse.postgres import Warehouse


def run_command(
    job: OneJob = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Run JOB even if it isn't due or is disabled. Exits with 75 if it is already "
            "running.",
        ),
    ] = False,
    as_of: AsOf = None,
) -> None:
    """Run all due jobs, each in its own process, and wait for them.

    Call it from cron every minute, or with JOB for a single job. If a job catches up, one run
    replaces all missed starts. Exits with the most severe code of the jobs, or with 0 if nothing is
    due. If a job cannot be read, the code is 3 and other jobs still start.

    Example: quotemill schedule run tdx_daily --now
    """
    if now and job is None:
        raise UsageError("--now needs a job", hint="Run `quotemill schedule run JOB --now`.")
    require_scheduler()
    raise typer.Exit(_run_due_jobs(job, now, as_of))


def serve_command() -> None:
    """Keep running and start each job when it is due, for a service or container.

    SIGTERM or Ctrl-C stops it and the jobs it started. Missed starts are caught up when it starts
    again.

    Example: quotemill schedule serve
    """
    from orchestration.schedule.serve import Server

    require_scheduler()
    settings = load_settings_or_notify()
    shell.start_logs(settings)

    def jobs() -> Mapping[str, Job]:
        nonlocal settings
        settings = load_settings()  # read at each check: the alert channels may have changed too
        runner.warehouse = open_prepared(settings)
        return _list_readable(settings).jobs

    # a warehouse that is away is asked for at each check: nothing starts this process again
    runner = _runner(lambda: settings, open_warehouse(settings, start=False), None)
    server = Server(runner, jobs, lambda error: _notify_cannot_start(settings, error))
    with _ended_by_signals(runner.halt):
        print_line("serving the schedule (Ctrl-C stops it)")
        server.serve()


def enable_command(job: JobName) -> None:
    """Enable a job. Starts it missed while disabled are not caught up.

    Example: quotemill schedule enable tdx_daily
    """
    _switch(job, on=True)


def disable_command(job: JobName) -> None:
    """Disable a job and cancel its queued run.

    A run in progress is not stopped. Use `loaders cancel` to stop a load.

    Example: quotemill schedule disable tdx_daily
    """
    _switch(job, on=False)


def _switch(job: str, *, on: bool) -> None:
    now = datetime.now(UTC)
    for note in switching.switch(load_settings(), job, now, on=on, check=find_command):
        print(note, file=sys.stderr)


def _run_due_jobs(job: str | None, now: bool, as_of: str | None) -> int:
    """Start what is due, or one job; return the most severe exit code."""
    settings = load_settings_or_notify()
    shell.start_logs(settings)
    try:
        return _run(settings, job, now, as_of)
    except UsageError:
        raise
    except Exception as error:
        known = log.explain(error)
        _notify_cannot_start(settings, known)
        raise known from error


def _run(settings: Settings, job: str | None, now: bool, as_of: str | None) -> int:
    refuse_before_opening(settings, job)
    runner = _runner(lambda: settings, open_prepared(settings), as_of)
    listing = _list_readable(settings)
    jobs, wrong = listing.jobs, listing.wrong
    if job and job in wrong:
        return wrong[job].exit_code
    with _ended_by_signals(runner.halt):
        if job:
            return runner.run_all([listing.get(job)], forced=now, says_why=True)
        code = runner.run_all(runner.list_due(jobs.values()))
    return most_severe([code, *(error.exit_code for error in wrong.values())])


def _list_readable(settings: Settings) -> Listing:
    """The jobs that can be started, and the errors of the others, which are sent at once.

    An unknown command fails as a run of its job. Raises SettingsError where there is no job.
    """
    listing = list_jobs(settings)
    if not listing.jobs and not listing.wrong:
        raise SettingsError(
            NO_JOB, hint="Run `quotemill doctor` to see which settings are missing."
        )
    for error in listing.wrong.values():
        _say(f"{error} ({error.hint})")
    if listing.wrong:
        _notify_after_job(settings)
    return listing


def _runner(settings: Callable[[], Settings], warehouse: Warehouse, as_of: str | None) -> Runner:
    """The runner of jobs, by the clock or at a moment given; `settings` are those of the moment."""

    def notify(_: Job) -> None:
        _notify_after_job(settings())

    return Runner(warehouse, lambda: parse_now(as_of), _say, takes_as_of, as_of, notify)


def _notify_after_job(settings: Settings) -> None:
    from orchestration import nightly

    nightly.notify_after_job(settings)


def _notify_cannot_start(settings: Settings, error: QuotemillError) -> None:
    """Send an alert that nothing can be started; cron and services report it to nobody."""
    from orchestration import nightly

    nightly.notify_cannot_start(settings, error, "schedule")


def _ended_by_signals(halt: Callable[[], None]) -> AbstractContextManager[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        print_line("stopping the running jobs")
        halt()

    return signals.handled({signal.SIGINT: stop, signal.SIGTERM: stop})


def _say(text: str) -> None:
    log.write("info", text)
    print_line(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")
