"""The first page: what needs attention, how far the data are, what runs next and what ran."""

from collections.abc import Mapping
from typing import Any

from orchestration.checks import status
from orchestration.console.context import Console
from orchestration.console.starting import find_options
from orchestration.run import history
from orchestration.schedule import ledger
from orchestration.schedule.listing import list_jobs

SHOWN = 10  # loads, starts
NIGHTS = 30  # runs in the strip
KINDS = {"succeeded": "good", "partial": "warn", "running": "warn", "cancelled": "warn"}


def gather(console: Console) -> Mapping[str, Any]:
    settings = console.settings()
    warehouse = console.find_warehouse()
    at = console.at
    shown = status.read(warehouse, SHOWN, at.isoformat() if at else None, settings)
    rows = warehouse.ask(ledger.read_rows, patient=False) if warehouse else []
    nights = (
        warehouse.ask(lambda conn: history.recent(conn, NIGHTS), patient=False) if warehouse else []
    )
    jobs = list_jobs(settings, {row.name: row for row in rows}).describe(console.now)
    coming = sorted((job for job in jobs if job["next_start"]), key=lambda job: job["next_start"])
    return {
        "status": shown,
        "home": str(settings.home),
        "buttons": {check.fix for check in shown.problems if find_options(check.fix) is not None},
        "coming": coming[:SHOWN],
        "nights": [
            run | {"kind": KINDS.get(run["status"], "bad")} for run in reversed(nights[:NIGHTS])
        ],
    }
