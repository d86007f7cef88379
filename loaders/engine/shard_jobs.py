"""Jobs of shards, put together to the load that they are the parts of."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from loaders.engine import job_list, jobs
from loaders.engine.shard import OPTION, Shard, parse_shard
from loaders.errors import UsageError
from loaders.warehouse.postgres import Warehouse

Job = Mapping[str, Any]  # of loaders.engine.job_list


@dataclass
class WholeLoad:
    """A load in shards.

    newest: the newest job of each shard that was started, by its number
    jobs: all of them, and those that they retry
    """

    source: str
    mode: str
    count: int
    newest: dict[int, Job] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    @property
    def absent(self) -> list[int]:
        """Numbers of shards that were never started."""
        return [number for number in range(1, self.count + 1) if number not in self.newest]

    @property
    def status(self) -> str:
        """Running while a shard is; what all shards ended with; else partial."""
        statuses = {str(job["status"]) for job in self.newest.values()}
        if "running" in statuses:
            return "running"
        return statuses.pop() if len(statuses) == 1 and not self.absent else "partial"

    @property
    def to_retry(self) -> list[int]:
        """Jobs of shards that ended without success, by the shard's number."""
        ended = ("succeeded", "running")
        return [
            job["job_id"] for _, job in sorted(self.newest.items()) if job["status"] not in ended
        ]

    def as_json(self) -> dict[str, Any]:
        """Status and sums; a key that failed and was loaded again counts as done alone."""
        return {
            "source": self.source,
            "mode": self.mode,
            "shards": self.count,
            "status": self.status,
            "jobs": {n: job["job_id"] for n, job in sorted(self.newest.items())},
            "absent": self.absent,
            "to_retry": self.to_retry,
            "done": sum(job["done"] for job in self.jobs),
            "failed": sum(job["failed"] for job in self.newest.values()),
            "rows_new": sum(job["rows_new"] for job in self.jobs),
            "rows_changed": sum(job["rows_changed"] for job in self.jobs),
        }


def shard_of(job: Job) -> Shard | None:
    """The shard that a job loads; None of a whole load."""
    text = job["parameters"].get("options", {}).get(OPTION)
    return parse_shard(text) if text else None


def put_together(listed: Iterable[Job]) -> list[WholeLoad]:
    """The loads whose shards some jobs are, oldest first, from jobs that are oldest first.

    A shard that starts again begins another load, unless it retries its job in this one.
    """
    wholes: list[WholeLoad] = []
    open_: dict[tuple[str, int, str], WholeLoad] = {}
    for job in listed:
        shard = shard_of(job)
        if shard is None:
            continue
        options = {k: v for k, v in job["parameters"]["options"].items() if k != OPTION}
        asked = json.dumps(job["parameters"] | {"options": options}, sort_keys=True, default=str)
        key = (job["source"], shard.count, asked)
        whole = open_.get(key)
        before = whole.newest.get(shard.number) if whole else None
        if whole is None or (before is not None and job["retry_of"] != before["job_id"]):
            whole = open_[key] = WholeLoad(job["source"], job["mode"], shard.count)
            wholes.append(whole)
        whole.newest[shard.number] = job
        whole.jobs.append(job)
    return wholes


def find_newest(conn: psycopg.Connection, shown: Iterable[Job]) -> list[WholeLoad]:
    """The newest load in shards of each source of which a shard is among some jobs."""
    newest: dict[str, int] = {}
    for job in shown:
        shard = shard_of(job)
        if shard is not None:
            newest.setdefault(job["source"], shard.count)
    wholes = []
    for source, count in newest.items():
        # the load before it and retries may lie between its jobs
        listed = job_list.recent_shards(conn, source, 3 * count)
        wholes.append(put_together(reversed(listed))[-1])
    return wholes


def find_whole(warehouse: Warehouse, job: Job) -> WholeLoad | None:
    """The newest load in shards of a job's source; None where the job is no part of it."""
    if shard_of(job) is None:
        return None
    for whole in warehouse.ask(lambda conn: find_newest(conn, [job])):
        if any(part["job_id"] == job["job_id"] for part in whole.jobs):
            return whole
    return None


def jobs_to_retry(warehouse: Warehouse, source: str) -> list[int | None]:
    """The jobs that a retry of a source is of: those of all shards, or None, its newest job."""
    try:
        job, _ = jobs.failed_tasks(warehouse, source)
    except UsageError:  # the retry itself says it
        return [None]

    def read(conn: psycopg.Connection) -> list[int | None]:
        for whole in find_newest(conn, [job]):
            if job["job_id"] in whole.to_retry:
                return list(whole.to_retry)
        return [None]

    return warehouse.ask(read) if shard_of(job) else [None]


def report(warehouse: Warehouse | None, limit: int = 10) -> dict[str, Any]:
    """The report of jobs, and as `shards` the newest load in shards of each source in it."""
    shown = job_list.report(warehouse, limit)
    wholes: list[WholeLoad] = []
    if warehouse is not None and any(map(shard_of, shown["jobs"])):
        wholes = warehouse.ask(lambda conn: find_newest(conn, shown["jobs"]))
    return shown | {"shards": [whole.as_json() for whole in wholes]}
