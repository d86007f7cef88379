"""The record of loads in schema `ops`: jobs, their tasks, progress, cancelling, and the load lock.

Each write is a short connection of its own, so a restart of the warehouse in mid-load costs a
retry and not the job.
"""

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import stamina
from psycopg.rows import dict_row

from loaders.errors import LockHeldError, UpstreamError, UsageError
from loaders.warehouse.postgres import Warehouse

# how long the record waits for a warehouse that restarts, in seconds
PATIENCE = 60.0


@dataclass
class Task:
    """One unit of a job: a batch of codes of one dataset within one exchange, or a whole dataset."""

    task_no: int
    dataset: str
    exchange: str | None = None
    codes: tuple[str, ...] = ()
    status: str = "pending"
    done: int = 0
    skipped: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    rows_read: int = 0
    rows_new: int = 0
    rows_changed: int = 0

    @property
    def rows_unchanged(self) -> int:
        return self.rows_read - self.rows_new - self.rows_changed


def requester() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()} pid {os.getpid()}"


@contextmanager
def load_lock(warehouse: Warehouse, source: str) -> Iterator[psycopg.Connection]:
    """Hold the lock of a source. Raises LockHeldError that names the holder."""
    conn = warehouse.connect(autocommit=True, application_name=f"quotemill load lock: {source}")
    try:
        key = f"quotemill:load:{source}"
        row = conn.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", (key,)
        ).fetchone()
        if row != (True,):
            holder = conn.execute(
                "select format('job %%s of %%s, running since %%s', job_id, requested_by, "
                "to_char(started_at, 'YYYY-MM-DD HH24:MI:SS TZ')) from ops.ingestion_jobs "
                "where source = %s and status = 'running' order by job_id desc limit 1",
                (source,),
            ).fetchone()
            raise LockHeldError(
                f"another load of {source} holds the lock: "
                + (holder[0] if holder else "it has only just begun"),
                hint="wait for it, or stop it by `loaders cancel`; `loaders status` shows it",
            )
        yield conn
    finally:
        conn.close()


