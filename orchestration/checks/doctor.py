"""Checks of `quotemill doctor`: ok, warn or fail, what was seen, and the fix."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg

from loaders import sources
from loaders.engine.check import Check, failed
from loaders.errors import QuotemillError, SettingsError
from loaders.landing import indexes
from loaders.settings import Settings
from loaders.sources import landed_tables
from loaders.ticks import store_state
from loaders.warehouse import hypertables, migrate, timescale
from loaders.warehouse.embedded import places
from loaders.warehouse.ownership import foreign_relations, has_relation, privileges
from loaders.warehouse.postgres import Warehouse, find_warehouse
from orchestration.alerts import book, channels
from orchestration.backup import folder as backups
from orchestration.checks import folders
from orchestration.checks import warehouse as warehouse_checks
from orchestration.checks.edited_tables import out_of_step
from orchestration.schedule import jobs, ledger

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable

CLOCK_SKEW = timedelta(minutes=2)
BACKUP_AGE = timedelta(days=10)  # one a week, and three days for a machine that was off
SHOWN = 5  # relations, codes, days or other names in a message


def examine(settings: Settings, now: datetime | None = None) -> list[Check]:
    """Run every check, even if others fail."""
    now = now or datetime.now(UTC)
    checks: list[Check] = []
    warehouse: Warehouse | None = None
    try:
        warehouse = find_warehouse(settings)
        seen = f"none yet: the first load makes an embedded PostgreSQL in {settings.home}"
        if warehouse is not None:
            seen = f"{warehouse.label} ({warehouse.origin})"
        checks.append(Check("warehouse", "ok", seen))
    except QuotemillError as error:
        checks.append(failed("warehouse", error))
    if warehouse is not None:
        checks += [*_inside(warehouse, now), *_steps(warehouse), _backup(settings, now)]
        checks += warehouse_checks.check(settings, warehouse, now)
    checks += [_schedule(settings, warehouse, now), _alerts(settings, warehouse)]
    ready, _ = sources.configured(settings)
    checks += [_service(name, settings, now) for name in ready]
    keeps_ticks = any(sources.find(name).keeps_ticks for name in ready)
    if settings.questdb_url is not None or (keeps_ticks and warehouse is not None):
        checks += _tick_store(settings, warehouse)
    checks += [*_orphans(), *folders.check(settings, warehouse)]
    of_sources = [
        check for name in ready for check in sources.find(name).doctor(settings, warehouse, now)
    ]
    # a warning about the settings of a source replaces the general line
    about_settings = [check for check in of_sources if check.name == "settings"]
    others = [check for check in of_sources if check.name != "settings"]
    return [*(about_settings or [_settings(settings)]), *checks, *others]


def _alerts(settings: Settings, warehouse: Warehouse | None) -> Check:
    """Check that channels accepted every alert; having no channel is fine."""
    names = [channel.name for channel in channels.configured_channels(settings)]
    names += ["a dead man's switch"] if settings.alerts.ping_url else []
    if not names:
        return Check("alerts", "ok", "no channel is configured", "[alerts] urls in quotemill.toml")
    if warehouse and settings.alerts.urls and (unsent := warehouse.ask(_unsent_causes)):
        seen = f"some channel has not accepted {', '.join(unsent[:SHOWN])}"
        return Check("alerts", "warn", seen, "quotemill alerts test")
    return Check("alerts", "ok", f"sent to {', '.join(names)}; `quotemill alerts test` tries them")


def _unsent_causes(conn: psycopg.Connection) -> list[str]:
    known = book.read(conn) if has_relation(conn, "ops.alerts") else {}
    return [name for name, entry in known.items() if entry.is_unsent]


def _settings(settings: Settings) -> Check:
    ready, missing = sources.configured(settings)
    if not ready:
        wanted = SettingsError("no source is configured", hint="; ".join(missing.values()))
        return failed("settings", wanted)
    return Check("settings", "ok", f"home {settings.home} ({settings.origin('home')})")


def _inside(warehouse: Warehouse, now: datetime) -> Iterator[Check]:
    with warehouse.connect() as conn:
        [(clock, version)] = conn.execute("select clock_timestamp(), version()")
        edition = timescale.find(conn)
        held = privileges(conn, warehouse.reader_role)
        foreign = foreign_relations(conn, migrate.schemas(warehouse, landed_tables()))
        others = migrate.other_market_schemas(conn, warehouse, landed_tables())
        unbuilt = list(index_checks(conn, landed_tables()))
        plain = [table.qualified for table in hypertables.left_plain(conn, landed_tables())]
    yield Check("server", "ok", f"{version.split(' on ')[0]}, {edition}")
    if plain:
        seen = f"plain tables, which TimescaleDB does nothing for: {', '.join(plain)}"
        yield Check("hypertables", "ok", seen, "quotemill warehouse upgrade-timescale")
    for schema, relations in foreign.items():
        listed = ", ".join(relations[:SHOWN])
        hint = "QUOTEMILL_MARKET_SCHEMA or QUOTEMILL_WAREHOUSE_URL chooses another place"
        yield failed("ownership", SettingsError(f"{schema} is not ours: {listed}", hint=hint))
    if others:
        names = ", ".join(others)
        seen = f"of another market schema, or left from an earlier name of it: {names}"
        mend = f"if nobody reads them: quotemill warehouse psql -c 'drop schema {names} cascade'"
        yield Check("schemas", "ok", seen, mend)
    for privilege in held:
        if not privilege.held:
            missing = SettingsError(f"missing: {privilege.name}", hint=privilege.fix)
            yield failed("privileges", missing)
    if all(privilege.held for privilege in held):
        yield Check("privileges", "ok", "everything a load and a build need")
    yield from unbuilt
    skew = abs(clock - now)
    if skew > CLOCK_SKEW:
        yield Check(
            "clock", "warn", f"this machine and the warehouse differ by {skew}", "set both by NTP"
        )
    else:
        yield Check("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")


def index_checks(conn: psycopg.Connection, tables: "Iterable[LandedTable]") -> Iterator[Check]:
    """Warn about missing or invalid indexes of landed tables."""
    if not has_relation(conn, "ops.pending_indexes"):
        return  # the warehouse of an older version; the next load adds the table
    for index in indexes.pending(conn, tables):
        seen = f"{index.qualified} is not there or of no use: {index.reason}"
        yield Check(
            "indexes", "warn", seen, "the end of its source's next load builds it: loaders run"
        )


def _steps(warehouse: Warehouse) -> Iterator[Check]:
    for landed, built, kind, keys in out_of_step(warehouse):
        seen = f"{built} is out of step with {landed} in {len(keys):,} {kind}: "
        mend = f"quotemill touch {landed} && quotemill build"
        yield Check("steps", "warn", seen + ", ".join(keys[:SHOWN]), mend)


def _schedule(settings: Settings, warehouse: Warehouse | None, now: datetime) -> Check:
    """Check that the jobs can be read and that something starts them."""
    try:
        rows = warehouse.ask(ledger.read_rows) if warehouse is not None else []
        known = jobs.read(settings, rows)
    except QuotemillError as error:
        return failed("schedule", error)
    if late := ledger.list_overdue(rows, known, now):
        names = ", ".join(
            f"{row.name} of {row.next_run_at:%Y-%m-%d %H:%M} UTC" for row in late[:SHOWN]
        )
        mend = (
            "is its timer on? `quotemill schedule install` makes one; "
            "`quotemill schedule run` catches up"
        )
        return Check("schedule", "warn", f"nobody started {names}", mend)
    if not any(row.timing for row in rows):
        return Check("schedule", "ok", "nothing starts by itself", "quotemill schedule install")
    return Check("schedule", "ok", f"{len(known)} jobs")


def _backup(settings: Settings, now: datetime) -> Check:
    root = backups.backup_root(settings)
    try:
        with backups.usable(root):
            backups.check_place(root, settings.home)
            found, damaged = backups.scan(root)
    except QuotemillError as error:
        return failed("backup", error)
    if damaged:
        mend = "quotemill backup; then remove what is damaged"
        return Check("backup", "warn", "; ".join(damaged[:SHOWN]), mend)
    if not found:
        return Check("backup", "ok", f"none in {root}", "quotemill backup")
    made = found[-1].made_at
    seen = f"{len(found)} in {root}, the newest of {made:%Y-%m-%d %H:%M} UTC"
    if now - made > BACKUP_AGE:
        return Check("backup", "warn", seen, "quotemill backup")
    return Check("backup", "ok", seen)


def _service(source: str, settings: Settings, now: datetime) -> Check:
    try:
        found = sources.find(source).check(settings, now)
    except QuotemillError as error:
        return failed("service", error)
    if found.warnings:
        return Check("service", "warn", "; ".join(found.warnings), f"loaders check {source}")
    return Check("service", "ok", f"{source}: {found.seen}")


def _tick_store(settings: Settings, warehouse: Warehouse | None) -> Iterator[Check]:
    state = store_state.read_state(settings, warehouse)
    if state.error is not None:
        yield failed("tick store", state.error)
        return
    for problem, fix in state.problems:
        yield Check("tick store", "warn", problem, fix)
    if not state.problems:
        yield Check("tick store", "ok", state.label)


def _orphans() -> Iterator[Check]:
    for orphan in places.orphans():
        yield Check(
            "orphan",
            "warn",
            f"{orphan.folder} ({orphan.size_bytes / 2**30:,.1f} GiB) is of no home any more: "
            f"{orphan.home} was removed",
            f"rm -r {orphan.folder}",
        )
