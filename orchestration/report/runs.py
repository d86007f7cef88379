"""Loads, builds and self-tests of the window: how long they took and what failed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.engine import job_list
from loaders.warehouse.ownership import has_relation
from orchestration.run import build_record
from orchestration.run import history as recorded

MOST = 400  # the newest of each lane, command and kind: a gateway is asked every five minutes
FAILED_TASKS, FAILED_KEYS = 20, 5


@dataclass(frozen=True)
class Runs:
    """Rows as in `ops`, newest first, each with its `seconds` (None while it runs).

    `failed` are the tasks of each source's newest load that failed in full or in part.
    """

    loads: list[dict[str, Any]]
    builds: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    runs: list[dict[str, Any]]  # each with its `schedule`, and `figures` by (stage, source, name)
    alerts: list[dict[str, Any]]  # the open ones
    jobs: list[dict[str, Any]]  # scheduled ones


def read(conn: psycopg.Connection, since: datetime, as_of: datetime) -> Runs:
    """Read what started between two times."""
    if not has_relation(conn, "ops.ingestion_jobs"):
        return Runs([], [], [], [], [], [], [])
    loads = [
        job | {"seconds": _seconds(job), "rows": job["rows_new"] + job["rows_changed"]}
        for job in job_list.jobs_between(conn, since, as_of, MOST)
    ]
    newest = {job["source"]: job["job_id"] for job in reversed(loads)}
    with conn.cursor(row_factory=dict_row) as cur:
        window = {"since": since, "as_of": as_of, "most": MOST}
        builds = cur.execute(
            f"select b.*, {build_record.STATUS} as status from ops.builds as b "
            "where b.started_at between %(since)s and %(as_of)s "
            "order by b.build_id desc limit %(most)s".encode(),
            window,
        ).fetchall()
        tests = cur.execute(
            "select * from ops.testing_runs where started_at between %(since)s and %(as_of)s "
            "order by run_id desc limit %(most)s",
            window,
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
    return Runs(
        loads,
        [build | {"seconds": _seconds(build)} for build in builds],
        tests,
        [task | {"shown": _shown(task["failures"])} for task in failed],
        _on_record(conn, since, as_of),
        _rows(conn, "alerts", "where recovered_at is null order by severity, first_at"),
        _rows(conn, "schedules", "order by name"),
    )


def _on_record(conn: psycopg.Connection, since: datetime, as_of: datetime) -> list[dict[str, Any]]:
    found = recorded.recent(conn, MOST, since, as_of)
    if not found:
        return []
    figures: dict[str, dict[tuple[str, str, str], float]] = {run["run_id"]: {} for run in found}
    query = (
        "select run_id, stage, source, name, value::float8 from ops.metrics where run_id = any(%s)"
    )
    for run_id, stage, source, name, value in conn.execute(query, (list(figures),)):
        figures[run_id][stage, source, name] = value
    return [run | {"seconds": _seconds(run), "figures": figures[run["run_id"]]} for run in found]


def _rows(conn: psycopg.Connection, table: str, rest: str) -> list[dict[str, Any]]:
    """Rows of a table of ops; empty if the warehouse is older and lacks it."""
    if not has_relation(conn, f"ops.{table}"):
        return []
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(f"select * from ops.{table} {rest}".encode()).fetchall()


def _seconds(run: dict[str, Any]) -> float | None:
    if run["finished_at"] is None:
        return None
    taken: float = (run["finished_at"] - run["started_at"]).total_seconds()
    return taken


def _shown(failures: dict[str, str]) -> str:
    """Some failed keys with their reasons, and the number of the others."""
    told = [f"{key}: {why}" for key, why in list(failures.items())[:FAILED_KEYS]]
    more = len(failures) - FAILED_KEYS
    return "; ".join([*told, f"{more:,} more"] if more > 0 else told)
