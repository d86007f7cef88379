"""Everything that the page shows, read once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from loaders.settings import Settings
from orchestration.checks import status
from orchestration.checks.place import set_time
from orchestration.checks.status import Status
from orchestration.report import coverage, runs, space
from orchestration.report.grid import Grid
from orchestration.report.runs import Runs
from orchestration.report.space import Space
from orchestration.run import findings
from orchestration.run.findings import Finding
from quotemill.warehouse.postgres import Warehouse

SHOWN = 20  # findings listed for each check
YEAR = timedelta(days=365)  # some 250 trading days


@dataclass(frozen=True)
class FindingGroup:
    """Findings of a check and severity.

    `count` is of all, `new` and `acknowledged` are parts of it; `shown` are the first few.
    """

    check: str
    severity: str
    count: int
    new: int
    acknowledged: int
    shown: tuple[Finding, ...]


@dataclass(frozen=True)
class Report:
    """The content of the page, judged as of `as_of`."""

    as_of: datetime
    since: date
    warehouse: str
    status: Status
    runs: Runs
    grids: tuple[Grid, ...]
    findings: tuple[FindingGroup, ...]
    space: Space | None


def gather(
    settings: Settings,
    warehouse: Warehouse | None,
    since: date | None,
    as_of: datetime | None,
    listed: Sequence[Finding] | None = None,
) -> Report:
    """Read everything; works with an empty warehouse, and without one.

    Without `since` the window is the year up to the newest data: a folder that was copied years ago
    still shows what it holds. `listed`: the findings, where a run has just read them.
    """
    now = (as_of or datetime.now(UTC)).astimezone(UTC)
    state = status.read_status(settings, warehouse, 5, as_of, with_findings=listed is None)
    newest = max((row["last_date"] for row in state.freshness if row["last_date"]), default=None)
    until = now.date() if newest is None or since else min(newest, now.date())
    since = since or until - YEAR
    if warehouse is None:
        return Report(now, since, "none yet", state, Runs(), (), (), None)
    with warehouse.connect() as conn:
        conn.execute("set transaction isolation level repeatable read, read only")
        # the whole market has 650,000 groups of a code and a column: keep them off the disk
        conn.execute("set local work_mem = '64MB'")
        set_time(conn, as_of)
        return Report(
            as_of=now,
            since=since,
            warehouse=warehouse.label,
            status=state,
            runs=runs.read_runs(conn, datetime.combine(since, datetime.min.time(), UTC), now),
            grids=tuple(coverage.grids(conn, warehouse, settings, since, now, state, until)),
            findings=_group_findings(state.findings if listed is None else listed),
            space=space.read_space(conn, settings),
        )


def _group_findings(listed: Sequence[Finding]) -> tuple[FindingGroup, ...]:
    """Findings by severity, most severe first, then by check, as they are listed."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in listed:
        groups.setdefault((finding.severity, finding.check_name), []).append(finding)
    return tuple(_summarize(check, name, group) for (name, check), group in groups.items())


def _summarize(check: str, severity: str, group: list[Finding]) -> FindingGroup:
    """Count a group; its first findings are the new ones, then those of the newest days."""
    counts = Counter(finding.state for finding in group)
    group.sort(key=lambda f: f.trade_date or date.max, reverse=True)
    group.sort(key=lambda f: findings.STATES.index(f.state))
    return FindingGroup(
        check=check,
        severity=severity,
        count=len(group),
        new=counts["new"],
        acknowledged=counts["acknowledged"],
        shown=tuple(group[:SHOWN]),
    )
