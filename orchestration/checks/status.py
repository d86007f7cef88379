"""Status: the last loads and builds, freshness of datasets, problems and fixes."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders import sources
from loaders.engine import job_list
from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.ticks.store_state import TickStoreState
from loaders.warehouse import timescale
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.timescale import Timescale
from orchestration.run import build_record, findings
from orchestration.run.findings import Finding
from orchestration.schedule import jobs as scheduled
from orchestration.schedule import ledger

NO_ACTIONS = (
    "no source of corporate actions was ever read, so adjusted prices equal raw ones: "
    "set QUOTEMILL_TDX__CORPORATE_ACTIONS"
)


@dataclass(frozen=True)
class Status:
    """Status of loads, builds and data."""

    loads: dict[str, Any]
    builds: list[dict[str, Any]]
    freshness: list[dict[str, Any]]
    findings: list[Finding]
    fixes: list[tuple[str, str]]  # problem, fix
    ticks: TickStoreState | None = None  # None: no ticks are stored
    timescale: Timescale | None = None  # None: no warehouse yet

    def as_json(self) -> dict[str, Any]:
        judged = findings.tally(self.findings)
        return {
            **self.loads,
            "builds": self.builds,
            "freshness": self.freshness,
            "findings": judged.counts,
            "new_findings": judged.new,
            "acknowledged_findings": judged.acknowledged,
            "tick_store": self.ticks.as_json() if self.ticks else None,
            "timescale": asdict(self.timescale) | {"off": self.timescale.off}
            if self.timescale
            else None,
            "mends": [{"wrong": wrong, "mend": mend} for wrong, mend in self.fixes],
        }


def read(
    warehouse: Warehouse | None,
    limit: int = 5,
    as_of: str | None = None,
    settings: Settings | None = None,
) -> Status:
    """Read the status; works on an empty warehouse and without one.

    Without `settings`, ticks, scheduled jobs and sources that never loaded are not checked.
    """
    loads = job_list.report(warehouse, limit)
    nothing = Status(loads, [], [], [], [("nothing was loaded yet", "quotemill run")])
    if warehouse is None:
        return nothing
    with warehouse.connect() as conn, conn.cursor(row_factory=dict_row) as cur:
        edition = timescale.find(conn)
        if not loads["jobs"]:
            return replace(nothing, timescale=edition)
        newest = job_list.newest_jobs(conn)
        if as_of:
            cur.execute("select set_config('quotemill.as_of', %s, false)", (as_of,))
        builds = cur.execute(
            f"select b.*, {build_record.STATUS} as status from ops.builds as b "
            "order by b.build_id desc limit %s".encode(),
            (limit,),
        ).fetchall()
        freshness, judged = _judged(conn, warehouse.inner_schema("qa"))
        actions = cur.execute(
            "select exists (select 1 from ops.ingestion_state where dataset = 'corporate_actions') "
            "or not exists (select 1 from ops.ingestion_jobs where source = 'tdx') as known"
        ).fetchone()
        is_stale = any(row["is_stale"] for row in freshness)
        now = datetime.fromisoformat(as_of) if as_of else datetime.now(UTC)
        idle = list(_not_started(conn, settings, now, is_stale)) if settings is not None else []
    fixes = [
        _of_load(job) for job in reversed(newest) if job["status"] not in ("running", "succeeded")
    ]
    fixes += never_loaded(settings, newest) if settings is not None else []
    if not builds and not freshness:  # a build by plain dbt leaves no record
        fixes.append(("nothing was built yet", "quotemill build"))
    elif builds and builds[0]["status"] in ("failed", "interrupted"):
        wrong = f"build {builds[0]['build_id']} {builds[0]['status']}"
        fixes.append((_because(wrong, builds[0]["error"]), "quotemill build"))
    if actions is not None and not actions["known"]:
        fixes.append((NO_ACTIONS, "quotemill run"))
    for row in freshness:
        if row["is_stale"]:
            ends = f"ends {row['last_date']}" if row["last_date"] else "has no row"
            wrong = f"{row['dataset']} {ends}, expected {row['expected_date']}"
            fixes.append((wrong, "quotemill run"))
    fixes += idle
    ticks = None
    if settings is not None and store_state.is_used(settings, warehouse):
        ticks = store_state.read_state(settings, warehouse)
        fixes += ticks.problems
    return Status(loads, builds, freshness, judged, fixes, ticks, edition)


def _not_started(
    conn: psycopg.Connection, settings: Settings, now: datetime, is_stale: bool
) -> Iterator[tuple[str, str]]:
    """Jobs that did not start: overdue ones, and disabled ones if data are stale."""
    rows = ledger.read_rows(conn)
    known, _ = scheduled.survey(settings, rows)  # the doctor reports unreadable jobs
    for row in ledger.list_overdue(rows, known, now):
        yield (
            f"nobody started {row.name} of {row.next_run_at:%Y-%m-%d %H:%M} UTC",
            "quotemill doctor",
        )
    for row in rows if is_stale else ():
        if row.name in known and not row.is_enabled:
            yield f"{row.name} is disabled", f"quotemill schedule enable {row.name}"


def never_loaded(settings: Settings, newest: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Configured sources without any load, if other sources have one.

    `newest` is the newest job of each source. Freshness does not list datasets of such a source.
    """
    ready, _ = sources.configured(settings)
    known = {job["source"] for job in newest}
    lacking = [source for source in ready if known and source not in known]
    return [
        (f"nothing of {source} was loaded yet", f"quotemill run {source}") for source in lacking
    ]


def _of_load(job: dict[str, Any]) -> tuple[str, str]:
    """A load that did not succeed, with the reason, and its fix."""
    why = job["error"] or (f"{job['failed']:,} keys failed" if job["failed"] else "")
    wrong = f"load {job['job_id']} of {job['source']} {job['status']}"
    return _because(wrong, why), f"loaders retry {job['job_id']}"


def _because(wrong: str, why: str | None) -> str:
    return f"{wrong}: {why}" if why else wrong


def _judged(conn: psycopg.Connection, qa: str) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Freshness and findings; empty before the first build."""
    if not has_relation(conn, f"{qa}.freshness"):
        return [], []
    with conn.cursor(row_factory=dict_row) as cur:
        freshness = cur.execute(
            f"select * from {qa}.freshness order by dataset".encode()
        ).fetchall()
    return freshness, findings.read(conn, qa)
