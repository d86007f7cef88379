"""Loads, builds and self-tests of the window: how long they took and what failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from loaders.engine import check_runs, job_list
from orchestration.alerts import book
from orchestration.run import build_record, history
from orchestration.schedule import ledger
from orchestration.schedule.jobs import Row as Job
from quotemill.warehouse.schemas import has_relation

Row = dict[str, Any]
MOST = 400  # the newest of each lane, command and kind: a gateway is asked every five minutes


@dataclass(frozen=True)
class Runs:
    """Rows as in `ops`, newest first, each with its `seconds` (None while it runs).

    `alerts` are the open ones, `jobs` the scheduled ones. A run has `figures` by (stage, source,
    name).
    """

    loads: Sequence[Row] = ()
    builds: Sequence[Row] = ()
    tests: Sequence[Row] = ()
    runs: Sequence[Row] = ()
    alerts: Sequence[book.Entry] = ()
    jobs: Sequence[Job] = ()


def read_runs(conn: psycopg.Connection, since: datetime, as_of: datetime) -> Runs:
    """Read what started between two times."""
    if not has_relation(conn, "ops.ingestion_jobs"):
        return Runs()
    loads = [
        job | {"seconds": measure_seconds(job), "rows": job["rows_new"] + job["rows_changed"]}
        for job in job_list.jobs_between(conn, since, as_of, MOST)
    ]
    builds = build_record.recent(conn, MOST, since, as_of)
    entries = book.read_entries(conn, only_open=True)
    return Runs(
        loads=loads,
        builds=[build | {"seconds": measure_seconds(build)} for build in builds],
        tests=check_runs.list_runs(conn, MOST, since, as_of),
        runs=_read_runs(conn, since, as_of),
        alerts=sorted(entries.values(), key=lambda entry: (entry.severity, entry.first_at)),
        # rows that no scheduler has looked at yet are no jobs of this machine
        jobs=[
            job
            for job in ledger.read_rows(conn)
            if job.next_run_at or job.last_run_at or not job.is_enabled
        ],
    )


def _read_runs(conn: psycopg.Connection, since: datetime, as_of: datetime) -> list[Row]:
    runs = history.recent(conn, MOST, since, as_of)
    figures: dict[str, dict[tuple[str, str, str], float]] = {run["run_id"]: {} for run in runs}
    query = (
        "select run_id, stage, source, name, value::float8 from ops.metrics where run_id = any(%s)"
    )
    for run_id, stage, source, name, value in conn.execute(query, (list(figures),)):
        figures[run_id][stage, source, name] = value
    return [
        run | {"seconds": measure_seconds(run), "figures": figures[run["run_id"]]} for run in runs
    ]


def measure_seconds(run: Row) -> float | None:
    """How long a run, load or build took; None while it runs."""
    if run["finished_at"] is None:
        return None
    taken: float = (run["finished_at"] - run["started_at"]).total_seconds()
    return taken
