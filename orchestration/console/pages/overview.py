"""The first page: what needs attention, how far the data are, what ran, and what runs next."""

from collections.abc import Mapping
from typing import Any

from orchestration.checks import status
from orchestration.console.api.schedules import read_listing
from orchestration.console.context import Console
from orchestration.console.starting import find_options
from orchestration.run import history
from orchestration.schedule import ledger

SHOWN = 10  # loads, starts
NIGHTS = 30  # runs in the strip
KINDS = {"succeeded": "good", "partial": "warn", "running": "warn", "cancelled": "warn"}


def gather(console: Console) -> Mapping[str, Any]:
    settings = console.settings()
    at = console.at
    as_of = at.isoformat() if at else None
    shown = status.read_status(
        console.find_warehouse(), SHOWN, as_of, settings, with_findings=False
    )
    nights = console.read_any(lambda conn: history.recent(conn, NIGHTS)) or []
    return {
        "status": shown,
        "home": str(settings.home),
        "buttons": {check.fix for check in shown.problems if find_options(check.fix) is not None},
        "nights": [
            run | {"kind": KINDS.get(run["status"], "bad")} for run in reversed(nights[:NIGHTS])
        ],
    }


def gather_starts(console: Console) -> Mapping[str, Any]:
    """The next starts of jobs that a scheduler has promised, and of which it has missed none.

    The first page comes without them: calendars take long to import.
    """
    listing = read_listing(console)
    late = {
        row.name for row in ledger.list_overdue(listing.rows.values(), listing.jobs, console.now)
    }
    promised = {n for n, row in listing.rows.items() if row.next_run_at is not None} - late
    jobs = [job for job in listing.describe(console.now) if job["job"] in promised]
    coming = sorted((job for job in jobs if job["next_start"]), key=lambda job: job["next_start"])
    return {"coming": coming[:SHOWN]}
