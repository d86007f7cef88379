"""Checks of the doctor in a used warehouse: failures, locks, and server settings."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import psycopg

from loaders.engine import job_list
from loaders.engine.check import Check, run_checks
from loaders.settings import Settings
from loaders.warehouse import migration_files
from orchestration.checks import status
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

LONG_HELD = timedelta(days=1)
OTHERS = 5  # connections that a build opens besides those of our readers


def check(
    settings: Settings, warehouse: Warehouse, now: datetime, as_of: datetime | None = None
) -> Iterator[Check]:
    with warehouse.connect(autocommit=True) as conn:
        yield from run_checks(
            [
                ("version", partial(_check_version, conn)),
                ("server", partial(_check_writable, conn)),
                ("connections", partial(_check_connections, conn, warehouse)),
                ("locks", partial(_check_locks, conn, now)),
                ("policies", partial(_check_policies, conn)),
                ("status", partial(_check_status, conn, settings, warehouse, as_of)),
            ]
        )


def check_usable(warehouse: Warehouse) -> Iterator[Check]:
    """Check that this version can use the server, and write to it."""
    with warehouse.connect(autocommit=True) as conn:
        yield from _check_version(conn)
        yield from _check_writable(conn)


def _check_status(
    conn: psycopg.Connection, settings: Settings, warehouse: Warehouse, as_of: datetime | None
) -> Iterator[Check]:
    """Problems of loads, builds and data, each with its fix."""
    at = as_of.isoformat() if as_of else None
    yield from status.read_status(warehouse, as_of=at, fixes=settings).problems
    yield from status.list_never_loaded(settings, job_list.newest_jobs(conn))


def _check_version(conn: psycopg.Connection) -> Iterator[Check]:
    if newer := migration_files.newer(migration_files.applied(conn)):
        text = f"the warehouse was used by a newer quotemill: it has {', '.join(newer)}"
        yield Check("version", "warn", text, "install that version of quotemill, or a newer one")


def _check_writable(conn: psycopg.Connection) -> tuple[Check, ...]:
    [(standby, read_only, role)] = conn.execute(
        "select pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean, "
        "quote_ident(current_user)"
    )
    if standby or read_only:
        why = "is a standby" if standby else "has default_transaction_read_only on"
        hint = "name the primary server in QUOTEMILL_WAREHOUSE_URL"
        if not standby:
            hint += f", or: alter role {role} set default_transaction_read_only = off"
        raise SettingsError(f"the server {why}: nothing can be written", hint=hint)
    return ()


def _check_connections(conn: psycopg.Connection, warehouse: Warehouse) -> Iterator[Check]:
    [(most, reserved)] = conn.execute(
        "select current_setting('max_connections')::int, "
        "current_setting('superuser_reserved_connections')::int"
    )
    needed = warehouse.pool_size + warehouse.max_overflow + OTHERS
    if needed > most - reserved:
        text = f"one command may open {needed} connections, the server allows {most - reserved}"
        fix = "raise max_connections of the server"
        yield Check("connections", "warn", text, fix)


def _check_locks(conn: psycopg.Connection, now: datetime) -> Iterator[Check]:
    sessions = conn.execute(
        "select pid, application_name, backend_start from pg_stat_activity "
        "where datname = current_database() and application_name like 'quotemill%%lock%%' "
        "and backend_start < %s order by backend_start",
        (now - LONG_HELD,),
    )
    for pid, name, since in sessions:
        text = f"{name} is held since {since:%Y-%m-%d %H:%M} by server process {pid}"
        fix = (
            "`quotemill jobs` shows what runs; if it has ended: "
            f"quotemill warehouse psql -c 'select pg_terminate_backend({pid})'"
        )
        yield Check("locks", "warn", text, fix)


def _check_policies(conn: psycopg.Connection) -> Iterator[Check]:
    """Warn about failed jobs of TimescaleDB on our tables: compression, refreshes."""
    if not has_relation(conn, "timescaledb_information.job_stats"):
        return
    failures = conn.execute(
        "select j.job_id, j.proc_name, j.hypertable_name, s.total_failures "
        "from timescaledb_information.job_stats as s "
        "inner join timescaledb_information.jobs as j using (job_id) "
        "where s.last_run_status = 'Failed' and j.hypertable_name is not null order by 1"
    )
    for job, procedure, table, count in failures:
        text = f"{procedure} of {table} failed {count} times, the last time too"
        fix = f"quotemill warehouse psql -c 'call run_job({job})' prints the reason"
        yield Check("policies", "warn", text, fix)
