"""The page of history: runs, each with its loads and builds, and the commands of this console."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from loaders import sources
from loaders.engine import job_list
from orchestration.console.api.commands import describe_command
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.run import build_record, history

SHOWN = 30  # loads of a page
MOST = 300  # builds of the same time
LONGEST = timedelta(days=1)  # of a run, before the first load that a page shows of it
LOADING, BUILDING = {"run", "load", "retry"}, {"run", "load", "retry", "build"}  # commands
Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A run, load or build; `parts` are the loads and builds of a run."""

    kind: str
    row: Row
    parts: list["Entry"] = field(default_factory=list)

    @property
    def started_at(self) -> datetime:
        at: datetime = self.row["started_at"]
        return at


def gather(console: Console, before: int | None) -> Mapping[str, Any]:
    """The newest runs, loads and builds; with `before`, those from the load of a number back."""
    warehouse = console.find_warehouse()
    listed = console.commands.list_all()[:SHOWN]
    commands = [describe_command(console, command) for command in listed]
    if warehouse is None:
        return {"entries": [], "older": None, "commands": commands}
    loads = job_list.list_recent(warehouse, SHOWN, before=before)
    has_more = len(loads) == SHOWN

    def read(conn: psycopg.Connection) -> list[Entry]:
        since = loads[-1]["started_at"] if has_more else None
        until = job_list.find_start(conn, before) if before else None
        builds = build_record.recent(conn, MOST, since, until)
        runs = history.recent(conn, SHOWN, since and since - LONGEST, until)
        entries = group_by_run(runs, loads, builds)
        return [e for e in entries if e.parts or since is None or e.started_at >= since]

    entries = console.read(read)
    for entry in entries:
        for shown in (entry, *entry.parts):
            shown.row["error"] = scrub(shown.row["error"])
            if shown.kind == "build":
                shown.row["words"] = build_record.describe_command(shown.row["command"])
    older = loads[-1]["job_id"] if has_more else None
    return {"entries": entries, "older": older, "commands": commands}


def group_by_run(runs: Iterable[Row], loads: Iterable[Row], builds: Iterable[Row]) -> list[Entry]:
    """Runs, newest first, each with its loads and builds; those of no run stand among them.

    A load or build is of the run in which it started: of the same process, or else of the only one
    whose command may have started it.
    """
    entries = [Entry("run", run) for run in runs]
    alone: list[Entry] = []
    parts = [Entry("load", load) for load in loads] + [Entry("build", build) for build in builds]
    for part in sorted(parts, key=lambda part: part.started_at):
        fitting = [entry for entry in entries if _may_start(entry.row, part)]
        exact = [entry for entry in fitting if _is_by(entry.row, part.row)]
        owners = exact or fitting
        (owners[0].parts if len(owners) == 1 else alone).append(part)
    return sorted([*entries, *alone], key=lambda entry: entry.started_at, reverse=True)


def _may_start(run: Row, part: Entry) -> bool:
    """Whether a load or build started in a run whose command has such."""
    if not run["started_at"] <= part.started_at <= (run["finished_at"] or part.started_at):
        return False
    words = set(run["command"].split())
    if part.kind == "build":
        return bool(words & BUILDING) and "loaders" not in words
    is_of_others = bool(words & (sources.MODULES.keys() - {part.row["source"]}))
    is_here = f"@{run['host']} pid " in part.row["requested_by"]
    return bool(words & LOADING) and is_here and not is_of_others


def _is_by(run: Row, row: Row) -> bool:
    return bool(row.get("requested_by", "").endswith(f"@{run['host']} pid {run['pid']}"))
