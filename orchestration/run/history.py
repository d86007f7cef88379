"""Recorded runs: the rows of ops.runs without a build_id.

A run holds its own advisory lock while its process lives, so a killed run reads as interrupted from
every machine. A command that another run started (loaders.log.RUN_ID) is a part of that run and has
its id. A failure to record stops no run: the figures wait until the run ends, then the log reports
the failure. Runs older than loaders.engine.metrics.KEPT are deleted.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders import log
from loaders.engine import metrics
from loaders.engine.metrics import Metric
from loaders.engine.progress import Silent
from loaders.settings import Settings
from loaders.warehouse.sql_files import read_sql
from loaders.warehouse.turns import is_held
from quotemill.errors import INTERRUPTED, QuotemillError, SettingsError, innermost
from quotemill.warehouse.connections import take_unbroken
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

LOCK = "quotemill:run:"  # followed by the run's id
# status of a row of ops.runs named r: succeeded, cancelled, failed, running, interrupted
STATUS = f"""
    case
        when r.finished_at is not null
            then case r.exit_code
                when 0 then 'succeeded' when {INTERRUPTED} then 'cancelled' else 'failed'
            end
        when {is_held(f"'{LOCK}' || r.run_id")} then 'running'
        else 'interrupted'
    end
"""


@dataclass
class Run:
    """A run that is recorded, or will be once the warehouse can be reached."""

    run_id: str
    command: str
    schedule: str | None
    started_at: datetime
    exit_code: int | None = None
    error: str | None = None
    finished_at: datetime | None = None
    refusal: SettingsError | None = None  # why the warehouse cannot be used
    _where: Settings | Warehouse = field(kw_only=True, repr=False)
    _unwritten: list[Metric] = field(default_factory=list, repr=False)
    _warehouse: Warehouse | None = field(default=None, repr=False)
    _lock: psycopg.Connection | None = field(default=None, repr=False)  # None for a part

    def measure(self, measured: Sequence[Metric]) -> None:
        """Record the figures of a stage."""
        self._unwritten += measured
        self._write()

    def hold(self) -> None:
        """Take the lock again if its connection broke: without it the run counts as cut off."""
        if self._lock is None or self._warehouse is None:
            return
        if self._lock.closed or take_unbroken([self._lock]) is None:
            with contextlib.suppress(QuotemillError, psycopg.Error):
                self._lock = take_lock(self._warehouse, self.run_id) or self._lock

    def end(self, exit_code: int, error: str | None = None, at: datetime | None = None) -> None:
        """Set how the run ended; it is recorded when the block ends, at that time by default."""
        self.exit_code, self.error, self.finished_at = exit_code, error and log.scrub(error), at

    def _write(self, *, last: bool = False) -> None:
        try:
            if self._warehouse is None:
                self._begin()
            assert self._warehouse is not None
            self._warehouse.ask(lambda conn: self._update(conn, last), patient=False)
            self._unwritten.clear()
        except (QuotemillError, psycopg.Error) as error:
            # the code that needs a wrong setting reports it; it must not create a home for the log
            if isinstance(error, SettingsError):
                self.refusal = error
            elif last:
                log.write("warning", f"the run cannot be recorded: {innermost(error)}")

    def _begin(self) -> None:
        """Take the run's lock; if another run holds it, this run is a part of that one."""
        where = self._where
        if isinstance(where, Settings):
            from loaders import loads  # here, as `status` reads runs and loads nothing

            where = loads.prepare_warehouse(where, Silent())
        self._lock = take_lock(where, self.run_id)
        self._warehouse = where

    def _update(self, conn: psycopg.Connection, last: bool) -> None:
        metrics.write(conn, self.run_id, self._unwritten)
        if self._lock is None:
            return
        # not after the server's clock, which dates the run's loads
        [(now,)] = conn.execute("select clock_timestamp()")
        begin(conn, self.run_id, self.schedule, self.command, min(self.started_at, now))
        if last:
            conn.execute(
                "update ops.runs set finished_at = coalesce(%s, clock_timestamp()), "
                "exit_code = %s, error = %s where run_id = %s",
                (self.finished_at, self.exit_code, self.error, self.run_id),
            )
            conn.execute(
                "delete from ops.runs where build_id is null and started_at < now() - %s::interval",
                (metrics.KEPT,),
            )

    def _close(self) -> None:
        self._write(last=True)
        if self._lock is not None:
            self._lock.close()


