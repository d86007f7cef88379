"""A job as seen from another terminal: its progress and rate, its failures, its log."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from heapq import merge
from itertools import chain
from operator import itemgetter
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.engine import job_list, jobs
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

_JOB = f"""
    select
        j.job_id, j.source, j.lane, j.mode, {jobs.STATUS} as status, j.requested_by, j.parameters,
        j.retry_of, j.as_of, j.started_at, j.finished_at, j.cancel_requested_at,
        j.cancel_after_task, j.error, j.held_by,
        extract(epoch from coalesce(j.finished_at, clock_timestamp()) - j.started_at)::float8
            as seconds,
        {jobs.REPAIRED} as is_repaired
    from ops.ingestion_jobs as j where j.job_id = %s
"""
_PARTS = """
    select
        dataset, sum(cardinality(keys))::int as keys,
        sum(greatest(
            case when status = 'running' and %(is_alive)s then fetched end, done + skipped + failed
        ))::int as reached,
        sum(done)::int as done, sum(skipped)::int as skipped, sum(failed)::int as failed,
        sum(rows_new)::bigint as rows_new, sum(rows_changed)::bigint as rows_changed,
        bool_or(status = 'running') and %(is_alive)s as is_running,
        bool_and(status = 'pending') as is_pending, %(is_held)s as is_held,
        extract(epoch from case
            when bool_or(status = 'running') then clock_timestamp() else max(finished_at)
        end - min(started_at))::float8 as seconds
    from ops.ingestion_job_tasks as t where job_id = %(job_id)s
    group by dataset order by min(task_no)
"""
_FAILED = """
    select t.dataset, f.key, f.value as reason
    from ops.ingestion_job_tasks as t cross join lateral jsonb_each_text(t.failures) as f
    where t.job_id = %s order by t.task_no, f.key
"""
_LOGGED = """
    select l.log_id, l.logged_at, l.level, l.event, l.detail, l.task_no, t.dataset
    from ops.ingestion_logs as l
    left join ops.ingestion_job_tasks as t on l.job_id = t.job_id and l.task_no = t.task_no
    where l.job_id = %s
"""
_TASKS = """
    select
        task_no, dataset, exchange, status, cardinality(keys) as keys, done, skipped, failed,
        rows_read, rows_new, rows_changed, failures, started_at, finished_at
    from ops.ingestion_job_tasks where job_id = %s order by task_no
