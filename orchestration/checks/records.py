"""Checks of what is on record: loads, builds, freshness, self-tests, reconciliations."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

import psycopg

from loaders import sources
from loaders.check import Check
from loaders.engine import check_runs, job_list
from orchestration.checks.bar_comparison import describe_cause
from orchestration.checks.place import Place, Row, in_warehouse
from orchestration.run import findings
from orchestration.run.lags import Lag
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

SHOWN_KEYS = 5  # failed keys of a load


def check_loads(place: Place) -> Iterator[Check]:
    """The newest load of each source."""
    records = place.records
    if not records.loads["jobs"] and not place.away:
        fix = sources.describe_start(place.settings, "quotemill run")
        yield Check("load", "warn", "nothing was loaded yet", fix)
    for job in reversed(records.newest):
        if job["status"] not in ("running", "succeeded"):
            own = [row for row in records.open_failures if row["job_id"] == job["job_id"]]
            yield _check_load(job, own)


def _check_load(job: Row, failures: list[Row]) -> Check:
    """A load that did not succeed, with the reason, and its fix.

    failures: its keys that can be loaded at another time
    """
    reason = job["error"] or (f"{say_count(job['failed'], 'key')} failed" if job["failed"] else "")
    if job["error"] is None and failures:
        reason += f": {_name_keys(failures)}"
    text = f"load {job['job_id']} of {job['source']} {job['status']}"
    fix = _name_retry(job["job_id"], is_later=job_list.is_stopped(job) or _share_reason(failures))
    if job["error"] is None and job["failed"] and not failures:
        fix = f"loaders run {job['source']}"  # it takes what can be captured now
    return Check("load", "warn", _add_reason(text, reason), fix, subject=job["source"])


def check_keys(place: Place) -> Iterator[Check]:
    """Keys that failed in an earlier load and that no later one has loaded, by load."""
    described = {job["job_id"] for job in place.records.newest}
    rows = [row for row in place.records.open_failures if row["job_id"] not in described]
    for job_id, group in groupby(sorted(rows, key=itemgetter("job_id")), itemgetter("job_id")):
        own = list(group)
        source = own[0]["source"]
        text = f"keys that load {job_id} of {source} could not load: {_name_keys(own)}"
        fix = _name_retry(job_id, is_later=_share_reason(own))
        yield Check("keys", "warn", text, fix, subject=source)


def _name_keys(failures: list[Row]) -> str:
    """The newest of some failed keys, as `findings --ack` takes them, and why the first failed."""
    newest = sorted(failures, key=itemgetter("failure_id"), reverse=True)
    keys = ", ".join(f"{row['dataset']} {row['key']}" for row in newest[:SHOWN_KEYS])
    more = f" and {len(newest) - SHOWN_KEYS:,} more" if len(newest) > SHOWN_KEYS else ""
    return f"{keys}{more}: {newest[0]['reason']}"


def _share_reason(failures: list[Row]) -> bool:
    """Whether several keys failed for one reason: it is of a setting or of the source."""
    return len(failures) > 1 and len({row["reason"] for row in failures}) == 1


def _name_retry(job_id: int, *, is_later: bool) -> str:
    return job_list.name_retry(f"quotemill retry {job_id}", is_later=is_later)


def check_sources(place: Place) -> Iterator[Check]:
    """Configured sources without any load, if others have one: freshness does not list them."""
    ready, _ = sources.configured(place.settings)
    known = {job["source"] for job in place.records.newest}
    for source in ready if known else ():
        if source not in known:
            text, fix = f"nothing of {source} was loaded yet", f"quotemill run {source}"
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
        problem, _, fix = text.partition(": ")
        yield Check("adjustment", "warn", problem, fix)


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
