"""`quotemill loads`."""

import json as json_
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loaders import sources
from loaders.cli import jobs as load_jobs
from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.engine import job_list
from loaders.files import whole_file
from loaders.settings import load_settings
from loaders.trading_time import format_time
from loaders.warehouse.postgres import find_current_warehouse
from quotemill.errors import PartialError, UsageError
from quotemill.warehouse.postgres import Warehouse

if TYPE_CHECKING:
    from loaders.engine.job_status import JobView

POLL = 1.0  # seconds between two reads of a job that is followed
EVERY = 10.0  # seconds between two reports of it without a terminal
SHOWN = 20  # failed keys


def loads_command(
    job: Annotated[
        int | None,
        typer.Argument(metavar="LOAD", help="Load number. Without one, recent loads are listed."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Watch LOAD, or the running load, until it ends."),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(help="Write the load's log to this file as JSON lines (- for stdout)."),
    ] = None,
    limit: load_jobs.Limit = 20,
    json: JsonFlag = False,
) -> None:
    """List recent loads, or show one in detail.

    For one load you see its progress, failures and their reasons. You can run this on any machine
    that reaches the warehouse. --follow exits with 6 if the load does not succeed. Ctrl-C stops
    watching, not the load.

    Example: quotemill loads --follow
    """
    from loaders.engine import job_status

    settings = load_settings()
    warehouse = find_current_warehouse(settings)
    if warehouse is None:
        raise sources.explain_no_load(settings)
    if job is None and not follow:
        if log is not None:
            raise UsageError(
                "--log needs a load number", hint="Run `quotemill loads 12 --log 12.jsonl`."
            )
        shown = job_list.report(warehouse, limit)
        show = partial(load_jobs.print_report, settings, shown)
        shell.print_answer(shown["jobs"], json, show)
        return
    with warehouse.keeping_connections() as pooled:
        number = job_status.find_running_job(pooled) if job is None else job
        view = _follow(pooled, number) if follow else job_status.read_job(pooled, number)
    if log is not None:
        _write_log(warehouse, number, log)
    if json:
        shell.print_json(view.as_json())
    elif log is None:
        for line in lines(view):
            shell.print_wrapped(line)
    if follow and view.job["status"] != "succeeded":
        raise PartialError(
            f"load {number} {view.job['status']}",
            hint=f"Run `quotemill retry {number}` to load the rest.",
        )


def lines(view: "JobView") -> Iterator[str]:
    """A job as lines of text: itself, its datasets, its failures."""
    job, seconds = view.job, _time(view.job["seconds"])
    took = f"for {seconds}" if view.is_running else f"after {seconds}"
    since = format_time(job["started_at"], sources.find_zone(job["source"]))
    yield (
        f"load {job['job_id']}  {job['source']} {job['mode']}  {job['status']} {took}, "
        f"since {since}, by {job['requested_by']}"
        + (f", retries load {job['retry_of']}" if job["retry_of"] else "")
    )
    if job["cancel_requested_at"] and view.is_running:
        yield "  asked to stop"
    if job["error"]:
        yield f"  error: {job['error']}"
    if job["held_by"]:
        yield f"  {job['held_by']}"
    for part in view.parts:
        rate = f"  {part.rate:,.1f}/s" if part.rate else ""
        left = f", {_time(part.left)} left" if part.left else ""
        yield (
            f"  {part.dataset:<21} {part.reached:,} of {part.keys:,}{rate}{left}  "
            f"{part.skipped:,} skipped, {part.failed:,} failed; "
            f"{part.rows_new:,} new, {part.rows_changed:,} changed"
        )
    for dataset, key, reason in view.failures[:SHOWN]:
        yield f"  failed: {dataset} {key}: {reason}"
    if len(view.failures) > SHOWN:
        yield f"  failed: {len(view.failures) - SHOWN:,} more; use --log FILE to see all"
    if not view.is_running and job["status"] != "succeeded" and not job["is_repaired"]:
        retry = f"`quotemill retry {job['job_id']}`"
        yield f"fix: {job_list.name_retry(retry, is_later=job_list.is_stopped(job))}"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _follow(warehouse: Warehouse, job_id: int) -> "JobView":
    """Show a job to its end: on a terminal in place, else every few seconds."""
    from loaders.engine import job_status

    with _display() as show:
        while (view := job_status.read_job(warehouse, job_id)).is_running:
            show("\n".join(lines(view)))
            time.sleep(POLL)
    return view


@contextmanager
def _display() -> Iterator[Callable[[str], None]]:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(stderr=True), transient=True) as live:
            yield lambda text: live.update(Text(text), refresh=True)
        return
    shown_at = 0.0

    def show_sometimes(text: str) -> None:
        nonlocal shown_at
        if not shown_at or time.monotonic() - shown_at >= EVERY:
            shown_at = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    yield show_sometimes


def _write_log(warehouse: Warehouse, job_id: int, path: Path) -> None:
    from loaders.engine import job_status

    text = "".join(
        json_.dumps(line, ensure_ascii=False, default=str) + "\n"
        for line in job_status.read_log(warehouse, job_id)
    )
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with whole_file.explain_unwritable(path, error=UsageError):
        path.write_text(text, "utf-8")
    print(f"{path}: {text.count(chr(10)):,} lines", file=sys.stderr)
