"""Status: the last loads and builds, freshness of datasets, problems and fixes."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby, starmap
from operator import itemgetter
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders import sources
from loaders.engine import check_runs, job_list
from loaders.engine.check import Check
from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.ticks.store_state import TickStoreState
from loaders.trading_time import format_time
from loaders.warehouse import timescale
from loaders.warehouse.timescale import Timescale
from orchestration.run import build_record, findings, history
from orchestration.run.findings import Finding
from orchestration.run.lags import Lag
from orchestration.schedule import jobs as scheduled
from orchestration.schedule import ledger
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

SHOWN_KEYS = 5  # failed keys of a load


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
            "problems": [{"problem": check.text, "fix": check.fix} for check in self.problems],
        }


def read_status(
    warehouse: Warehouse | None,
    limit: int = 5,
    as_of: str | None = None,
    settings: Settings | None = None,
    fixes: Settings | None = None,
    *,
    with_findings: bool = True,
) -> Status:
    """Read the status; works on an empty warehouse and without one.

    Without `settings`, ticks, scheduled jobs and sources that never loaded are not checked; then
    `fixes` are the settings that the fixes are for. Findings are most of its time over a large
    warehouse.
    """
    loads = job_list.report(warehouse, limit)
    where = fixes or settings
    fix = sources.describe_start(where, "quotemill run") if where else "quotemill run"
    nothing = Status(loads, [], [], [], [_warn("nothing was loaded yet", fix)])
    if warehouse is None:
        return nothing
    qa = warehouse.inner_schema("qa")
    with warehouse.lend(warehouse.connect) as conn, conn.cursor(row_factory=dict_row) as cur:
        edition = timescale.find(conn)
        failed_checks = [*_list_failed_tests(conn), *_list_differences(conn, qa)]
        if not loads["jobs"]:
            return replace(nothing, problems=[*nothing.problems, *failed_checks], timescale=edition)
        newest = job_list.newest_jobs(conn)
        if as_of:
            cur.execute("select set_config('quotemill.as_of', %s, true)", (as_of,))
        builds = build_record.recent(conn, limit)
        is_stopped = bool(builds) and builds[0]["status"] in ("cancelled", "interrupted")
        run = history.find_command(conn, builds[0]["started_at"]) if is_stopped else None
        freshness = _read_freshness(conn, qa)
        loaded = job_list.find_whole_loads(conn)
        rows = findings.list_findings(conn, qa) if with_findings else []
        unadjusted = findings.explain_unadjusted(conn, qa)
        is_stale = any(row["is_stale"] for row in freshness)
        now = datetime.fromisoformat(as_of) if as_of else datetime.now(UTC)
        idle = list(_list_idle_jobs(conn, settings, now, is_stale)) if settings is not None else []
    failures = [row for row in loads["failed_keys"] if row["acknowledged_at"] is None]
    problems = [
        _describe_load(job, [row for row in failures if row["job_id"] == job["job_id"]])
        for job in reversed(newest)
        if job["status"] not in ("running", "succeeded")
    ]
    # a retry builds too
    retry = next((check.fix for check in problems if "quotemill retry" in check.fix), None)
    stopped = {
        job["source"]: _name_retry(job["job_id"], is_later=True)
        for job in newest
        if job_list.is_stopped(job)
    }
    described = {job["job_id"] for job in newest}
    problems += _list_unrepaired([row for row in failures if row["job_id"] not in described])
    problems += list_never_loaded(settings, newest) if settings is not None else []
    # a build by plain dbt leaves no record
    is_loading = any(job["status"] == "running" for job in newest)
    if loads["datasets"] and not builds and not freshness and not is_loading:
        problems.append(_warn("nothing was built yet", retry or "quotemill build"))
    elif builds and builds[0]["status"] not in ("running", "succeeded"):
        text = f"build {builds[0]['build_id']} {builds[0]['status']}"
        # a run that was stopped may have more to do than its build, such as ticks
        problems.append(_warn(_add_reason(text, builds[0]["error"]), f"quotemill {run or 'build'}"))
    for row in freshness:
        if row["is_stale"]:
            ends = f"ends {row['last_date']}" if row["last_date"] else "has no row"
            text = f"{row['dataset']} {ends}, expected {row['expected_date']}"
            fix = "quotemill run"
            if row["source"] in stopped:  # another run would end as its load did
                fix = stopped[row["source"]]
            elif where:
                fix = Lag(
                    row["source"],
                    row["dataset"],
                    row["last_date"],
                    row["expected_date"],
                    row["lag_trading_days"] or 0,
                    loaded_at=loaded.get(row["dataset"]),
                ).describe_fix(where)
            problems.append(_warn(text, fix))
    if unadjusted is not None:
        problems.append(_warn(*unadjusted.split(": ", 1)))
    problems += [*failed_checks, *idle]
    ticks = None
    if settings is not None and store_state.is_used(settings):
        ticks = store_state.read_state(settings, warehouse)
        # a store that is away comes before the loads that it stopped
        problems = [*starmap(_warn, ticks.problems), *problems]
    return Status(loads, builds, freshness, rows, problems, ticks, edition)


def group_by_fix(problems: Iterable[Check]) -> dict[str, list[str]]:
    """The texts of problems by what repairs them, in their order."""
    groups: dict[str, list[str]] = {}
    for check in problems:
        texts = groups.setdefault(check.fix, [])
        if check.text not in texts:
            texts.append(check.text)
    return groups


def _list_idle_jobs(
    conn: psycopg.Connection, settings: Settings, now: datetime, is_stale: bool
) -> Iterator[Check]:
    """Jobs that did not start: overdue ones, and disabled ones if data are stale."""
    rows = ledger.read_rows(conn)
    known, _ = scheduled.survey(settings, rows)  # the doctor reports unreadable jobs
    for row in ledger.list_overdue(rows, known, now):
        start = format_time(row.next_run_at, known[row.name].zone, "minutes")
        yield _warn(f"nothing started {row.name} of {start}", ledger.describe_overdue_fix())
    for row in rows if is_stale else ():
        if row.name in known and not row.is_enabled:
            yield _warn(f"{row.name} is disabled", f"quotemill schedule enable {row.name}")


def _list_failed_tests(conn: psycopg.Connection) -> Iterator[Check]:
    """The newest self-test and verification of each source, where it did not pass."""
    for run in check_runs.read_newest(conn):
        if not run.has_passed:
            text = run.describe(sources.find_zone(run.source))
            yield Check("tests", "warn", text, f"loaders {run.kind} {run.source}")


def _list_differences(conn: psycopg.Connection, qa: str) -> Iterator[Check]:
    """What the newest reconciliation found to differ, by its likely cause."""
    if not has_relation(conn, f"{qa}.reconciliation"):
        return
    query = (
        "select run_id, likely_cause, count(*), count(distinct code), min(code) "
        f"from {qa}.reconciliation where severity = 'warning' group by 1, 2 order by 1, 2"
    )
    for run, cause, count, codes, code in conn.execute(query.encode()):
        whose = code if codes == 1 else f"{codes} codes such as {code}"
        text = f"reconciliation {run}: {say_count(count, 'difference')} of {whose}: {cause}"
        yield Check("tests", "warn", text, "quotemill reconcile")


def list_never_loaded(settings: Settings, newest: list[dict[str, Any]]) -> list[Check]:
    """Configured sources without any load, if other sources have one.

    `newest` is the newest job of each source. Freshness does not list datasets of such a source.
    """
    ready, _ = sources.configured(settings)
    known = {job["source"] for job in newest}
    return [
        _warn(f"nothing of {source} was loaded yet", f"quotemill run {source}")
        for source in ready
        if known and source not in known
    ]


def _describe_load(job: dict[str, Any], failures: list[dict[str, Any]]) -> Check:
    """A load that did not succeed, with the reason, and its fix.

    failures: its keys that can be loaded at another time
    """
    reason = job["error"] or (f"{say_count(job['failed'], 'key')} failed" if job["failed"] else "")
    text = f"load {job['job_id']} of {job['source']} {job['status']}"
    fix = _name_retry(job["job_id"], is_later=job_list.is_stopped(job) or _share_reason(failures))
    if job["error"] is None and job["failed"] and not failures:
        fix = f"loaders run {job['source']}"  # it takes what can be captured now
    elif job["error"] is None and _share_reason(failures):
        reason += f": {failures[0]['reason']}"
    return _warn(_add_reason(text, reason), fix)


def _share_reason(failures: list[dict[str, Any]]) -> bool:
    """Whether several keys failed for one reason: it is of a setting or of the source."""
    return len(failures) > 1 and len({row["reason"] for row in failures}) == 1


def _name_retry(job_id: int, *, is_later: bool) -> str:
    return job_list.name_retry(f"quotemill retry {job_id}", is_later=is_later)


def _list_unrepaired(failures: list[dict[str, Any]]) -> Iterator[Check]:
    """Keys that failed in an earlier load and that no later one has loaded, by load."""
    for job_id, rows in groupby(sorted(failures, key=itemgetter("job_id")), itemgetter("job_id")):
        own = list(rows)
        keys = ", ".join(f"{row['dataset']} {row['key']}" for row in own[:SHOWN_KEYS])
        more = f" and {len(own) - SHOWN_KEYS:,} more" if len(own) > SHOWN_KEYS else ""
        text = f"keys that load {job_id} of {own[0]['source']} could not load: {keys}{more}"
        fix = _name_retry(job_id, is_later=_share_reason(own))
        yield _warn(f"{text}: {own[0]['reason']}", fix)


def _add_reason(text: str, reason: str | None) -> str:
    return f"{text}: {reason}" if reason else text


def _warn(text: str, fix: str) -> Check:
    return Check("status", "warn", text, fix)


def _read_freshness(conn: psycopg.Connection, qa: str) -> list[dict[str, Any]]:
    """How far each dataset is loaded; empty before the first build."""
    if not has_relation(conn, f"{qa}.freshness"):
        return []
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(f"select * from {qa}.freshness order by dataset".encode()).fetchall()
