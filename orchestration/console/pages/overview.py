"""The first page: what needs attention, when loads and builds ran, how far the data are."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import psycopg

from loaders import sources
from loaders.engine import job_list
from orchestration.checks import status
from orchestration.console.api.schedules import find_expected, read_listing
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.console.starting import find_options
from orchestration.report.page import name_status_class
from orchestration.run import build_record
from orchestration.schedule import ledger

SHOWN = 10  # starts
WINDOW = timedelta(days=14)  # of the lanes, or as long ago as what ran last
MOST = 300  # loads of a lane, builds
WIDTH, LEAST = 1000.0, 4.0  # of a lane, and of a load or build in it
# datasets by which the newest day of prices is shown
PRICES = ("kline_daily", "ticks", "chain_snapshot", "chain_close")
Row = dict[str, Any]


def gather(console: Console) -> Mapping[str, Any]:
    settings = console.settings()
    warehouse = console.find_warehouse()
    shown = status.read_status(settings, warehouse, 1, console.at, with_findings=False)
    jobs = shown.loads["jobs"]
    is_first = not (shown.builds or shown.freshness)
    # a server dates loads and builds by its clock, whatever time the state is shown as of
    now = console.clock()
    return {
        "status": shown,
        "home": str(settings.home),
        "first": jobs[0] if is_first and jobs and jobs[0]["status"] == "running" else None,
        "is_unread": any(c.name == "load" and c.verdict == "fail" for c in shown.problems),
        "problems": status.group_by_fix(shown.problems),
        "buttons": {check.fix for check in shown.problems if find_options(check.fix) is not None},
        "lanes": console.read(lambda conn: _read_lanes(conn, now)) if jobs else {},
        "newest": {
            row["dataset"]: row["last_date"]
            for name in PRICES
            for row in shown.freshness
            if row["dataset"] == name and row["last_date"]
        },
        "due": sum(row["expected_date"] is not None for row in shown.freshness),
        "stale": sum(row["is_stale"] for row in shown.freshness),
    }


def _read_lanes(conn: psycopg.Connection, now: datetime) -> dict[str, Any]:
    """A lane of loads for each source and one of builds, each with its last; from when to when."""
    newest = {job["source"]: job for job in job_list.newest_jobs(conn)}
    builds = build_record.recent(conn, MOST)
    last = max(row["started_at"] for row in (*newest.values(), *builds[:1]))
    now = max(now, last + timedelta(seconds=1))  # the server's clock may be ahead of this one
    since = min(now - WINDOW, last)
    loads: dict[str, list[Row]] = {source: [] for source in newest}
    for job in job_list.jobs_between(conn, since, now, MOST):
        loads[job["source"]].append(job)
    # a warehouse of today shows today
    rows = [*chain(*loads.values()), *builds]
    since = max(since, min(row["started_at"] for row in rows))
    shown: list[Row] = [
        {"name": source, "last": newest[source], "spans": arrange_spans(jobs, since, now)}
        for source, jobs in loads.items()
    ]
    if builds:
        spans = arrange_spans(builds, since, now)
        shown.append({"name": None, "last": builds[0], "spans": spans})
    for lane in shown:
        lane["last"]["error"] = scrub(lane["last"]["error"])
    zone = sources.find_common_zone(newest)
    return {"since": since, "until": now, "lanes": shown, "width": WIDTH, "zone": zone}


def arrange_spans(rows: Iterable[Row], since: datetime, now: datetime) -> list[Row]:
    """Where loads or builds of a time stand in a lane, and their class; short ones stay visible."""
    spans = []
    for row in rows:
        if row["started_at"] < since:
            continue
        start, end = (
            (at - since) / (now - since) * WIDTH
            for at in (row["started_at"], row["finished_at"] or now)
        )
        width = max(LEAST, end - start)
        kind = name_status_class(row["status"])
        spans.append({"x": min(start, WIDTH - width), "width": width, "kind": kind, "row": row})
    return spans


def gather_starts(console: Console) -> Mapping[str, Any]:
    """The next starts of jobs that a scheduler has written down, or what makes one do so.

    The first page comes without them: calendars take long to import.
    """
    listing = read_listing(console)
    expected = find_expected(listing, console.now)
    jobs = [job for job in listing.describe(console.now) if job["job"] in expected]
    coming = sorted((job for job in jobs if job["next_start"]), key=lambda job: job["next_start"])
    # a new home has its first load before it
    lacks_scheduler = console.find_warehouse() is not None and listing.jobs and not expected
    return {
        "coming": coming[:SHOWN],
        "install": ledger.name_install() if lacks_scheduler else None,
    }
