"""Pages of loads: the form, one load with its progress, one command with its output."""

from collections.abc import Mapping
from typing import Any

from loaders import sources
from loaders.engine import job_list, job_status
from loaders.settings.sections import section_types
from orchestration.console.api.commands import describe_command
from orchestration.console.api.jobs import describe_job
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.console.watching import JobWatch

SHOWN = 10  # loads
LINES = 60  # of a log
TUNING = ("concurrency", "batch_size")


def gather_form(console: Console) -> Mapping[str, Any]:
    """The sources that can be loaded, and the last loads."""
    warehouse = console.find_warehouse()
    configured, _ = sources.configured(console.settings())
    return {
        "sources": [_describe_source(name) for name in configured],
        "jobs": job_list.list_recent(warehouse, SHOWN) if warehouse else [],
    }


def _describe_source(name: str) -> dict[str, Any]:
    fields = section_types()[name].model_fields
    return {
        "name": name,
        "datasets": [dataset.name for dataset in sources.find(name).datasets],
        "tuning": [option for option in TUNING if option in fields],
        "by_symbol": "universe" in fields,  # a list of underlyings
    }


def gather_job(console: Console, watch: JobWatch, job_id: int) -> Mapping[str, Any]:
    """A load with the end of its log."""
    view = watch.read(job_id)
    warehouse = console.require_warehouse()
    lines = list(job_status.read_log(warehouse, job_id))[-LINES:]
    return {
        "job": describe_job(view, job_status.read_tasks(warehouse, job_id)),
        "log": [_write_line(scrub(line)) for line in lines],
    }


def _write_line(line: Mapping[str, Any]) -> str:
    about = (line.get(name) for name in ("dataset", "code"))
    shown = " ".join(str(value) for value in about if value)
    return f"{line['at'][:19]} {line['level']:<7} {shown} {line['event']}"


def gather_command(console: Console, run_id: str) -> Mapping[str, Any]:
    """A command that this home's consoles started, with the end of its output."""
    command = console.commands.find(run_id)
    return {
        "command": describe_command(console, command),
        "output": console.commands.read_output(command),
    }
