"""Checks of the warehouse: whether it can be used, failures, locks, and server settings."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg

from loaders.check import Check, failed
from loaders.sources import landed_tables
from loaders.trading_time import format_time
from loaders.warehouse import editions, migrate
from loaders.warehouse.ownership import foreign_relations, privileges
from orchestration.checks.place import Place, in_warehouse
from quotemill.errors import SettingsError
from quotemill.warehouse.connections import lift_limit
from quotemill.warehouse.migrations import applied, explain_newer
from quotemill.warehouse.schemas import has_relation

LONG_HELD = timedelta(days=1)
CLOCK_SKEW = timedelta(minutes=2)
SHOWN = 5  # relations in a message
OTHERS = 5  # connections that a build opens besides those of our readers


def check_place(place: Place) -> Iterator[Check]:
    if place.away:
        yield failed("warehouse", place.away)
    elif place.warehouse:
        text = f"{place.warehouse.label} ({place.warehouse.origin})"
        yield Check("warehouse", "ok", text)
    else:
        home = place.settings.home
        text = f"none yet: the first load creates an embedded PostgreSQL in {home}"
        yield Check("warehouse", "ok", text)


@in_warehouse
def check_server(place: Place, conn: psycopg.Connection) -> Iterator[Check]:
    """Version, edition, what is not ours, privileges, clock."""
    warehouse, tables = place.require_warehouse(), landed_tables()
    [(clock, version)] = conn.execute("select clock_timestamp(), version()")
    yield Check("server", "ok", f"{version.split(' on ')[0]}, {editions.describe(conn)}")
    for name, text, fix in editions.list_unconverted(conn, tables):
        yield Check(name, "ok", text, fix)
    foreign = foreign_relations(conn, migrate.schemas(warehouse, tables))
    for schema, relations in foreign.items():
        listed = ", ".join(relations[:SHOWN])
        hint = "Set QUOTEMILL_MARKET_SCHEMA or QUOTEMILL_WAREHOUSE_URL to another place."
        yield failed(
            "ownership",
            SettingsError(
                f"{schema} has relations that quotemill did not create: {listed}", hint=hint
            ),
        )
    if others := migrate.other_market_schemas(conn, warehouse, tables):
        names = ", ".join(others)
        text = f"schemas of another market schema, or of an earlier name of it: {names}"
        fix = (
            "Drop them if nobody reads them: "
            f"quotemill warehouse psql -c 'drop schema {names} cascade'"
        )
        yield Check("schemas", "ok", text, fix)
    needed = privileges(conn, warehouse.reader_role)
    for privilege in needed:
        if not privilege.held:
            missing = SettingsError(f"missing: {privilege.name}", hint=privilege.fix)
            yield failed("privileges", missing)
    if all(privilege.held for privilege in needed):
        yield Check("privileges", "ok", "loads and builds have all that they need")
    skew = abs(clock - place.now)
    if skew > CLOCK_SKEW:
        text = f"the clocks of this machine and the warehouse differ by {skew}"
        yield Check("clock", "warn", text, "Synchronize both clocks with NTP.")
    else:
        yield Check("clock", "ok", format_time(place.now, timespec="minutes"))


@in_warehouse
def check_version(_: Place, conn: psycopg.Connection) -> Iterator[Check]:
    if error := explain_newer(applied(conn)):
        yield failed("version", error)


@in_warehouse
def check_writable(_: Place, conn: psycopg.Connection) -> Iterator[Check]:
    [(standby, read_only, role)] = conn.execute(
        "select pg_is_in_recovery(), reset_val::boolean, quote_ident(current_user) "
        "from pg_settings where name = 'default_transaction_read_only'"
    )
    if standby or read_only:
        why = "is a standby" if standby else "has default_transaction_read_only on"
        hint = "Set QUOTEMILL_WAREHOUSE_URL to the primary server."
        if not standby:
            hint += f" Or run: alter role {role} set default_transaction_read_only = off"
        error = SettingsError(f"the server {why}: nothing can be written", hint=hint)
        yield failed("server", error)


@in_warehouse
def check_connections(place: Place, conn: psycopg.Connection) -> Iterator[Check]:
    [(most, kind, name)] = conn.execute(
        "select most, kind, name from pg_roles, pg_database, lateral (values "
        "(current_setting('max_connections')::int "
        "- current_setting('superuser_reserved_connections')::int, 'server', 'of the warehouse'), "
        "(rolconnlimit, 'role', rolname), (datconnlimit, 'database', datname)"
        ") as limits (most, kind, name) "
        "where rolname = session_user and datname = current_database() "
        "and (kind = 'server' or (most >= 0 and not rolsuper)) order by most limit 1"
    )
    warehouse = place.require_warehouse()
    needed = warehouse.pool_size + warehouse.max_overflow + OTHERS
    if needed > most:
        text = f"a command can open {needed} connections, but the {kind} {name} allows {most}"
        is_server = kind == "server"
        fix = "Raise the server's max_connections." if is_server else lift_limit(kind, name)
        yield Check("connections", "warn", text, fix)


@in_warehouse
def check_locks(place: Place, conn: psycopg.Connection) -> Iterator[Check]:
    sessions = conn.execute(
        "select pid, application_name, backend_start from pg_stat_activity "
        "where datname = current_database() and application_name like 'quotemill%%lock%%' "
        "and backend_start < %s order by backend_start",
        (place.now - LONG_HELD,),
    )
    for pid, name, since in sessions:
        text = f"{name} has been held since {since:%Y-%m-%d %H:%M} by server process {pid}"
        fix = (
            "Check `quotemill loads`, and if it has ended, run: "
            f"quotemill warehouse psql -c 'select pg_terminate_backend({pid})'"
        )
        yield Check("locks", "warn", text, fix)


@in_warehouse
def check_policies(_: Place, conn: psycopg.Connection) -> Iterator[Check]:
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
        text = f"{procedure} of {table} failed {count} times, including the last time"
        fix = f"To see the reason, run: quotemill warehouse psql -c 'call run_job({job})'"
        yield Check("policies", "warn", text, fix)