@contextlib.contextmanager
def recorded(
    where: Settings | Warehouse,
    command: str,
    *,
    run_id: str | None = None,
    schedule: str | None = None,
    lock: psycopg.Connection | None = None,
) -> Iterator[Run]:
    """Record a run of `command`; `lock` is its own if it is taken already.

    The caller calls `end`; a block that raises has failed. `where` is a prepared warehouse, or the
    settings that name one. Id and schedule are those of this process by default. A process that
    starts with them in its environment (`environment`) is a part of this run.
    """
    run = Run(
        run_id or log.run_id(),
        command,
        schedule or os.environ.get(log.SCHEDULE),
        datetime.now(UTC),
        _where=where,
        _lock=lock,
        _warehouse=where if lock and isinstance(where, Warehouse) else None,
    )
    run._write()
    try:
        yield run
    except BaseException as error:
        if run.exit_code is None:
            known = error.exit_code if isinstance(error, QuotemillError) else 1
            code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else known
            run.end(code, innermost(error))
        raise
    finally:
        run._close()


def environment(run_id: str, schedule: str | None = None) -> dict[str, str]:
    """Environment variables for a process that is a part of a run."""
    return {log.RUN_ID: run_id} | ({log.SCHEDULE: schedule} if schedule else {})


def take_lock(warehouse: Warehouse, run_id: str) -> psycopg.Connection | None:
    """Take the lock of a run while the connection is open; None if its process holds it."""
    lock = warehouse.connect(autocommit=True, application_name=f"quotemill run {run_id}")
    taken = lock.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 0))", (LOCK + run_id,)
    ).fetchone()
    if taken == (True,):
        return lock
    lock.close()
    return None


def begin(
    conn: psycopg.Connection,
    run_id: str,
    schedule: str | None,
    command: str,
    started_at: datetime,
) -> None:
    """Record the start of a run, unless it is on record."""
    conn.execute(
        "insert into ops.runs (run_id, schedule, command, host, pid, started_at) "
        "values (%s, %s, %s, %s, %s, %s) on conflict (run_id) do nothing",
        (run_id, schedule, command, socket.gethostname(), os.getpid(), started_at),
    )


def find_command(conn: psycopg.Connection, at: datetime) -> str | None:
    """The command of the `quotemill run` that was at work at a time, such as `run tq`."""
    row = conn.execute(
        "select command from ops.runs where build_id is null and command like 'run%%' "
        "and started_at <= %s and coalesce(finished_at, 'infinity') >= %s "
        "order by started_at desc limit 1",
        (at, at),
    ).fetchone()
    return row[0] if row else None


def find(conn: psycopg.Connection, run_id: str) -> dict[str, Any] | None:
    """A run with the columns of ops.runs and `status`; None for an unknown one."""
    if not has_relation(conn, "ops.runs"):
        return None
    with conn.cursor(row_factory=dict_row) as cur:
        query = (
            f"select r.*, {STATUS} as status from ops.runs as r "
            "where r.build_id is null and r.run_id = %s"
        )
        return cur.execute(query.encode(), (run_id,)).fetchone()


def recent(
    conn: psycopg.Connection,
    limit: int = 20,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[dict[str, Any]]:
    """Runs that started between two times, newest first.

    Each has the columns of ops.runs and `status`. Only the newest `limit` of each scheduled job, or
    command, are read: a job that runs every five minutes does not push out the others.
    """
    if not has_relation(conn, "ops.runs"):  # a warehouse of before the first run
        return []
    with conn.cursor(row_factory=dict_row) as cur:
        query = read_sql(__package__, "recent_runs").format(status=STATUS)
        values = {"since": since, "until": until, "limit": limit}
        return cur.execute(query.encode(), values).fetchall()
