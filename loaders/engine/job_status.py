"""A job as people look at it from another terminal: how far it is and how fast, what failed, its log."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.engine import jobs
from loaders.errors import UsageError
from loaders.warehouse.postgres import Warehouse

_JOB = f"""
    select
        j.job_id, j.source, j.lane, j.mode, {jobs.STATUS} as status, j.requested_by, j.parameters,
        j.retry_of, j.as_of, j.started_at, j.finished_at, j.cancel_requested_at, j.error,
        extract(epoch from coalesce(j.finished_at, clock_timestamp()) - j.started_at)::float8 as seconds
    from ops.ingestion_jobs as j where j.job_id = %s
"""
_PARTS = """
    select
        dataset, sum(cardinality(keys))::int as keys,
        -- before the first load of this version the column is not there
        sum(greatest((to_jsonb(t) ->> 'fetched')::int, done + skipped + failed))::int as reached,
        sum(done)::int as done, sum(skipped)::int as skipped, sum(failed)::int as failed,
        sum(rows_new)::bigint as rows_new, sum(rows_changed)::bigint as rows_changed,
        bool_or(status = 'running') as is_running, bool_and(status = 'pending') as is_pending,
        extract(epoch from case
            when bool_or(status = 'running') then clock_timestamp() else max(finished_at)
        end - min(started_at))::float8 as seconds
    from ops.ingestion_job_tasks as t where job_id = %s group by dataset order by min(task_no)
"""
_FAILED = """
    select t.dataset, f.key, f.value as reason
    from ops.ingestion_job_tasks as t cross join lateral jsonb_each_text(t.failures) as f
    where t.job_id = %s order by t.task_no, f.key
"""
_LOGGED = """
    select l.logged_at, l.level, l.event, l.detail, l.task_no, t.dataset
    from ops.ingestion_logs as l
    left join ops.ingestion_job_tasks as t on l.job_id = t.job_id and l.task_no = t.task_no
    where l.job_id = %s order by l.log_id
"""
_TASKS = """
    select
        task_no, dataset, exchange, status, cardinality(keys) as keys, done, skipped, failed,
        rows_read, rows_new, rows_changed, failures, started_at, finished_at
    from ops.ingestion_job_tasks where job_id = %s order by task_no
"""


@dataclass(frozen=True)
class Part:
    """A dataset of a job. `reached` keys have an answer, landed or not; `seconds` is how long it has
    run, None where it has not begun."""

    dataset: str
    keys: int
    reached: int
    done: int
    skipped: int
    failed: int
    rows_new: int
    rows_changed: int
    is_running: bool
    is_pending: bool
    seconds: float | None

    @property
    def rate(self) -> float | None:
        """Keys a second."""
        return self.reached / self.seconds if self.reached and self.seconds else None

    @property
    def left(self) -> float | None:
        """Seconds to its end at this rate; None where it does not run."""
        rate = self.rate
        return (self.keys - self.reached) / rate if rate and self.is_running else None


@dataclass(frozen=True)
class JobView:
    """`job` are the columns of ops.ingestion_jobs, with the `status` of one that died told as
    interrupted and its `seconds`; `failures` are (dataset, key, reason)."""

    job: dict[str, Any]
    parts: tuple[Part, ...]
    failures: tuple[tuple[str, str, str], ...]

    @property
    def is_running(self) -> bool:
        return bool(self.job["status"] == "running")

    def as_json(self) -> dict[str, Any]:
        parts = [asdict(part) | {"rate": part.rate, "left": part.left} for part in self.parts]
        names = ("dataset", "key", "reason")
        failures = [dict(zip(names, failure, strict=True)) for failure in self.failures]
        return {**self.job, "parts": parts, "failures": failures}


def look(warehouse: Warehouse, job_id: int) -> JobView:
    """Raises UsageError where there is no such job."""

    def read(conn: psycopg.Connection) -> JobView:
        job = _job(conn, job_id)
        with conn.cursor(row_factory=dict_row) as cur:
            rows = cur.execute(_PARTS, (job_id,)).fetchall()
        ran = job["status"] == "running"  # what a killed job was at ended with it
        parts = [Part(**row | {"is_running": ran and row["is_running"]}) for row in rows]
        return JobView(job, tuple(parts), tuple(conn.execute(_FAILED, (job_id,)).fetchall()))

    return warehouse.ask(read)


def running(warehouse: Warehouse) -> int:
    """The job that runs. Raises UsageError where none does, or several."""
    with warehouse.connect() as conn:
        found = [job for job in jobs.recent_jobs(conn, 100) if job["status"] == "running"]
    if not found:
        raise UsageError("no job is running", hint="`quotemill jobs` lists them")
    if len(found) > 1:
        named = ", ".join(f"{job['job_id']} of {job['source']}" for job in found)
        raise UsageError(f"several jobs are running: {named}", hint="name one by its number")
    return int(found[0]["job_id"])


def log(warehouse: Warehouse, job_id: int) -> Iterator[dict[str, Any]]:
    """What is on record of a job, line by line in the fields of the log of what runs: its request, what
    it said, every key that failed and why, how each task and the job itself ended."""
    with warehouse.connect() as conn:
        job = _job(conn, job_id)
        with conn.cursor(row_factory=dict_row) as cur:
            logged = cur.execute(_LOGGED, (job_id,)).fetchall()
            tasks = cur.execute(_TASKS, (job_id,)).fetchall()

    def line(at: datetime | None, level: str, event: str, **more: Any) -> dict[str, Any]:
        # what has not ended has no moment yet
        at = at or job["finished_at"] or job["started_at"]
        of_job = {"source": job["source"], "job": job_id}
        return {"at": at.isoformat(), "level": level, **of_job, "event": event, **more}

    names = ("lane", "mode", "parameters", "requested_by", "retry_of", "as_of")
    yield line(job["started_at"], "info", "begins", detail={name: job[name] for name in names})
    for row in logged:
        of_task = {"task": row["task_no"], "dataset": row["dataset"]}
        yield line(row["logged_at"], row["level"], row["event"], **of_task, detail=row["detail"])
    for task in tasks:
        of_task = {"task": task.pop("task_no"), "dataset": task.pop("dataset")}
        failures, status, at = task.pop("failures"), task.pop("status"), task["finished_at"]
        for key, reason in failures.items():
            yield line(at, "warning", reason, **of_task, code=key)
        level = "info" if status in ("succeeded", "skipped", *jobs.OPEN) else "warning"
        yield line(at, level, status, **of_task, detail=task)
    level = "info" if job["status"] in ("succeeded", "running") else "error"
    detail = {"error": job["error"], "seconds": job["seconds"]}
    yield line(job["finished_at"], level, job["status"], detail=detail)


def _job(conn: psycopg.Connection, job_id: int) -> dict[str, Any]:
    with conn.cursor(row_factory=dict_row) as cur:
        job = cur.execute(_JOB.encode(), (job_id,)).fetchone()
    if job is None:
        raise UsageError(f"there is no such job: {job_id}", hint="`quotemill jobs` lists them")
    return job
