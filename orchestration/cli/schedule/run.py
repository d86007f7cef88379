"""`quotemill schedule run`: ends at once while nothing is due, as cron's line calls it each minute.

Imports little until something may be due.
"""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from loaders.cli.shell import AsOf
from loaders.errors import SettingsError, UsageError, most_severe
from loaders.settings import load_settings
from orchestration.schedule import quiet

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job.")]
OneJob = Annotated[str | None, typer.Argument(metavar="JOB", help="Only this job; all if absent.")]


def run_command(
    job: OneJob = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Run JOB though it is not due, or disabled; 75 where it runs already."
        ),
    ] = False,
    as_of: AsOf = None,
) -> None:
    """Start what is due now, each job in its own process, and wait for its end.

    For a line of cron each minute, or with JOB for a timer of that job. Missed starts are made up
    for by one run where the job catches up. The exit code is the most severe one of what it
    started, 0 where nothing is due; 3 where a job cannot be read, which stops no other.

    Example: quotemill schedule run tdx_daily --now
    """
    if now and job is None:
        raise UsageError("--now goes with one job", hint="quotemill schedule run JOB --now")
    if job is None and as_of is None and (known := _read_quiet()):
        for message in known.wrong:
            print(message, file=sys.stderr)
        raise typer.Exit(most_severe(known.wrong.values()))
    from orchestration.cli.schedule.start import run_due_jobs

    raise typer.Exit(run_due_jobs(job, now, as_of))


def _read_quiet() -> quiet.Quiet | None:
    try:
        settings = load_settings()
    except SettingsError:
        return None  # the full check reports it
    return quiet.read(settings, datetime.now(UTC))
