"""Checks of what is on record: loads, builds, freshness, self-tests, reconciliations."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg

from loaders import sources
from loaders.check import Check
from loaders.engine import check_runs, job_list, load_checks
from orchestration.checks.bar_comparison import describe_cause
from orchestration.checks.place import Place, in_warehouse
from orchestration.run import findings
from orchestration.run.lags import Lag
from quotemill.warehouse.schemas import has_relation


def check_loads(place: Place) -> Iterator[Check]:
    """The newest load of each source."""
    records = place.records
    if not records.loads["jobs"] and not place.away:
        yield sources.check_first_load(place.settings)
    yield from load_checks.check_loads(records.newest, records.loads["failed_keys"])


def check_keys(place: Place) -> Iterator[Check]:
    """Keys that failed in an earlier load and that no later one has loaded."""
    return load_checks.check_keys(place.records.newest, place.records.loads["failed_keys"])


def check_sources(place: Place) -> Iterator[Check]:
    """Configured sources without any load, if others have one: freshness does not list them."""
    ready, _ = sources.configured(place.settings)
    known = {job["source"] for job in place.records.newest}
    for source in ready if known else ():
        if source not in known:
            text, fix = f"nothing has been loaded from {source} yet", f"quotemill run {source}"
            yield Check("source", "warn", text, fix, subject=source)


def check_builds(place: Place) -> Iterator[Check]:
    """The newest build; one by plain dbt leaves no record."""
    records = place.records
    is_loading = any(job["status"] == "running" for job in records.newest)
    newest = records.builds[0] if records.builds else None
    if newest and newest["status"] not in ("running", "succeeded"):
        check = describe_build(newest["build_id"], newest["status"], newest["error"])
        # a run that was stopped may have more to do than its build, such as ticks
        yield replace(check, fix=f"quotemill {records.stopped}") if records.stopped else check
    elif (
        records.loads["datasets"]
        and not newest
        and place.known("freshness") == []
        and not is_loading
    ):
        # a retry builds too
        retries = [check.fix for check in check_loads(place) if "quotemill retry" in check.fix]
        fix = retries[0] if retries else "quotemill build"
        yield Check("build", "warn", "nothing was built yet", fix)


def describe_build(build_id: int | None, status: str, error: str | None) -> Check:
    """The check of a build that did not succeed."""
    text = _add_reason(f"build {build_id} {status}", error)
    return Check("build", "warn", text, "quotemill build")


def _add_reason(text: str, reason: str | None) -> str:
    return f"{text}: {reason}" if reason else text


def check_freshness(place: Place) -> Iterator[Check]:
    """Datasets that end before the day that they should be loaded to."""
    records = place.records
    # another run would end as such a load did
    stopped = {job["source"]: job["job_id"] for job in records.newest if job_list.is_stopped(job)}
    for row in place.freshness:
        if row["is_stale"]:
            lag = Lag(
                row["source"],
                row["dataset"],
                row["last_date"],
                row["expected_date"],
                row["lag_trading_days"] or 0,
                loaded_at=records.loaded.get(row["dataset"]),
            )
            yield lag.check(place.settings, stopped.get(lag.source))


def check_findings(place: Place) -> tuple[Check, ...]:
    """Read the findings, which have a list of their own: a row only if they cannot be read."""
    _ = place.findings
    return ()


@in_warehouse
def check_adjustment(place: Place, conn: psycopg.Connection) -> Iterator[Check]:
    if text := findings.explain_unadjusted(conn, place.qa):
        row = ("no_corporate_action_source", "warning", "corporate_actions", None, text)
        yield findings.describe(*row)


@in_warehouse
def check_tests(_: Place, conn: psycopg.Connection) -> Iterator[Check]:
    return judge_tests(conn)


def judge_tests(conn: psycopg.Connection) -> Iterator[Check]:
    """The newest self-test and verification of each source, with the numbers that failed."""
    for run in check_runs.read_newest(conn):
        yield Check(
            "tests",
            "ok" if run.has_passed else "warn",
            run.describe(sources.find_zone(run.source)),
            "" if run.has_passed else f"loaders {run.kind} {run.source}",
            subject=run.source,
            figures={"kind": run.kind, "failed": run.numbers or run.status},
        )


@in_warehouse
def check_reconciliation(place: Place, conn: psycopg.Connection) -> Iterator[Check]:
    """What the newest reconciliation found to differ, by its likely cause."""
    if not has_relation(conn, f"{place.qa}.reconciliation"):
        return
    query = (
        "select run_id, severity, likely_cause, count(*), array_agg(distinct code order by code) "
        f"from {place.qa}.reconciliation where severity <> 'info' group by 1, 2, 3 order by 1, 2, 3"
    )
    for row in conn.execute(query.encode()):
        yield describe_cause(*row)
