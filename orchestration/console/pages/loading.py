"""Pages of loads: the form, one load with its progress, one command with its output."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from loaders import sources
from loaders.engine import job_list, job_status, jobs
from loaders.engine.jobs import OPEN
from loaders.settings import Settings
from loaders.settings.sections import section_types
from orchestration.console.api.commands import describe_command
from orchestration.console.api.jobs import Task, describe_job
from orchestration.console.api.sandbox import find_sandbox
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.console.processes import Command
from orchestration.console.watching import JobWatch
from orchestration.run import build_record

SHOWN = 10  # loads
LINES = 60  # of a log
TASKS, ENDED_TASKS = 40, 10  # of a load, and those of them that ended
FAILURES = 40  # of a load
_FAILURE = re.compile(r"; (?=\w+: )")  # between two of a build
USUAL, FIRST = "incremental", "init"
TUNING = ("concurrency", "batch_size")


def gather_form(console: Console) -> Mapping[str, Any]:
    """The sources that can be loaded, and the last loads."""
    settings = console.settings()
    configured, missing = sources.configured(settings)
    newest = console.read_any(job_list.newest_jobs) or []
    loaded = {job["source"] for job in newest}
    return {
        "sources": [
            describe_source(name, settings, is_first=name not in loaded) for name in configured
        ],
        "missing": missing,
        "sandbox": find_sandbox(console, settings),
        "jobs": console.read_any(lambda conn: job_list.recent_jobs(conn, SHOWN)) or [],
    }


def describe_source(name: str, settings: Settings, *, is_first: bool) -> dict[str, Any]:
    """The choices in the form of a load; `mode` is the one that it starts with."""
    source = sources.find(name)
    fields = section_types()[name].model_fields
    mode = FIRST if is_first and FIRST in source.requests.modes else USUAL
    named = {dataset for datasets in source.requests.modes.values() for dataset in datasets}
    return {
        "name": name,
        "modes": source.requests.modes,
        "mode": mode,
        "datasets": [dataset.name for dataset in source.datasets] if named else [],
        "exchanges": source.requests.exchanges,
        "tuning": {
            option: getattr(getattr(settings, name), option)
            for option in TUNING
            if option in fields
        },
        "by_symbol": "universe" in fields,  # a list of underlyings
        "is_first": is_first,
    }


def gather_job(
    console: Console, watch: JobWatch, job_id: int, tasks: str = ""
) -> Mapping[str, Any]:
    """A load with the build after it, some or all of its tasks and failures, the end of its log."""
    view = watch.read(job_id)
    warehouse = console.require_warehouse()
    lines = list(job_status.read_log(warehouse, job_id, last=LINES))[-LINES:]
    job = describe_job(view, job_status.read_tasks(warehouse, job_id))
    shown = job.tasks if tasks == "all" else choose_tasks(job.tasks)
    command = find_command(console, view.job)
    has_rows = any(task.rows_new or task.rows_changed for task in job.tasks)
    return {
        "job": job,
        "command": command,
        # no build is of a load without rows
        "build": find_build(console, job.finished_at) if has_rows or command else None,
        "failures": job.failures if tasks == "all" else job.failures[:FAILURES],
        "tasks": shown,
        "more_tasks": len(job.tasks) - len(shown),
        "log": [scrub(line) for line in lines],
    }


def find_build(console: Console, ended_at: datetime | None) -> dict[str, Any] | None:
    """The first build after a load, which its rows are in."""
    if ended_at is None:
        return None
    build = console.read(lambda conn: build_record.find_next(conn, ended_at))
    if build is None:
        return None
    return describe_build(console, build)


def describe_build(console: Console, build: dict[str, Any]) -> dict[str, Any]:
    """A build with what pages say about it; `failures` are of models and tests by name."""
    error = scrub(build["error"])
    parts = _FAILURE.split(error) if error else []
    return build | {
        "error": error,
        "failures": [_split_name(part) for part in parts],
        "seconds": measure_seconds(console, build),
        "words": build_record.describe_command(build["command"]),
    }


def _split_name(failure: str) -> tuple[str, str]:
    """The name of a model or test and what it says; no name where a build failed otherwise."""
    name, _, text = failure.partition(": ")
    return (name, text) if re.fullmatch(r"\w+", name) else ("", failure)


def measure_seconds(console: Console, row: Mapping[str, Any]) -> float | None:
    """How long a run, load or build took, or has taken so far; None of one that was cut short."""
    if row["finished_at"] is None and row["status"] != "running":
        return None
    taken: timedelta = (row["finished_at"] or console.clock()) - row["started_at"]
    return max(0.0, taken.total_seconds())


def find_command(console: Console, job: Mapping[str, Any]) -> Command | None:
    """The command of this home's consoles that started a job; it may build, or load more."""
    earlier = (c for c in console.commands.list_all() if c.started_at <= job["started_at"])
    return next((c for c in earlier if jobs.requester(c.pid) == job["requested_by"]), None)


def choose_tasks(tasks: Sequence[Task]) -> list[Task]:
    """The tasks about the place that a load has reached: the last that ended, and those that wait.

    One that was asked to be the last may be further on; the job names it.
    """
    reached = next((n for n, task in enumerate(tasks) if task.status in OPEN), len(tasks))
    first = max(0, reached - ENDED_TASKS)
    return list(tasks[first : first + TASKS])


def gather_command(console: Console, run_id: str) -> Mapping[str, Any]:
    """A command that this home's consoles started, with the end of its output."""
    command = console.commands.find(run_id)
    return {
        "command": describe_command(console, command),
        "output": console.commands.read_output(command),
    }
