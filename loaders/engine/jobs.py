"""The record of loads in schema `ops`: jobs, their tasks, progress, cancelling.

Each write takes its own short connection, so a restart of the warehouse costs a retry, not the job.
What writes to the record of a job takes the content that the warehouse had at its start: after a
restore its number is that of no job, or of another.
"""

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.engine import failed_keys
from loaders.engine.request import LoadRequest
from loaders.warehouse.content import RestoredMeanwhile, ask_content
from loaders.warehouse.lock import LOCK, load_lock
from loaders.warehouse.turns import is_held
from quotemill.errors import LockHeldError, UsageError
from quotemill.systems import IS_POSIX
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

OPEN = ("pending", "running")  # tasks that have not ended
JOBS = "ops.ingestion_jobs"  # missing before the first load
# a running job holds its lane's lock; one that is marked running without it died
STATUS = f"""
    case when j.status = 'running' and not {is_held(f"'{LOCK}' || j.lane")}
    then 'interrupted' else j.status end
"""
# whether a later load of the same has succeeded
REPAIRED = """exists (
    select 1 from ops.ingestion_jobs as later
    where later.source = j.source and later.job_id > j.job_id
        and later.status = 'succeeded' and later.parameters = j.parameters
)"""


@dataclass
class Task:
    """One task of a job: keys of one dataset, of one exchange where that matters.

    `failures` are reasons by key; rejected rows are not among those read. `cursor` is its newest
    one: key, cursor, package. When a task ends, every key is done, skipped or failed.
    """

    task_no: int
    dataset: str
    exchange: str | None = None
    keys: tuple[str, ...] = ()
    status: str = "pending"
    done: int = 0
    skipped: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    rows_read: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_rejected: int = 0
    cursor: dict[str, Any] = field(default_factory=dict)

    @property
    def rows_unchanged(self) -> int:
        # rows that a newer answer lacks count as changed, and were not read
        return max(0, self.rows_read - self.rows_new - self.rows_changed)

    @property
    def reached(self) -> int:
        """How many keys have an outcome."""
        return self.done + self.skipped + len(self.failures)

    @property
    def verdict(self) -> str:
        """The status of a task that ended."""
        if self.reached < len(self.keys):
            return "cancelled"
        if not self.failures:
            return "succeeded"
        return "partial" if self.done + self.skipped else "failed"


def requester(pid: int | None = None) -> str:
    """Who asks for a job: user, host, process; this one unless another of the user is named."""
    try:
        user = getpass.getuser()
    # a container may run as a user id without a name; ImportError: Windows without USERNAME
    except (ImportError, KeyError, OSError):
        user = str(os.getuid()) if IS_POSIX else "somebody"
    return f"{user}@{socket.gethostname()} pid {pid or os.getpid()}"


def start_job(
    warehouse: Warehouse,
    content: str,
    lane: str,
    request: LoadRequest,
    mode: str,
    as_of: datetime,
    retry_of: int | None = None,
) -> int:
    """Record a new job. The caller holds the lane's lock, so its running jobs are dead.

    Raises RestoredMeanwhile.
    """

    def insert(conn: psycopg.Connection) -> int:
        _interrupt(conn, lane)
        [(job_id,)] = conn.execute(
            "insert into ops.ingestion_jobs "
            "(source, lane, mode, status, requested_by, parameters, retry_of, as_of) "
            "values (%s, %s, %s, 'running', %s, %s, %s, %s) returning job_id",
            (
                request.source,
                lane,
                mode,
                requester(),
                json.dumps(request.parameters()),
                retry_of,
                as_of,
            ),
        )
        return int(job_id)

    return ask_content(warehouse, content, insert)


def save_task(
    warehouse: Warehouse, content: str, job_id: int, task: Task, *, stores_failures: bool = True
) -> None:
    """Insert or update the record of a task, and of the keys that failed in it.

    Raises RestoredMeanwhile.
    """

    def save(conn: psycopg.Connection) -> None:
        conn.execute(
            """
            insert into ops.ingestion_job_tasks as t (
                job_id, task_no, dataset, exchange, keys, status, done, skipped, failed, fetched,
                rows_read, rows_new, rows_changed, failures, cursor_payload, started_at, finished_at
            ) values (
                %(job_id)s, %(task_no)s, %(dataset)s, %(exchange)s, %(keys)s, %(status)s, %(done)s,
                %(skipped)s, %(failed)s, %(fetched)s, %(rows_read)s, %(rows_new)s, %(rows_changed)s,
                %(failures)s, %(cursor)s,
                case when %(status)s <> 'pending' then clock_timestamp() end,
                case when %(status)s not in ('pending', 'running') then clock_timestamp() end
            )
            on conflict (job_id, task_no) do update set
                status = excluded.status, done = excluded.done, skipped = excluded.skipped,
                failed = excluded.failed, fetched = excluded.fetched,
                rows_read = excluded.rows_read,
                rows_new = excluded.rows_new, rows_changed = excluded.rows_changed,
                failures = excluded.failures, cursor_payload = excluded.cursor_payload,
                started_at = coalesce(t.started_at, excluded.started_at),
                finished_at = excluded.finished_at
            """,
            vars(task)
            | {
                "job_id": job_id,
                "keys": list(task.keys),
                "failed": len(task.failures),
                "fetched": task.reached,
                "failures": json.dumps(task.failures, ensure_ascii=False),
                "cursor": json.dumps(task.cursor, default=str),
            },
        )
        if task.reached:
            keys = task.keys[: task.reached]
            failures = task.failures if stores_failures else {}
            failed_keys.update(conn, job_id, task.dataset, keys, failures)

    ask_content(warehouse, content, save)