@contextmanager
def _record(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    for attempt in stamina.retry_context(
        on=(UpstreamError, psycopg.OperationalError), attempts=None, timeout=PATIENCE, wait_max=5.0
    ):
        with attempt:
            conn = warehouse.connect()
    with conn:
        yield conn


def start_job(
    warehouse: Warehouse,
    source: str,
    mode: str,
    parameters: Mapping[str, Any],
    as_of: datetime,
    retry_of: int | None = None,
) -> int:
    """Record a new job. Jobs of this source still marked running died without a word: we hold the lock."""
    with _record(warehouse) as conn:
        conn.execute(
            "update ops.ingestion_jobs set status = 'interrupted', finished_at = clock_timestamp() "
            "where source = %s and status = 'running'",
            (source,),
        )
        row = conn.execute(
            "insert into ops.ingestion_jobs "
            "(source, mode, status, requested_by, parameters, retry_of, as_of) "
            "values (%s, %s, 'running', %s, %s, %s, %s) returning job_id",
            (source, mode, requester(), json.dumps(parameters), retry_of, as_of),
        ).fetchone()
    assert row is not None
    return int(row[0])


def save_task(warehouse: Warehouse, job_id: int, task: Task) -> None:
    """Insert or update the record of a task."""
    with _record(warehouse) as conn:
        conn.execute(
            """
            insert into ops.ingestion_job_tasks as t (
                job_id, task_no, dataset, exchange, codes, status, done, skipped, failed,
                rows_read, rows_new, rows_changed, failures, started_at, finished_at
            ) values (
                %(job_id)s, %(task_no)s, %(dataset)s, %(exchange)s, %(codes)s, %(status)s, %(done)s,
                %(skipped)s, %(failed)s, %(rows_read)s, %(rows_new)s, %(rows_changed)s,
                %(failures)s,
                case when %(status)s <> 'pending' then clock_timestamp() end,
                case when %(status)s not in ('pending', 'running') then clock_timestamp() end
            )
            on conflict (job_id, task_no) do update set
                status = excluded.status, done = excluded.done, skipped = excluded.skipped,
                failed = excluded.failed, rows_read = excluded.rows_read,
                rows_new = excluded.rows_new, rows_changed = excluded.rows_changed,
                failures = excluded.failures,
                started_at = coalesce(t.started_at, excluded.started_at),
                finished_at = excluded.finished_at
            """,
            {
                "job_id": job_id,
                "task_no": task.task_no,
                "dataset": task.dataset,
                "exchange": task.exchange,
                "codes": list(task.codes),
                "status": task.status,
                "done": task.done,
                "skipped": task.skipped,
                "failed": len(task.failures),
                "rows_read": task.rows_read,
                "rows_new": task.rows_new,
                "rows_changed": task.rows_changed,
                "failures": json.dumps(task.failures, ensure_ascii=False),
            },
        )


def finish_job(warehouse: Warehouse, job_id: int, status: str, error: str | None = None) -> None:
    with _record(warehouse) as conn:
        conn.execute(
            "update ops.ingestion_jobs set status = %s, error = %s, finished_at = clock_timestamp() "
            "where job_id = %s",
            (status, error, job_id),
        )


def write_log(
    warehouse: Warehouse,
    job_id: int,
    level: str,
    event: str,
    detail: Mapping[str, Any],
    task_no: int | None = None,
) -> None:
    with _record(warehouse) as conn:
        conn.execute(
            "insert into ops.ingestion_logs (job_id, task_no, level, event, detail) "
            "values (%s, %s, %s, %s, %s)",
            (job_id, task_no, level, event, json.dumps(detail, ensure_ascii=False, default=str)),
        )


def cancel_requested(warehouse: Warehouse, job_id: int) -> bool:
    with _record(warehouse) as conn:
        row = conn.execute(
            "select cancel_requested_at is not null from ops.ingestion_jobs where job_id = %s",
            (job_id,),
        ).fetchone()
    return row == (True,)


def request_cancel(warehouse: Warehouse, job_id: int | None = None) -> int:
    """Ask a running job (the newest one by default) to stop. Raises UsageError where none runs."""
    with warehouse.connect() as conn:
        row = conn.execute(
            "update ops.ingestion_jobs set cancel_requested_at = clock_timestamp() where job_id = "
            "(select job_id from ops.ingestion_jobs where status = 'running' "
            "and (%(job)s::bigint is null or job_id = %(job)s) order by job_id desc limit 1) "
            "returning job_id",
            {"job": job_id},
        ).fetchone()
    if row is None:
        named = "no job" if job_id is None else f"job {job_id} is not"
        raise UsageError(f"{named} running", hint="`loaders status` lists the jobs")
    return int(row[0])


def failed_tasks(
    warehouse: Warehouse, job_id: int | None = None
) -> tuple[dict[str, Any], list[Task]]:
    """A job (the newest finished one by default) and what of it failed or was never reached."""
    with warehouse.connect() as conn, conn.cursor(row_factory=dict_row) as cur:
        job = cur.execute(
            "select * from ops.ingestion_jobs where (%(job)s::bigint is null or job_id = %(job)s) "
            "order by job_id desc limit 1",
            {"job": job_id},
        ).fetchone()
        if job is None:
            raise UsageError(
                "there is no such job" if job_id else "there is no job to retry",
                hint="`loaders status` lists the jobs",
            )
        tasks = cur.execute(
            "select * from ops.ingestion_job_tasks where job_id = %s "
            "and status not in ('succeeded', 'skipped') order by task_no",
            (job["job_id"],),
        ).fetchall()
    return job, [
        Task(
            task_no,
            t["dataset"],
            t["exchange"],
            tuple(t["failures"]) or tuple(t["codes"]),
        )
        for task_no, t in enumerate(tasks, start=1)
    ]


def recent_jobs(conn: psycopg.Connection, limit: int = 10) -> Sequence[dict[str, Any]]:
    """The newest jobs with the sums of their tasks, newest first."""
    with conn.cursor(row_factory=dict_row) as cur:
        return cur.execute(
            """
            select
                j.job_id, j.source, j.mode, j.status, j.requested_by, j.parameters, j.retry_of,
                j.started_at, j.finished_at, j.error,
                coalesce(sum(t.done), 0)::int as done,
                coalesce(sum(t.skipped), 0)::int as skipped,
                coalesce(sum(t.failed), 0)::int as failed,
                coalesce(sum(t.rows_new), 0)::bigint as rows_new,
                coalesce(sum(t.rows_changed), 0)::bigint as rows_changed,
                coalesce(sum(t.rows_read - t.rows_new - t.rows_changed), 0)::bigint
                    as rows_unchanged
            from ops.ingestion_jobs as j
            left join ops.ingestion_job_tasks as t using (job_id)
            group by j.job_id
            order by j.job_id desc
            limit %s
            """,
            (limit,),
        ).fetchall()
