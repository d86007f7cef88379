"""Jobs with their records, for people: which there are, when each starts next, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from loaders.settings import Settings
from loaders.warehouse.postgres import find_warehouse
from orchestration.schedule import ledger
from orchestration.schedule.jobs import Job, Row, survey
from quotemill.errors import SettingsError, UsageError

NO_JOB = "no source is configured, so there is no job to start"


@dataclass(frozen=True)
class Listing:
    """The jobs that can be read, with their rows, and the errors of the others."""

    jobs: Mapping[str, Job]
    rows: Mapping[str, Row]
    wrong: Mapping[str, SettingsError]

    def get(self, name: str) -> Job:
        """A job by its name. Raises UsageError, or the error of one that cannot be read."""
        if name in self.wrong:
            raise self.wrong[name]
        if name not in self.jobs:
            raise UsageError(
                f"no configured source has a job {name}",
                hint=f"Choose one of: {', '.join(self.jobs)}."
                if self.jobs
                else "Configure a source first.",
            )
        return self.jobs[name]

    def describe(self, now: datetime) -> list[dict[str, Any]]:
        """A document for each job at a time; one that cannot be read has the state `wrong`."""
        shown = [describe_job(job, self.rows.get(name), now) for name, job in self.jobs.items()]
        return shown + [describe_unreadable(name, self.rows.get(name)) for name in self.wrong]


def read_rows_by_name(conn: psycopg.Connection) -> dict[str, Row]:
    """The record of each job by name."""
    return {row.name: row for row in ledger.read_rows(conn)}


def list_jobs(settings: Settings, rows: Mapping[str, Row] | None = None) -> Listing:
    """The jobs of configured sources and of settings, and of rows whose job is gone.

    By default the rows are the warehouse's; none is made.
    """
    if rows is None:
        warehouse = find_warehouse(settings)
        rows = warehouse.ask(read_rows_by_name) if warehouse else {}
    jobs, wrong = survey(settings, rows.values())
    return Listing(jobs, rows, wrong)


def list_names(settings: Settings) -> list[str]:
    """The names of jobs."""
    jobs, wrong = survey(settings)
    return [*jobs, *wrong]


def describe_unreadable(name: str, row: Row | None) -> dict[str, Any]:
    """Describe a job that cannot be read by what is on record."""
    return {
        **dict.fromkeys(("source", "time_zone", "next_start")),
        **{"job": name, "state": "wrong", "rule": "", "command": ""},
        **_describe_record(row),
    }


def describe_job(job: Job, row: Row | None, now: datetime) -> dict[str, Any]:
    """Describe a job by its rule and what is on record."""
    is_on = job.timing is not None and (row is None or row.is_enabled)
    start = job.timing.next_after(now) if job.timing and is_on else None
    state = "on" if is_on else "off" if job.timing is None else "disabled"
    return {
        "job": job.name,
        "source": job.source,
        "state": "queued" if row and row.waits(now) else state,
        "rule": job.rule,
        "time_zone": job.zone,
        "command": " ".join(job.command),
        "next_start": start,
        **_describe_record(row),
        "on_overlap": job.on_overlap,
        "deadline": job.deadline,
        "catch_up": job.catch_up,
    }


def _describe_record(row: Row | None) -> dict[str, Any]:
    names = ("last_run_at", "last_finished_at", "last_exit_code", "missed_at")
    return {name: getattr(row, name, None) for name in names}
