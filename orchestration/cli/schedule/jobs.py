"""The jobs for the commands of `quotemill schedule`: with their rows, and checked as commands."""

import difflib
import itertools
import sys
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.settings import Settings
from orchestration.schedule import ledger
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.listing import NO_JOB, list_jobs
from quotemill.errors import SettingsError
from quotemill.systems import require_posix

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Job name.")]
OneJob = Annotated[
    str | None, typer.Argument(metavar="JOB", help="Job name.", show_default="all jobs")
]


def require_scheduler() -> None:
    """Raises SettingsError where jobs cannot be started: their processes share a lock."""
    require_posix("the schedule", f"let Windows start the run: {ledger.name_install()}")


def parse_now(as_of: str | None) -> datetime:
    """The time given, or now, in UTC."""
    return (shell.parse_time(as_of) or datetime.now(UTC)).astimezone(UTC)


def read_jobs(settings: Settings, only: str | None = None) -> tuple[dict[str, Job], dict[str, Row]]:
    """Read the jobs, or one of them, and the record of each; creates no warehouse.

    Raises UsageError for an unknown job, SettingsError for one that cannot be read or runs no
    command.
    """
    listing = list_jobs(settings)
    for name in listing.wrong if only is None else [only]:
        listing.get(name)
    chosen = {name: job for name, job in listing.jobs.items() if only in (None, name)}
    for job in chosen.values():
        find_command(job)
    return chosen, dict(listing.rows)


def warn_if_no_job(jobs: Sized) -> None:
    """Print why the list is empty: an empty one would read as if all were well."""
    if not jobs:
        text = f"warning: {NO_JOB}; fix: run `quotemill doctor` to see which settings are missing"
        shell.print_wrapped(text, file=sys.stderr)


def find_command(job: Job) -> Any:
    """The command of a job as typer knows it.

    Raises SettingsError for an unknown command, or an option that the command does not take.
    """
    import loaders.cli
    from orchestration.cli import app as quotemill

    program, *words = job.command
    command: Any = typer.main.get_command(loaders.cli.app if program == "loaders" else quotemill)
    for word in words:
        below = getattr(command, "commands", None)
        if below is None:
            break
        if word not in below:
            raise SettingsError(
                f"setting schedule.{job.name}: {program} has no command {word}",
                hint=f"Choose one of: {', '.join(below)}.",
            )
        command = below[word]
    if command.context_settings.get("ignore_unknown_options"):
        return command  # it hands them on
    options = [
        option for param in command.params for option in (*param.opts, *param.secondary_opts)
    ]
    for word in itertools.takewhile(lambda word: word != "--", words):
        if word.startswith("--") and word.partition("=")[0] not in options:
            near = difflib.get_close_matches(word, options, n=1)
            raise SettingsError(
                f"setting schedule.{job.name}: `{' '.join(job.command)}` has no option {word}",
                hint=f"Use {near[0]}." if near else f"Choose one of: {', '.join(options)}.",
            )
    return command


def takes_as_of(job: Job) -> bool:
    return any(param.name == "as_of" for param in find_command(job).params)
