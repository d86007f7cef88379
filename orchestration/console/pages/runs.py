"""Pages of what ran: runs, each with its loads and builds, one run or build with its log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from loaders import sources
from loaders.engine import job_list
from orchestration.checks import logscan
from orchestration.console.api.commands import describe_command
from orchestration.console.context import Console
from orchestration.console.errors import NotThere, scrub
from orchestration.console.pages.loading import describe_build, measure_seconds
from orchestration.run import build_record, history
from quotemill.errors import UsageError

SHOWN = 30  # loads of a page
MOST = 300  # builds of the same time
LINES = 500  # of the log of a run or build
CLOCKS_APART = timedelta(minutes=10)  # of this machine, which logs, and of the server
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


def gather(console: Console, before: int | None = None) -> Mapping[str, Any]:
    """The newest runs, loads and builds; with `before`, those from the load of a number back."""
    listed = console.commands.list_all()[:SHOWN]
    commands = [describe_command(console, command) for command in listed]
    loads = console.read_any(lambda conn: job_list.recent_jobs(conn, SHOWN, before=before))
    if loads is None:
        return {"entries": [], "older": None, "commands": commands}
    has_more = len(loads) == SHOWN

    def read(conn: psycopg.Connection) -> list[Entry]:
        since = loads[-1]["started_at"] if has_more else None
        until = job_list.find_start(conn, before) if before else None
        runs = history.recent(conn, SHOWN, since and since - LONGEST, until)
        entries = group_by_run(runs, loads, build_record.recent(conn, MOST, since, until))
        return [e for e in entries if e.parts or since is None or e.started_at >= since]

    older = loads[-1]["job_id"] if has_more else None
    entries = _describe(console, console.read(read))
    return {"entries": entries, "older": older, "commands": commands} | _find_zone(loads)


def gather_run(console: Console, run_id: str) -> Mapping[str, Any]:
    """A recorded run with its loads and builds and the end of its log. Raises NotThere."""

    def read(conn: psycopg.Connection) -> Entry | None:
        run = history.find(conn, run_id)
        if run is None:
            return None
        since, until = run["started_at"], run["finished_at"] or console.clock() + CLOCKS_APART
        others = history.recent(conn, SHOWN, since - LONGEST, until)
        entries = group_by_run(
            [run, *(other for other in others if other["run_id"] != run_id)],
            job_list.jobs_between(conn, since, until, SHOWN),
            build_record.recent(conn, MOST, since, until),
        )
        return next(entry for entry in entries if entry.row is run)

    entry = console.read_any(read)
    if entry is None:
        raise NotThere(f"there is no run {run_id[:40]}", hint="See the History page.")
    _describe(console, [entry])
    shown = _add_log(console, "run", run_id, entry.row) | {"entries": entry.parts}
    return shown | _find_zone(part.row for part in entry.parts if part.kind == "load")


def gather_build(console: Console, build_id: int) -> Mapping[str, Any]:
    """A recorded build with the end of its log. Raises NotThere."""
    build = console.read_any(lambda conn: build_record.find(conn, build_id))
    if build is None:
        raise NotThere(f"there is no build {build_id}", hint="See the History page.")
    return _add_log(console, "build", build_id, describe_build(console, build)) | {"entries": []}


def _add_log(console: Console, what: str, number: str | int, row: Row) -> dict[str, Any]:
    """A row of `ops` and the end of its lines in the log of this home, which name it as `what`."""
    since = row["started_at"] - CLOCKS_APART
    until = (row["finished_at"] or console.clock()) + CLOCKS_APART
    unreadable, lines = None, []
    try:
        lines = logscan.read_lines(console.settings().home / "logs", since, until, what, number)
    except UsageError as error:
        unreadable = scrub(str(error))
    return {
        "what": what,
        "number": number,
        "row": row,
        "log": [scrub(line) for line in lines[-LINES:]],
        "more": max(0, len(lines) - LINES),
        "unreadable": unreadable,
    }


def _find_zone(loads: Iterable[Row]) -> dict[str, str]:
    """The `zone` of a page about loads whose exchanges have one."""
    zone = sources.find_common_zone(load["source"] for load in loads)
    return {"zone": zone} if zone else {}


def _describe(console: Console, entries: list[Entry]) -> list[Entry]:
    """Add to each row what pages say about it."""
    for entry in entries:
        _describe(console, entry.parts)
        if entry.kind == "build":
            entry.row.update(describe_build(console, entry.row))
            continue
        seconds = measure_seconds(console, entry.row)
        entry.row.update(error=scrub(entry.row["error"]), failures=(), seconds=seconds)
    return entries


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
