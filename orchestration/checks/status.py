"""Status: the last loads and builds, freshness of datasets, problems and fixes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from loaders import log
from loaders.check import Check
from loaders.engine import job_list
from loaders.settings import Settings
from loaders.ticks.store_state import TickStoreState
from loaders.warehouse.timescale import Timescale
from orchestration.checks.gather import STATUS, gather
from orchestration.checks.place import Place, Records
from orchestration.run import findings
from orchestration.run.findings import Finding
from quotemill.errors import UpstreamError
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Status:
    """Status of loads, builds and data."""

    loads: dict[str, Any]
    builds: list[dict[str, Any]]
    freshness: list[dict[str, Any]]
    findings: list[Finding]
    problems: list[Check]  # each with its fix
    ticks: TickStoreState | None = None  # None: no ticks are stored
    timescale: Timescale | None = None  # None: no warehouse yet

    def as_json(self) -> dict[str, Any]:
        tally = findings.tally(self.findings)
        return {
            **self.loads,
            "builds": self.builds,
            "freshness": self.freshness,
            "findings": tally.counts,
            "new_findings": tally.new,
            "acknowledged_findings": tally.acknowledged,
            "tick_store": self.ticks.as_json() if self.ticks else None,
            "timescale": asdict(self.timescale) | {"off": self.timescale.off}
            if self.timescale
            else None,
            "problems": [c.as_json() | {"problem": c.sentence} for c in self.problems],
        }


def read_status(
    settings: Settings,
    warehouse: Warehouse | None,
    limit: int = 5,
    as_of: datetime | None = None,
    *,
    with_findings: bool = True,
) -> Status:
    """Read the status; works on an empty warehouse and without one. Raises UpstreamError.

    Findings are most of its time over a large warehouse.
    """
    place = Place(settings, warehouse, as_of or datetime.now(UTC), as_of, limit)
    try:
        records = place.records
    except Exception as error:
        if isinstance(log.explain(error), UpstreamError):  # it is unreachable
            raise
        # else a failed check, which hides no other
        label = {"warehouse": warehouse.label} if warehouse else {}
        records = Records(job_list.report(None) | label)
    checks = gather(place, (*STATUS, "findings") if with_findings else STATUS)
    return Status(
        records.loads,
        records.builds,
        place.known("freshness") or [],
        (place.known("findings") or []) if with_findings else [],
        [check for check in checks if check.verdict != "ok"],
        place.known("ticks"),
        records.timescale,
    )


def group_by_fix(problems: Iterable[Check]) -> dict[str, list[Check]]:
    """Problems by what repairs them, in their order."""
    groups: dict[str, list[Check]] = {}
    for check in problems:
        groups.setdefault(check.fix, []).append(check)
    return groups
