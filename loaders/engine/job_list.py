"""Jobs with the sums of their tasks, as lists and reports read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.engine import failed_keys
from loaders.engine.jobs import JOBS, OPEN, STATUS
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


def recent_jobs(
    conn: psycopg.Connection,
    limit: int,
    *,
    source: str | None = None,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """The newest jobs with the sums of their tasks, newest first; none before the first load.

    source, before: only those of a source, and with a smaller number
    """
    conditions = ["true"]
    if source is not None:
        conditions.append("k.source = %(source)s")
    if before is not None:
        conditions.append("k.job_id < %(before)s")
    chosen = (
        f"select k.job_id from ops.ingestion_jobs as k where {' and '.join(conditions)} "
        "order by k.job_id desc limit %(limit)s"
    )
    return _summed(conn, chosen, {"limit": limit, "source": source, "before": before})


def newest_jobs(conn: psycopg.Connection) -> list[dict[str, Any]]:
    """The newest job of each source with the sums of its tasks; none before the first load."""
    return _summed(conn, "select max(k.job_id) from ops.ingestion_jobs as k group by k.source", {})


def jobs_between(
    conn: psycopg.Connection, since: datetime, until: datetime, limit: int
) -> list[dict[str, Any]]:
    """Jobs that started between two times, with the sums of their tasks; `limit` of each lane."""
    chosen = """
        select k.job_id from (
            select job_id, row_number() over (partition by lane order by job_id desc) as place
            from ops.ingestion_jobs where started_at between %(since)s and %(until)s
        ) as k where k.place <= %(limit)s
    """
    return _summed(conn, chosen, {"since": since, "until": until, "limit": limit})


def _summed(
    conn: psycopg.Connection, chosen: str, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The jobs of a query, with the sums of their tasks, newest first."""
    if not has_relation(conn, JOBS):
        return []
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(
            f"""
            select
                j.job_id, j.source, j.mode, {STATUS} as status, j.requested_by, j.parameters,
                j.retry_of, j.started_at, j.finished_at, j.error,
                case when {STATUS} = 'running' then j.held_by end as held_by,
                coalesce(sum(t.done), 0)::int as done,
                coalesce(sum(t.skipped), 0)::int as skipped,
                coalesce(sum(t.failed), 0)::int as failed,
                coalesce(sum(t.rows_new), 0)::bigint as rows_new,
                coalesce(sum(t.rows_changed), 0)::bigint as rows_changed,
                coalesce(sum(greatest(t.rows_read - t.rows_new - t.rows_changed, 0)), 0)::bigint
                    as rows_unchanged
            from ops.ingestion_jobs as j
            left join ops.ingestion_job_tasks as t using (job_id)
            -- in a subquery: a join would sum the tasks of all jobs
            where j.job_id in ({chosen})
            group by j.job_id
            order by j.job_id desc
            """.encode(),
            values,
        ).fetchall()


def find_whole_loads(conn: psycopg.Connection) -> dict[str, datetime]:
    """When each dataset was last loaded, all keys up to the newest, by the clock of the load."""
    rows = conn.execute(
        "select t.dataset, max(j.as_of) from ops.ingestion_jobs as j "
        "inner join ops.ingestion_job_tasks as t using (job_id) "
        "where j.status = 'succeeded' and j.parameters ->> 'keys' is null "
        "and j.parameters ->> 'until' is null and t.status = 'succeeded' group by t.dataset"
    )
    return dict(rows.fetchall())


def find_start(conn: psycopg.Connection, job_id: int) -> datetime | None:
    """When a job started; None for an unknown one."""
    row = conn.execute(
        "select started_at from ops.ingestion_jobs where job_id = %s", (job_id,)
    ).fetchone()
    return row[0] if row else None


def is_stopped(job: Mapping[str, Any]) -> bool:
    """Whether an error ended a load: of the settings, the source or the warehouse."""
    return job["status"] in ("failed", "partial") and job["error"] is not None


def name_retry(command: str, *, is_later: bool) -> str:
    """The fix by a command that loads the rest; later where something else comes first."""
    return f"after you fix the cause: {command}" if is_later else command


def list_datasets(conn: psycopg.Connection) -> list[str]:
    """The datasets that were loaded."""
    if not has_relation(conn, JOBS):
        return []
    rows = conn.execute("select distinct dataset from ops.ingestion_state order by 1")
    return [dataset for (dataset,) in rows]


def report(warehouse: Warehouse | None, limit: int = 10) -> dict[str, Any]:
    """The newest jobs, tasks and failures of the last one, and the state of each dataset.

    `failed_keys` are those of any job that no later load of the key repaired.
    Only the warehouse's name before the first load.
    """
    nothing: dict[str, Any] = {
        "jobs": [],
        "tasks": [],
        "failures": {},
        "failed_keys": [],
        "datasets": [],
    }
    if warehouse is None:
        return {"warehouse": "none yet"} | nothing
    with warehouse.lend(warehouse.connect) as conn, conn.cursor(row_factory=dict_row) as cur:
        if not has_relation(conn, JOBS):
            return {"warehouse": warehouse.label} | nothing
        recent = recent_jobs(conn, limit)
        tasks = cur.execute(
            "select task_no, dataset, exchange, status, cardinality(keys) as keys, done, skipped, "
            "failed, cursor_payload from ops.ingestion_job_tasks "
            "where job_id = (select max(job_id) from ops.ingestion_jobs) order by task_no"
        ).fetchall()
        failures = cur.execute(
            "select dataset, failures from ops.ingestion_job_tasks where failures <> '{}' "
            "and job_id = (select max(job_id) from ops.ingestion_jobs) order by task_no"
        ).fetchall()
        unrepaired = failed_keys.read_failures(conn)
        datasets = cur.execute(
            "select source, dataset, count(*)::int as keys, min(last_success_date) as oldest, "
            "max(last_success_date) as newest, max(last_success_at) as at "
            "from ops.ingestion_state group by source, dataset order by source, dataset"
        ).fetchall()
    if recent and recent[0]["status"] != "running":  # the task of a killed job ended with it
        tasks = [t | {"status": "cancelled"} if t["status"] in OPEN else t for t in tasks]
    failed: dict[str, dict[str, str]] = {}
    for row in failures:
        failed.setdefault(row["dataset"], {}).update(row["failures"])
    return {
        "warehouse": warehouse.label,
        "jobs": recent,
        "tasks": tasks,
        "failures": failed,
        "failed_keys": [failure.__dict__ for failure in unrepaired],
        "datasets": datasets,
    }
