"""`loaders status` and `loaders cancel`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from loaders import sources
from loaders.cli import shell
from loaders.cli.checks import print_checks
from loaders.cli.shell import JsonFlag
from loaders.engine import job_list, load_checks
from loaders.settings import Settings, load_settings
from loaders.trading_time import format_time
from loaders.warehouse.postgres import find_current_warehouse
from quotemill.errors import UsageError
from quotemill.settings.files import list_unread
from quotemill.wording import say_count

Limit = Annotated[int, typer.Option(min=1, help="Number of loads to show.")]


def status_command(
    limit: Limit = 20,
    json: JsonFlag = False,
) -> None:
    """Show recent loads, failures and how current each dataset is.

    `quotemill loads` shows the same, and single loads in detail.

    Example: loaders status --json
    """
    settings = load_settings()
    shown = job_list.report(find_current_warehouse(settings), limit)
    document = shown | describe_place(settings)
    shell.print_answer(document, json, lambda: print_report(settings, shown))


def print_report(settings: Settings, shown: dict[str, Any]) -> None:
    """Print a report of loads: `loaders status` and `quotemill loads`."""
    print_place(settings, shown["warehouse"])
    newest = list({job["source"]: job for job in reversed(shown["jobs"])}.values())[::-1]
    first = () if newest else (sources.check_first_load(settings),)
    loads = load_checks.check_loads(newest, shown["failed_keys"])
    print_checks([*first, *loads, *load_checks.check_keys(newest, shown["failed_keys"])])
    print_jobs(shown)


def describe_place(settings: Settings) -> dict[str, Any]:
    """The home, and where the settings came from."""
    return {"home": str(settings.home), "settings": settings.places}


def print_place(settings: Settings, warehouse: str) -> None:
    """Print which warehouse, home and settings a status is about, and files that do not count."""
    places = ", ".join(settings.places) or "none (all defaults)"
    shell.print_wrapped(f"warehouse: {warehouse}; home: {settings.home}; settings: {places}")
    if unread := list_unread(os.environ, Path.cwd(), settings.home):
        shell.print_wrapped(
            f"ignored: {', '.join(map(str, unread))} (another file takes precedence here)"
        )


def print_jobs(shown: dict[str, Any], fresh: Mapping[str, str] | None = None) -> None:
    """Print jobs and datasets of a report, a line each; `fresh` has more words by dataset.

    Why one failed is a check.
    """
    zone = sources.find_common_zone(job["source"] for job in shown["jobs"])
    for job in shown["jobs"]:
        shell.print_wrapped(_format_job(job, zone), 11)
        for task in shown["tasks"] if job is shown["jobs"][0] else ():  # those of the newest
            if task["status"] not in ("succeeded", "skipped", "pending"):
                _print_task(task)
    for row in shown["datasets"]:
        known = (fresh or {}).get(row["dataset"])
        # some cursors are no days; `fresh` says by the rows how far they go
        newest = f" up to {row['newest']}" if row["newest"] and not known else ""
        oldest = "" if row["oldest"] == row["newest"] else f"; most outdated key: {row['oldest']}"
        state = f"; {known}" if known else ""
        shell.print_wrapped(
            f"{row['dataset']:<21} {say_count(row['keys'], 'key')}{newest}{oldest}{state}", 22
        )


def _format_job(job: dict[str, Any], zone: str) -> str:
    """A line of a job of loaders.engine.job_list.recent_jobs, with its figures."""
    started = format_time(job["started_at"], zone)
    return (
        f"load {job['job_id']:>4}  {started}  {job['source']} {job['mode']:<11} "
        f"{job['status']:<11} "
        f"{job['done']:,} done, {job['skipped']:,} skipped, {job['failed']:,} failed; "
        f"{job['rows_new']:,} new, {job['rows_changed']:,} changed"
    )


def _print_task(task: dict[str, Any]) -> None:
    reached = task["done"] + task["skipped"] + task["failed"]
    at = " ".join(f"{name} {value}" for name, value in task["cursor_payload"].items())
    exchange = f" {task['exchange']}" if task["exchange"] else ""
    print(
        f"  task {task['task_no']}  {task['dataset']}{exchange} {task['status']}: "
        f"{reached:,} of {task['keys']:,}" + (f", at {at}" if at else "")
    )


def cancel_command(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Source (tdx, tq, ib) or load number. Optional if only one load is running."
        ),
    ] = None,
    job: Annotated[
        int | None,
        typer.Argument(metavar="LOAD", help="Load number.", show_default="the running load"),
    ] = None,
    after_task: Annotated[
        int | None,
        typer.Option(min=1, help="Stop the load when this task is done."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Stop a running load.

    It stops after its current batch, or after the task that you give.

    Example: loaders cancel 12
    """
    from loaders.engine import jobs

    source, job = shell.parse_source_and_job(source, job)
    settings = load_settings()
    warehouse = find_current_warehouse(settings)
    if warehouse is None:
        raise sources.explain_no_load(settings)
    if after_task is not None:
        if job is None:
            raise UsageError(
                "--after-task needs a load number", hint="Run `quotemill loads` to see the numbers."
            )
        jobs.request_cancel_after(warehouse, job, after_task)
    else:
        job = jobs.request_cancel(warehouse, source, job)
    shown = f"load {job} will stop soon; `quotemill loads {job}` shows when it has stopped"
    shell.print_answer({"job_id": job}, json, lambda: print(shown))