"""


@dataclass(frozen=True)
class Part:
    """A dataset of a job.

    `reached` keys have an answer, which may still land while the dataset runs; `is_held`: none
    advances now. `seconds` is its run time, None before it starts. `rate` is in keys a second,
    as skipped ones took no time; `left` seconds to its end at this rate, None while it does
    not run, or is held.
    """

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
    is_held: bool
    seconds: float | None
    rate: float | None
    left: float | None


@dataclass(frozen=True)
class JobView:
    """A job with its datasets and failures.

    `job` has the columns of ops.ingestion_jobs, `seconds` and whether a later load `is_repaired`
    it; the status of a dead one is interrupted. `failures` are (dataset, key, reason).
    """

    job: dict[str, Any]
    parts: tuple[Part, ...]
    failures: tuple[tuple[str, str, str], ...]

    @property
    def is_running(self) -> bool:
        return bool(self.job["status"] == "running")

    @property
    def keys(self) -> int:
        """Keys of all datasets that are planned so far."""
        return sum(part.keys for part in self.parts)

    @property
    def reached(self) -> int:
        return sum(part.reached for part in self.parts)

    @property
    def rate(self) -> float | None:
        """Keys a second since its start; those that were skipped took no time."""
        skipped = sum(part.skipped for part in self.parts)
        return _find_rate(self.reached - skipped, self.job["seconds"])

    @property
    def left(self) -> float | None:
        """Seconds to its end at this rate; None as for a dataset, or where one has no rate."""
        rate = self.rate
        if not (rate and self.is_running) or self.job["held_by"]:
            return None
        if any(part.is_running and not part.rate for part in self.parts):
            return None
        return (self.keys - self.reached) / rate

    def as_json(self) -> dict[str, Any]:
        parts = [asdict(part) for part in self.parts]
        names = ("dataset", "key", "reason")
        failures = [dict(zip(names, failure, strict=True)) for failure in self.failures]
        return {**self.job, "parts": parts, "failures": failures}


def read_job(warehouse: Warehouse, job_id: int) -> JobView:
    """The state of a job. Raises UsageError for an unknown job."""

    def read(conn: psycopg.Connection) -> JobView:
        job = _job(conn, job_id)
        with conn.cursor(row_factory=dict_row) as cur:
            # the tasks of a killed job ended with it
            values = {"job_id": job_id, "is_alive": job["status"] == "running"}
            parts = cur.execute(_PARTS, values | {"is_held": job["held_by"] is not None})
            shown = tuple(map(_describe_part, parts))
        return JobView(job, shown, tuple(conn.execute(_FAILED, (job_id,)).fetchall()))

    return warehouse.ask(read)


def _describe_part(row: Mapping[str, Any]) -> Part:
    rate = _find_rate(row["reached"] - row["skipped"], row["seconds"])
    advances = rate and row["is_running"] and not row["is_held"]
    return Part(**row, rate=rate, left=(row["keys"] - row["reached"]) / rate if advances else None)


def _find_rate(asked: int, seconds: float | None) -> float | None:
    return asked / seconds if asked and seconds else None


def read_tasks(warehouse: Warehouse, job_id: int) -> list[dict[str, Any]]:
    """The tasks of a job, with the columns of ops.ingestion_job_tasks and the number of keys."""

    def read(conn: psycopg.Connection) -> list[dict[str, Any]]:
        is_alive = _job(conn, job_id)["status"] == "running"
        with conn.cursor(row_factory=dict_row) as cur:
            tasks = cur.execute(_TASKS, (job_id,)).fetchall()
        return [  # the tasks of a killed job ended with it
            task if is_alive or task["status"] not in jobs.OPEN else task | {"status": "cancelled"}
            for task in tasks
        ]

    return warehouse.ask(read)


def find_running_job(warehouse: Warehouse) -> int:
    """The number of the running job. Raises UsageError where none or several run."""
    with warehouse.connect() as conn:
        running = [job for job in job_list.recent_jobs(conn, 100) if job["status"] == "running"]
    if not running:
        raise UsageError("no load is running", hint="Run `quotemill loads` to list loads.")
    if len(running) > 1:
        names = ", ".join(f"{job['job_id']} of {job['source']}" for job in running)
        raise UsageError(f"several loads are running: {names}", hint="Give the number of one.")
    return int(running[0]["job_id"])


def read_log(
    warehouse: Warehouse, job_id: int, *, last: int | None = None
) -> Generator[dict[str, Any], None, None]:
    """The record of a job as lines with the fields of the log of commands, by time.

    These are its request, its messages, every failed key with the reason, the end of each task and
    of the job; a task that runs stands at the end. With `last` only so many of its messages and of
    its tasks, the newest. Raises UsageError for an unknown job.
    """
    with warehouse.connect() as conn:
        job = _job(conn, job_id)
        with conn.cursor(row_factory=dict_row) as cur:
            tasks = cur.execute(_TASKS, (job_id,)).fetchall()
        ended = sorted(
            (task for task in tasks if task["finished_at"]), key=itemgetter("finished_at")
        )
        lines = merge(
            _list_messages(conn, job_id, last),
            chain.from_iterable(map(_describe_task, ended[-last:] if last else ended)),
            key=itemgetter("at"),
        )
        at = job["started_at"]
        for line in chain([_describe_start(job)], lines):
            at = line["at"]
            yield _add_job(job, line)
    open_tasks = [task for task in tasks if task["status"] == "running" and not task["finished_at"]]
    for line in chain.from_iterable(map(_describe_task, open_tasks)):
        yield _add_job(job, line | {"at": at})
    yield _add_job(job, _describe_end(job, job["finished_at"] or at))


def _add_job(job: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    first = {"at": line["at"].isoformat(), "level": line["level"]}
    return {**first, "source": job["source"], "job": job["job_id"], **line, **first}


def _describe_start(job: Mapping[str, Any]) -> dict[str, Any]:
    names = ("lane", "mode", "parameters", "requested_by", "retry_of", "as_of")
    detail = {name: job[name] for name in names}
    return {"at": job["started_at"], "level": "info", "event": "starts", "detail": detail}


def _list_messages(
    conn: psycopg.Connection, job_id: int, last: int | None
) -> Iterator[dict[str, Any]]:
    """The messages of a job, some thousands at a time: there may be many."""
    if last is None:
        query = f"{_LOGGED} order by l.log_id"
    else:
        query = (
            f"select * from ({_LOGGED} order by l.log_id desc limit {last:d}) as l order by log_id"
        )
    with conn.cursor("messages", row_factory=dict_row) as cur:
        cur.itersize = 2000
        for row in cur.execute(query.encode(), (job_id,)):
            yield {
                "at": row["logged_at"],
                "level": row["level"],
                "event": row["event"],
                "task": row["task_no"],
                "dataset": row["dataset"],
                "detail": row["detail"],
            }


def _describe_task(task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A task's failed keys, and its state."""
    by_task = {"at": task["finished_at"], "task": task["task_no"], "dataset": task["dataset"]}
    for key, reason in task["failures"].items():
        yield {**by_task, "level": "warning", "event": reason, "code": key}
    is_well = task["status"] in ("succeeded", "skipped", *jobs.OPEN)
    left_out = ("task_no", "dataset", "failures", "status")
    detail = {name: value for name, value in task.items() if name not in left_out}
    level = "info" if is_well else "warning"
    yield {**by_task, "level": level, "event": task["status"], "detail": detail}


def _describe_end(job: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    level = "info" if job["status"] in ("succeeded", "running") else "error"
    detail = {"error": job["error"], "seconds": job["seconds"]}
    return {"at": at, "level": level, "event": job["status"], "detail": detail}


def _job(conn: psycopg.Connection, job_id: int) -> dict[str, Any]:
    job = None
    if has_relation(conn, jobs.JOBS):
        with conn.cursor(row_factory=dict_row) as cur:
            job = cur.execute(_JOB.encode(), (job_id,)).fetchone()
    if job is None:
        raise UsageError(f"unknown load {job_id}", hint="Run `quotemill loads` to list loads.")
    return job if job["status"] == "running" else job | {"held_by": None}
