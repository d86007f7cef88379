"""Checks of the doctor in a used warehouse: failures, locks, and server settings."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg

from loaders.engine import job_list
from loaders.engine.check import Check, failed
from loaders.errors import SettingsError
from loaders.settings import Settings
from loaders.warehouse import migration_files
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse
from orchestration.checks import status

LONG_HELD = timedelta(days=1)
OTHERS = 5  # connections that a build opens besides those of our readers


def check(settings: Settings, warehouse: Warehouse, now: datetime) -> Iterator[Check]:
    with warehouse.connect() as conn:
        yield from _version(conn)
        yield from _writable(conn)
        yield from _connections(conn, settings)
        yield from _locks(conn, now)
        yield from _policies(conn)
        yield from _tests(conn)
        unloaded = status.never_loaded(settings, job_list.newest_jobs(conn))
    # problems of loads, builds and data, each with its fix
    for wrong, mend in [*status.read(warehouse).fixes, *unloaded]:
        yield Check("status", "warn", wrong, mend)


def _version(conn: psycopg.Connection) -> Iterator[Check]:
    applied = migration_files.applied(conn)
    try:
        migration_files.refuse_older(applied, "the warehouse")
    except SettingsError as error:
        yield failed("version", error)
    if newer := migration_files.newer(applied):
        seen = f"the warehouse was used by a newer quotemill: it has {', '.join(newer)}"
        yield Check("version", "warn", seen, "pip install --upgrade quotemill")


def _writable(conn: psycopg.Connection) -> Iterator[Check]:
    [(standby, read_only)] = conn.execute(
        "select pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean"
    )
    if standby or read_only:
        why = "is a standby" if standby else "has default_transaction_read_only on"
        hint = "QUOTEMILL_WAREHOUSE_URL names the primary"
        yield failed(
            "server", SettingsError(f"the server {why}: nothing can be written", hint=hint)
        )


def _connections(conn: psycopg.Connection, settings: Settings) -> Iterator[Check]:
    [(most, reserved)] = conn.execute(
        "select current_setting('max_connections')::int, "
        "current_setting('superuser_reserved_connections')::int"
    )
    wanted = settings.pool_size + settings.max_overflow + OTHERS
    if wanted > most - reserved:
        seen = f"one command may open {wanted} connections, the server allows {most - reserved}"
        mend = "lower max_overflow or pool_size, or raise max_connections of the server"
        yield Check("connections", "warn", seen, mend)


def _locks(conn: psycopg.Connection, now: datetime) -> Iterator[Check]:
    held = conn.execute(
        "select pid, application_name, backend_start from pg_stat_activity "
        "where datname = current_database() and application_name like 'quotemill%%lock%%' "
        "and backend_start < %s order by backend_start",
        (now - LONG_HELD,),
    )
    for pid, name, since in held:
        seen = f"{name} is held since {since:%Y-%m-%d %H:%M} by server process {pid}"
        mend = "`loaders status` shows what runs; where it is gone: quotemill warehouse psql -c "
        yield Check("locks", "warn", seen, f"{mend}'select pg_terminate_backend({pid})'")


def _policies(conn: psycopg.Connection) -> Iterator[Check]:
    """Warn about failed jobs of TimescaleDB on our tables: compression, refreshes."""
    if not has_relation(conn, "timescaledb_information.job_stats"):
        return
    broken = conn.execute(
        "select j.job_id, j.proc_name, j.hypertable_name, s.total_failures "
        "from timescaledb_information.job_stats as s "
        "inner join timescaledb_information.jobs as j using (job_id) "
        "where s.last_run_status = 'Failed' and j.hypertable_name is not null order by 1"
    )
    for job, what, table, count in broken:
        seen = f"{what} of {table} failed {count} times, the last time too"
        mend = f"quotemill warehouse psql -c 'call run_job({job})' says why"
        yield Check("policies", "warn", seen, mend)


def _tests(conn: psycopg.Connection) -> Iterator[Check]:
    """Warn if the newest self-test or verification of a source failed."""
    if not has_relation(conn, "ops.testing_runs"):
        return
    newest = conn.execute(
        "select distinct on (source, kind) source, kind, run_id, started_at, failed "
        "from ops.testing_runs order by source, kind, run_id desc"
    ).fetchall()
    for source, kind, run, at, count in newest:
        if count:
            seen = f"{kind} {run} of {source}, {at:%Y-%m-%d}: {count} checks failed"
            yield Check("tests", "warn", seen, f"loaders {kind} {source}")