def finish_job(
    warehouse: Warehouse,
    content: str,
    job_id: int,
    status: str,
    error: str | None = None,
    *,
    patient: bool = True,
) -> bool:
    """Record the end of a job, and of its open tasks; not after a restore, which returns False."""

    def finish(conn: psycopg.Connection) -> None:
        _end_tasks(conn, [job_id], "cancelled" if status == "cancelled" else "failed")
        conn.execute(
            "update ops.ingestion_jobs "
            "set status = %s, error = %s, finished_at = clock_timestamp() where job_id = %s",
            (status, error, job_id),
        )

    try:
        ask_content(warehouse, content, finish, patient=patient)
    except RestoredMeanwhile:
        return False
    return True


def _interrupt(conn: psycopg.Connection, lane: str) -> None:
    """Record the end of dead jobs. The caller holds the lock of the lane."""
    ended = conn.execute(
        "update ops.ingestion_jobs set status = 'interrupted', finished_at = clock_timestamp() "
        "where lane = %s and status = 'running' returning job_id",
        (lane,),
    ).fetchall()
    _end_tasks(conn, [job for (job,) in ended], "cancelled")


def _end_tasks(conn: psycopg.Connection, job_ids: list[int], status: str) -> None:
    conn.execute(
        "update ops.ingestion_job_tasks set status = %s, finished_at = clock_timestamp() "
        "where job_id = any(%s) and status = any(%s)",
        (status, job_ids, list(OPEN)),
    )


def write_log(
    warehouse: Warehouse,
    content: str,
    job_id: int,
    level: str,
    event: str,
    detail: Mapping[str, Any],
    task_no: int | None = None,
) -> None:
    """Write a line into the job's log. Raises RestoredMeanwhile."""
    ask_content(
        warehouse,
        content,
        lambda conn: conn.execute(
            "insert into ops.ingestion_logs (job_id, task_no, level, event, detail) "
            "values (%s, %s, %s, %s, %s)",
            (job_id, task_no, level, event, json.dumps(detail, ensure_ascii=False, default=str)),
        ),
    )


def request_cancel(
    warehouse: Warehouse, source: str | None = None, job_id: int | None = None
) -> int:
    """Ask a running job, of any source or the named one, to stop; returns its number.

    Raises UsageError where none runs, where it is dead, or where several run and none is named.
    """
    named = {"source": source, "job": job_id}
    with warehouse.connect() as conn:
        jobs: list[tuple[int, str, str, str]] = []
        if has_relation(conn, JOBS):
            jobs = conn.execute(
                f"select j.job_id, j.source, j.lane, {STATUS} from ops.ingestion_jobs as j "
                "where j.status = 'running' and j.job_id = coalesce(%(job)s, j.job_id) "
                "and j.source = coalesce(%(source)s, j.source) order by j.job_id desc".encode(),
                named,
            ).fetchall()
        dead = [job for job in jobs if job[3] != "running" and _is_dead(warehouse, job[2])]
        running = [job for job in jobs if job not in dead]
        if len(running) > 1:
            listed = ", ".join(f"{job} of {of}" for job, of, *_ in running)
            raise UsageError(
                f"several loads are running: {listed}",
                hint=f"Run `loaders cancel {running[0][0]}`.",
            )
        if dead and not running:
            raise UsageError(
                f"load {dead[0][0]} is not running: its process no longer exists, and it "
                "is now recorded as interrupted",
                hint=f"Run `quotemill retry {dead[0][0]}` to load the rest.",
            )
        if not running:
            of = f" of {source}" if source else ""
            what = f"no load{of} is" if job_id is None else f"load {job_id}{of} is not"
            raise UsageError(f"{what} running", hint="Run `quotemill loads` to list loads.")
        [(number, *_)] = running
        conn.execute(
            "update ops.ingestion_jobs set cancel_requested_at = clock_timestamp() "
            "where job_id = %s",
            (number,),
        )
    return number


