"""Everything wrong with the data: findings, and keys that loads could not load, in one list."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from loaders.check import Check
from loaders.engine import failed_keys
from loaders.engine.failed_keys import FailedKey
from loaders.engine.jobs import requester
from orchestration.checks.place import set_time
from orchestration.run import findings
from orchestration.run.findings import Finding, Judgement
from quotemill.errors import UsageError
from quotemill.readers.listed import require_known
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


@dataclass(frozen=True)
class Wrong:
    """Findings, most severe first, and keys that failed and were not loaded since."""

    findings: list[Finding] = field(default_factory=list)
    failed_keys: list[FailedKey] = field(default_factory=list)
    is_checked: bool = False  # whether a build has made the checks

    @property
    def counts(self) -> Judgement:
        return replace(findings.tally(self.findings), is_checked=self.is_checked)

    @property
    def checks(self) -> list[Check]:
        return [*(f.check for f in self.findings), *(f.check for f in self.failed_keys)]

    def as_json(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "counts": counts.counts,
            "new": counts.new,
            "acknowledged": counts.acknowledged,
            "failed_keys": [asdict(failure) for failure in self.failed_keys],
            "checks": [check.as_json() for check in self.checks],
        }


def read_wrong(
    warehouse: Warehouse | None,
    *,
    severity: str | None = None,
    states: Sequence[str] = findings.STATES,
    as_of: datetime | None = None,
) -> Wrong:
    """Everything that is wrong, as of a time; empty without a warehouse."""
    _check_severity(severity)
    if warehouse is None:
        return Wrong()
    with warehouse.connect() as conn:
        set_time(conn, as_of)
        qa = warehouse.inner_schema("qa")
        listed = findings.list_findings(conn, qa, severity=severity, states=states)
        is_checked = has_relation(conn, f"{qa}.findings")
        return Wrong(listed, failed_keys.read_failures(conn), is_checked)


def acknowledge(
    warehouse: Warehouse | None,
    names: Sequence[str],
    reason: str,
    *,
    severity: str | None = None,
    as_of: datetime | None = None,
) -> int:
    """Acknowledge findings by number or check, and failed keys; return how many.

    Raises UsageError where nothing has such a name.
    """
    _check_severity(severity)
    if warehouse is None:
        raise UsageError("there are no findings yet", hint="Run `quotemill run`.")
    by = requester().partition(" pid ")[0]
    with warehouse.connect() as conn:
        set_time(conn, as_of)
        qa = warehouse.inner_schema("qa")
        return findings.acknowledge(conn, qa, names, reason, by, severity)


def _check_severity(severity: str | None) -> None:
    if severity is not None:
        require_known("--severity", [severity], findings.SEVERITIES)
