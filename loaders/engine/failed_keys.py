"""Keys whose newest load failed: ops.failed_keys. A load of the key that succeeds deletes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from loaders.check import Check
from quotemill.warehouse.schemas import has_relation

TABLE = "ops.failed_keys"

_ACCEPT = """
    update ops.ingestion_jobs as j set status = 'succeeded'
    where j.job_id = any(%s) and j.status in ('partial', 'failed') and j.error is null
        and not exists (
            select 1
            from ops.ingestion_job_tasks as t
            cross join lateral jsonb_object_keys(t.failures) as k (key)
            left join ops.failed_keys as f
                on f.source = j.source and f.dataset = t.dataset and f.key = k.key
            where t.job_id = j.job_id and f.acknowledged_at is null
        )
"""

# numbers in a reason, such as counts and prices, may differ: it is the same one
_DELETE_ACCEPTED = r"""
    delete from ops.failed_keys as f
    using unnest(%(keys)s::text[], %(why)s::text[]) as k (key, reason)
    where f.dataset = %(dataset)s and f.key = k.key and f.acknowledged_at is not null
        and f.source = (select source from ops.ingestion_jobs where job_id = %(job)s)
        and regexp_replace(f.reason, '[0-9][0-9,.]*', '', 'g')
        <> regexp_replace(k.reason, '[0-9][0-9,.]*', '', 'g')
"""


@dataclass(frozen=True)
class FailedKey:
    """A row of ops.failed_keys; `failure_id` grows with each further key that fails."""

    failure_id: int
    source: str
    dataset: str
    key: str
    reason: str
    first_job_id: int
    job_id: int
    first_failed_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_because: str | None

    @property
    def is_open(self) -> bool:
        return self.acknowledged_at is None

    @property
    def check(self) -> Check:
        text = f"{self.source} {self.dataset} {self.key}: {self.reason}"
        verdict, fix = ("warn", f"quotemill retry {self.job_id}") if self.is_open else ("ok", "")
        return Check("keys", verdict, text, fix, subject=self.source)

    @property
    def state_words(self) -> str:
        """Its state, since when, and by whom it is acknowledged and why."""
        since = f"since {self.first_failed_at:%Y-%m-%d}"
        if self.is_open:
            return f"open {since}"
        return f"acknowledged {since} by {self.acknowledged_by}: {self.acknowledged_because}"


def update(
    conn: psycopg.Connection,
    job_id: int,
    dataset: str,
    reached: Sequence[str],
    failures: Mapping[str, str],
) -> None:
    """Record the outcomes of the keys that a task of a job has reached.

    An acknowledgement is of a reason: a key that fails for another one is a new failure.
    """
    conn.execute(
        "delete from ops.failed_keys where dataset = %(dataset)s and key = any(%(keys)s) and "
        "source = (select source from ops.ingestion_jobs where job_id = %(job)s)",
        {
            "dataset": dataset,
            "keys": [key for key in reached if key not in failures],
            "job": job_id,
        },
    )
    if not failures:
        return
    values = {
        "dataset": dataset,
        "keys": list(failures),
        "why": list(failures.values()),
        "job": job_id,
    }
    conn.execute(_DELETE_ACCEPTED, values)
    conn.execute(
        "insert into ops.failed_keys as f "
        "(source, dataset, key, reason, first_job_id, job_id) "
        "select j.source, %(dataset)s, k.key, k.reason, j.job_id, j.job_id "
        "from ops.ingestion_jobs as j, unnest(%(keys)s::text[], %(why)s::text[]) "
        "as k (key, reason) where j.job_id = %(job)s "
        "on conflict (source, dataset, key) do update "
        "set reason = excluded.reason, job_id = excluded.job_id "
        "where f.job_id <> excluded.job_id or f.reason <> excluded.reason",
        values,
    )


def read_failures(conn: psycopg.Connection) -> list[FailedKey]:
    """All failed keys in the order in which they failed first; none in an older warehouse."""
    if not has_relation(conn, TABLE):
        return []
    with conn.cursor(row_factory=class_row(FailedKey)) as cur:
        return cur.execute(f"select * from {TABLE} order by failure_id".encode()).fetchall()


def read_known(conn: psycopg.Connection, job_id: int) -> list[FailedKey]:
    """The failed keys of a load that an earlier one had too, or that are acknowledged."""
    return [
        failure
        for failure in read_failures(conn)
        if failure.job_id == job_id and (failure.first_job_id != job_id or failure.acknowledged_at)
    ]


def acknowledge(conn: psycopg.Connection, name: str, reason: str, by: str) -> int:
    """Acknowledge failed keys; return how many.

    `name` is a key, a dataset, or both with a blank between. A load of which nothing else failed
    has succeeded then.
    """
    if not has_relation(conn, TABLE):
        return 0
    jobs = conn.execute(
        "update ops.failed_keys set acknowledged_at = clock_timestamp(), acknowledged_by = %s, "
        "acknowledged_because = %s where %s in (key, dataset, dataset || ' ' || key) "
        "returning job_id",
        (by, reason, name),
    ).fetchall()
    conn.execute(_ACCEPT, (sorted({job_id for (job_id,) in jobs}),))
    return len(jobs)