def request_cancel_after(warehouse: Warehouse, job_id: int, task_no: int) -> None:
    """Ask a running job to stop after one of its tasks, which is loaded to its end.

    Raises UsageError where the job is not running, or the task has ended or does not exist.
    """
    with warehouse.connect() as conn:
        row: tuple[str, str | None] | None = None
        if has_relation(conn, JOBS):
            row = conn.execute(
                f"select {STATUS}, t.status from ops.ingestion_jobs as j "
                "left join ops.ingestion_job_tasks as t on t.job_id = j.job_id and t.task_no = %s "
                "where j.job_id = %s".encode(),
                (task_no, job_id),
            ).fetchone()
        if row is None or row[1] is None:
            which = f"load {job_id}" if row is None else f"task {task_no} of load {job_id}"
            raise UsageError(f"unknown {which}", hint=f"Run `quotemill loads {job_id}` to see it.")
        if row[0] != "running" or row[1] not in OPEN:
            what = f"load {job_id}" if row[0] != "running" else f"task {task_no} of load {job_id}"
            raise UsageError(f"{what} is not running", hint="Run `quotemill loads` to list loads.")
        conn.execute(
            "update ops.ingestion_jobs set cancel_after_task = %s where job_id = %s",
            (task_no, job_id),
        )


def newest_job(conn: psycopg.Connection) -> int:
    """The number of the newest job; 0 before the first."""
    if not has_relation(conn, JOBS):
        return 0
    [(newest,)] = conn.execute("select coalesce(max(job_id), 0) from ops.ingestion_jobs")
    return int(newest)


def find_job_by(conn: psycopg.Connection, requested_by: str, after: int) -> int | None:
    """The first job after another that a requester has started; None before that."""
    if not has_relation(conn, JOBS):
        return None
    [(job_id,)] = conn.execute(
        "select min(job_id) from ops.ingestion_jobs where requested_by = %s and job_id > %s",
        (requested_by, after),
    )
    return None if job_id is None else int(job_id)


def _is_dead(warehouse: Warehouse, lane: str) -> bool:
    """Whether nobody holds a lane's lock; then records the end of its jobs."""
    try:
        with load_lock(warehouse, lane):
            warehouse.ask(lambda conn: _interrupt(conn, lane))
    except LockHeldError:
        return False
    return True


def source_of(warehouse: Warehouse, job_id: int) -> str:
    """The source that a job loaded. Raises UsageError for an unknown job."""
    with warehouse.connect() as conn:
        query = "select source from ops.ingestion_jobs where job_id = %s"
        row = conn.execute(query, (job_id,)).fetchone() if has_relation(conn, JOBS) else None
    if row is None:
        raise UsageError(f"unknown load {job_id}", hint="Run `quotemill loads` to list loads.")
    return str(row[0])


def failed_tasks(
    warehouse: Warehouse, source: str, job_id: int | None = None
) -> tuple[dict[str, Any], list[Task]]:
    """A job of the source and all its tasks, each with the keys that are left.

    These are the failed keys, or all keys of a task that did not end; cursors skip what is stored.
    Without `job_id` the newest job that failed and that no later job repaired, else the newest job.
    """
    with warehouse.connect() as conn, conn.cursor(row_factory=dict_row) as cur:
        job = cur.execute(
            f"""
            select j.* from ops.ingestion_jobs as j
            where j.source = %(source)s and (%(job)s::bigint is null or j.job_id = %(job)s)
            order by
                {STATUS} not in ('succeeded', 'running') and not {REPAIRED} desc,
                j.job_id desc
            limit 1
            """.encode(),
            {"job": job_id, "source": source},
        ).fetchone()
        if job is None:
            raise UsageError(
                f"unknown load {job_id} of {source}" if job_id else f"no load of {source} to retry",
                hint="Run `quotemill loads` to list loads.",
            )
        tasks = cur.execute(
            "select * from ops.ingestion_job_tasks where job_id = %s order by task_no",
            (job["job_id"],),
        ).fetchall()
    return job, [
        Task(t["task_no"], t["dataset"], t["exchange"], _remaining_keys(t), status=t["status"])
        for t in tasks
    ]


def _remaining_keys(task: Mapping[str, Any]) -> tuple[str, ...]:
    if task["status"] in ("succeeded", "skipped"):
        return ()
    failures = set(task["failures"])
    ended = task["done"] + task["skipped"] + len(failures) == len(task["keys"])
    by_key = failures <= set(task["keys"])  # else the task failed as a whole
    return tuple(k for k in task["keys"] if not (ended and by_key) or k in failures)
