"""Causes of scheduled jobs: one that cannot be read, missed its start, or lost its settings."""

import socket
from datetime import datetime, timedelta

import psycopg

from loaders import sources
from loaders.check import failed
from loaders.settings import Settings
from loaders.trading_time import format_time
from orchestration.alerts import book
from orchestration.alerts.book import Cause, on_this_host, ring
from orchestration.schedule import jobs, ledger

# a job that stopped running is judged by its last run for this long
RUN_MEMORY = timedelta(days=35)
# an alert that no machine's check has found again for this long is of a job that none knows
FORGOTTEN = timedelta(days=7)
LATE = timedelta(hours=1)  # a start this far back was missed: no scheduler runs


def check_schedules(
    conn: psycopg.Connection, settings: Settings, now: datetime
) -> dict[str, Cause | None]:
    """Verdicts on scheduled jobs that cannot be read, or that missed their start.

    Jobs that another machine has configured are judged there.
    """
    rows, entries = ledger.read_rows(conn), book.read_entries(conn, only_open=True)
    ready, _ = sources.configured(settings)
    known, wrong = jobs.survey(settings, rows)
    # an open cause is resolved unless it is found again below: a job may be gone without a row
    causes: dict[str, Cause | None] = {
        name: None
        for name in entries
        if name.startswith("schedule:") and name == on_this_host(name.partition("@")[0])
    }
    others = _other_machines(conn, now)
    for name, error in wrong.items():
        cause = ring(failed("schedule", error), state=str(error))
        causes[on_this_host(f"schedule:{name}")] = cause
    for row in rows:
        if row.name in wrong or (row.source is not None and row.source not in ready):
            continue
        if row.name not in known and row.last_host in ({None, *others} if others else others):
            entry = entries.get(f"missed:{row.name}")
            if entry is None or entry.last_at > now - FORGOTTEN:
                continue  # another machine may know it
        causes[f"missed:{row.name}"] = None
        job, last = known.get(row.name), row.last_run_at
        missed = (row.missed_at, row.next_run_at if row.is_overdue(now, LATE) else None)
        late = [at for at in missed if at and (last is None or last < at)]
        is_on = row.is_enabled and row.next_run_at is not None  # a scheduler knows it
        if late and is_on and job is not None and job.timing is not None:
            causes[f"missed:{row.name}"] = ring(ledger.describe_missed(row.name, max(late), job))
    return causes


def _other_machines(conn: psycopg.Connection, now: datetime) -> set[str]:
    """The other machines that ran something on this warehouse lately."""
    rows = conn.execute(
        "select distinct host from ops.runs where host <> %s and started_at > %s",
        (socket.gethostname(), now - RUN_MEMORY),
    ).fetchall()
    return {host for (host,) in rows}


def check_lost_settings(
    conn: psycopg.Connection, settings: Settings, now: datetime
) -> dict[str, Cause | None]:
    """Report sources whose jobs ran on this machine and whose settings are gone."""
    ready, _ = sources.configured(settings)
    causes: dict[str, Cause | None] = {}
    for row in ledger.read_rows(conn):
        # a job that another machine ran last is judged there
        if row.source is None or row.last_run_at is None or row.last_host != socket.gethostname():
            continue
        name = on_this_host(f"settings:{row.source}")
        causes.setdefault(name, None)
        if row.source not in ready and row.is_enabled and row.last_run_at > now - RUN_MEMORY:
            text = (
                f"{row.source} is no longer configured, so {row.name} is not started: "
                f"it last ran here at {format_time(row.last_run_at, timespec='minutes')}"
            )
            causes[name] = Cause("settings", "fail", text, "quotemill doctor", subject=row.source)
    return causes
