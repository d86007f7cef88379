"""Loads, builds and self-tests of the window: how long they took and what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.engine import job_list
from orchestration.run import build_record, history
from quotemill.warehouse.schemas import has_relation

Row = dict[str, Any]
MOST = 400  # the newest of each lane, command and kind: a gateway is asked every five minutes
FAILED_TASKS, FAILED_KEYS = 20, 5


@dataclass(frozen=True)
class Runs:
    """Rows as in `ops`, newest first, each with its `seconds` (None while it runs).

    `failed` are the tasks of each source's newest load that failed in full or in part, `alerts` the
    open ones, `jobs` the scheduled ones. A run has `figures` by (stage, source, name).
    """

    loads: Sequence[Row] = ()
    builds: Sequence[Row] = ()
    tests: Sequence[Row] = ()
    failed: Sequence[Row] = ()
    runs: Sequence[Row] = ()
    alerts: Sequence[Row] = ()
    jobs: Sequence[Row] = ()

    @property
    def failed_tests(self) -> list[Row]:
        """The newest self-test and verification of each source, where it did not pass."""
        newest = {(test["source"], test["kind"]): test for test in reversed(self.tests)}
        return [test for test in newest.values() if test["status"] != "passed"]


def read_runs(conn: psycopg.Connection, since: datetime, as_of: datetime) -> Runs:
    """Read what started between two times."""
    if not has_relation(conn, "ops.ingestion_jobs"):
        return Runs()
    loads = [
        job | {"seconds": _seconds(job), "rows": job["rows_new"] + job["rows_changed"]}
        for job in job_list.jobs_between(conn, since, as_of, MOST)
    ]
    newest = {job["source"]: job["job_id"] for job in reversed(loads)}
    with conn.cursor(row_factory=dict_row) as cur:
        tests = cur.execute(
            "select * from ops.testing_runs where started_at between %s and %s "
            "order by run_id desc limit %s",
            (since, as_of, MOST),
        ).fetchall()
        failed = cur.execute(
            """
            select j.source, t.job_id, t.dataset, t.status, t.failed, t.failures
            from ops.ingestion_job_tasks as t inner join ops.ingestion_jobs as j using (job_id)
            where t.job_id = any(%s) and (t.failed > 0 or t.failures <> '{}')
            order by j.source, t.task_no limit %s
            """,
            (list(newest.values()), FAILED_TASKS),
        ).fetchall()
        alerts = cur.execute(
            "select * from ops.alerts where recovered_at is null order by severity, first_at"
        ).fetchall()
        # rows that no scheduler has looked at yet are no jobs of this machine
        jobs = cur.execute(
            "select * from ops.schedules where next_run_at is not null "
            "or last_run_at is not null or not is_enabled order by name"
        ).fetchall()
    builds = build_record.recent(conn, MOST, since, as_of)
    return Runs(
        loads=loads,
        builds=[build | {"seconds": _seconds(build)} for build in builds],
        tests=tests,
        failed=[task | {"shown": _describe_failures(task["failures"])} for task in failed],
        runs=_read_runs(conn, since, as_of),
        alerts=alerts,
        jobs=jobs,
    )


def _read_runs(conn: psycopg.Connection, since: datetime, as_of: datetime) -> list[Row]:
    runs = history.recent(conn, MOST, since, as_of)
    figures: dict[str, dict[tuple[str, str, str], float]] = {run["run_id"]: {} for run in runs}
    query = (
        "select run_id, stage, source, name, value::float8 from ops.metrics where run_id = any(%s)"
    )
    for run_id, stage, source, name, value in conn.execute(query, (list(figures),)):
        figures[run_id][stage, source, name] = value
    return [run | {"seconds": _seconds(run), "figures": figures[run["run_id"]]} for run in runs]


def _seconds(run: Row) -> float | None:
    if run["finished_at"] is None:
        return None
    taken: float = (run["finished_at"] - run["started_at"]).total_seconds()
    return taken


def _describe_failures(failures: dict[str, str]) -> str:
    """Some failed keys with their reasons, and the number of the others."""
    keys: dict[str, list[str]] = {}
    for key, why in failures.items():
        keys.setdefault(why, []).append(key)
    texts = [
        f"{', '.join(names[:FAILED_KEYS])}{_count_more(names)}: {why}"
        for why, names in list(keys.items())[:FAILED_KEYS]
    ]
    more = sum(len(names) for names in list(keys.values())[FAILED_KEYS:])
    return "; ".join([*texts, f"{more:,} more"] if more else texts)


def _count_more(names: Sequence[str]) -> str:
    more = len(names) - FAILED_KEYS
    return f" and {more:,} more" if more > 0 else ""
