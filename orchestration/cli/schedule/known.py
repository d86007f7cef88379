"""The jobs for the commands of `quotemill schedule`: with their rows, and checked as commands."""

import difflib
import itertools
import sys
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.errors import SettingsError, UsageError
from loaders.settings import Settings
from loaders.warehouse.migration_files import is_current
from loaders.warehouse.postgres import Warehouse, find_warehouse, open_warehouse
from orchestration.schedule import jobs, ledger
from orchestration.schedule.jobs import Job, Row

NO_JOB = "no source is configured, so there is no job to start"

JobName = Annotated[str, typer.Argument(metavar="JOB", help="Name of the job.")]
OneJob = Annotated[str | None, typer.Argument(metavar="JOB", help="Only this job; all if absent.")]


def moment(as_of: str | None) -> datetime:
    """Now, UTC, or the instant that stands for it."""
    return (shell.parse_time(as_of) or datetime.now(UTC)).astimezone(UTC)


def known_jobs(
    settings: Settings, only: str | None = None
) -> tuple[dict[str, Job], dict[str, Row]]:
    """The jobs, or one of them, and the record of each; creates no warehouse.

    Raises UsageError for an unknown job, SettingsError for one that cannot be read or runs no
    command.
    """
    rows = known_rows(settings)
    found, wrong = jobs.survey(settings, rows.values())
    for name, error in wrong.items():
        if only in (None, name):
            raise error
    chosen = found if only is None else {only: one(found, only)}
    for job in chosen.values():
        command_of(job)
    return chosen, rows


def tell_where_none(found: Sized) -> None:
    """An empty list alone would read as if all were well."""
    if not found:
        print(f"{NO_JOB}: `quotemill doctor` says what to set", file=sys.stderr)


def known_rows(settings: Settings) -> dict[str, Row]:
    """What is on record of each job; nothing where there is no warehouse."""
    warehouse = find_warehouse(settings)
    return {row.name: row for row in warehouse.ask(ledger.read_rows)} if warehouse else {}


def one(found: dict[str, Job], name: str) -> Job:
    if name not in found:
        raise UsageError(
            f"there is no job {name} of a configured source",
            hint=f"jobs: {', '.join(found)}" if found else "configure a source first",
        )
    return found[name]


def prepared(settings: Settings) -> Warehouse:
    """The warehouse in the state of this version, prepared only where it is not: jobs run often."""
    warehouse = open_warehouse(settings)
    if not warehouse.ask(is_current):
        from loaders.loads import prepare_warehouse
        from loaders.progress import Silent

        warehouse = prepare_warehouse(settings, Silent())
    return warehouse


def command_of(job: Job) -> Any:
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
                hint=f"commands: {', '.join(below)}",
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
                f"setting schedule.{job.name}: `{' '.join(job.command)}` takes no {word}",
                hint=f"did you mean {near[0]}?" if near else f"options: {', '.join(options)}",
            )
    return command


def takes_as_of(job: Job) -> bool:
    return any(param.name == "as_of" for param in command_of(job).params)
