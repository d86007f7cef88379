"""Checks of `quotemill doctor`."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg

from loaders import sources
from loaders.engine.check import Check, failed, run_checks
from loaders.settings import Settings
from loaders.sources import landed_tables
from loaders.ticks import store_state
from loaders.trading_time import format_time
from loaders.warehouse import editions, migrate
from loaders.warehouse.embedded import binaries
from loaders.warehouse.migration_files import find_current_warehouse
from loaders.warehouse.ownership import foreign_relations, privileges
from orchestration.alerts import book, channels
from orchestration.backup import folder as backups
from orchestration.checks import folders
from orchestration.checks import warehouse as warehouse_checks
from orchestration.checks.settings import is_of_demo
from orchestration.schedule import jobs, ledger
from quotemill.errors import QuotemillError, SettingsError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation
from quotemill.wording import say_count

CLOCK_SKEW = timedelta(minutes=2)
BACKUP_AGE = timedelta(days=10)  # one a week, and three days for a machine that was off
SHOWN = 5  # relations, codes, days or other names in a message


def examine(
    settings: Settings, now: datetime | None = None, *, as_of: datetime | None = None
) -> list[Check]:
    """Run every check, even if others fail; freshness is judged as of `as_of`, else of now."""
    now = now or datetime.now(UTC)
    warehouse: Warehouse | None = None
    try:
        warehouse = find_current_warehouse(settings)
        first = _describe_warehouse(settings, warehouse)
    except QuotemillError as error:
        first = failed("warehouse", error)
    ready, _ = sources.configured(settings)
    # a full disk, and a store or service that is away, come before what they lead to
    plan: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("home", partial(folders.check, settings, warehouse)),
    ]
    if store_state.is_used(settings):
        plan.append(("tick store", partial(_check_tick_store, settings, warehouse)))
    plan += [("service", partial(check_service, name, settings, now)) for name in ready]
    if warehouse is not None:
        plan += [
            ("server", partial(_check_database, warehouse, now)),
            ("status", partial(warehouse_checks.check, settings, warehouse, now, as_of)),
        ]
    plan.append(("backup", partial(_check_backups, settings, warehouse, now)))
    is_away = first.status == "fail"
    if not is_away:  # their records are in the warehouse
        plan += [
            ("schedule", partial(_check_schedule, settings, warehouse, now)),
            ("alerts", partial(_check_alerts, settings, warehouse)),
        ]
    checks = [first, *run_checks(plan)]
    by_source = list(
        run_checks(
            (name, partial(sources.find(name).insight.doctor, settings, warehouse, now))
            for name in ready
        )
    )
    # a warning about the settings of a source replaces the general line
    about_settings = [check for check in by_source if check.name == "settings"]
    others = [check for check in by_source if check.name != "settings"]
    listed = [*(about_settings or [_check_settings(settings)]), *checks, *others]
    return sorted(listed, key=lambda check: check is not first) if is_away else listed


def examine_connection(settings: Settings, now: datetime) -> list[Check]:
    """Check that the warehouse of the settings can be reached and used."""
    try:
        warehouse = find_current_warehouse(settings)
        first = _describe_warehouse(settings, warehouse)
    except QuotemillError as error:
        return [failed("warehouse", error)]
    if warehouse is None:
        return [first]
    return [
        first,
        *run_checks(
            [
                ("server", partial(_check_database, warehouse, now)),
                ("server", partial(warehouse_checks.check_usable, warehouse)),
            ]
        ),
    ]


def _check_settings(settings: Settings) -> Check:
    ready, missing = sources.configured(settings)
    if not ready and is_of_demo(settings.home):
        text = "the home of a demo, whose simulated service ran while it was loaded"
        return Check("settings", "ok", text, "`quotemill demo` loads again")
    if not ready:
        text = f"no source is configured: {'; '.join(missing.values())}"
        return failed(
            "settings", SettingsError(text, hint=sources.describe_start(settings, "quotemill run"))
        )
    return Check("settings", "ok", f"home {settings.home} ({settings.origin('home')})")


def _describe_warehouse(settings: Settings, warehouse: Warehouse | None) -> Check:
    if warehouse is not None:
        return Check("warehouse", "ok", f"{warehouse.label} ({warehouse.origin})")
    try:
        binaries.find_programs(settings.server.programs)
    except SettingsError as error:
        return failed("warehouse", error)
    text = f"none yet: the first load creates an embedded PostgreSQL in {settings.home}"
    return Check("warehouse", "ok", text)


def _check_alerts(settings: Settings, warehouse: Warehouse | None) -> Iterator[Check]:
    """Check that channels accepted every alert; having no channel is fine."""
    names = [channel.name for channel in channels.configured_channels(settings)]
    names += ["a dead man's switch"] if settings.alerts.ping_url else []
    if not names:
        yield Check("alerts", "ok", "no channel is configured", "[alerts] urls in quotemill.toml")
    elif warehouse and settings.alerts.urls and (unsent := warehouse.ask(_list_unsent_causes)):
        text = f"some channel has not accepted {', '.join(unsent[:SHOWN])}"
        yield Check("alerts", "warn", text, "quotemill alerts test")
    else:
        text = f"sent to {', '.join(names)}; `quotemill alerts test` tries them"
        yield Check("alerts", "ok", text)


def _list_unsent_causes(conn: psycopg.Connection) -> list[str]:
    entries = book.read_entries(conn) if has_relation(conn, "ops.alerts") else {}
    return [name for name, entry in entries.items() if entry.is_unsent]


def _check_database(warehouse: Warehouse, now: datetime) -> Iterator[Check]:
    with warehouse.connect() as conn:
        [(clock, version)] = conn.execute("select clock_timestamp(), version()")
        needed = privileges(conn, warehouse.reader_role)
        foreign = foreign_relations(conn, migrate.schemas(warehouse, landed_tables()))
        others = migrate.other_market_schemas(conn, warehouse, landed_tables())
        extension = editions.describe(conn)
        unconverted = list(editions.list_unconverted(conn, landed_tables()))
    yield Check("server", "ok", f"{version.split(' on ')[0]}, {extension}")
    for name, text, fix in unconverted:
        yield Check(name, "ok", text, fix)
    for schema, relations in foreign.items():
        listed = ", ".join(relations[:SHOWN])
        hint = "QUOTEMILL_MARKET_SCHEMA or QUOTEMILL_WAREHOUSE_URL chooses another place"
        yield failed("ownership", SettingsError(f"{schema} is not ours: {listed}", hint=hint))
    if others:
        names = ", ".join(others)
        text = f"of another market schema, or left from an earlier name of it: {names}"
        fix = f"if nobody reads them: quotemill warehouse psql -c 'drop schema {names} cascade'"
        yield Check("schemas", "ok", text, fix)
    for privilege in needed:
        if not privilege.held:
            missing = SettingsError(f"missing: {privilege.name}", hint=privilege.fix)
            yield failed("privileges", missing)
    if all(privilege.held for privilege in needed):
        yield Check("privileges", "ok", "everything that loads and builds need")
    skew = abs(clock - now)
    if skew > CLOCK_SKEW:
        text = f"this machine and the warehouse differ by {skew}"
        yield Check("clock", "warn", text, "set both by NTP")
    else:
        yield Check("clock", "ok", format_time(now, timespec="minutes"))


def _check_schedule(
    settings: Settings, warehouse: Warehouse | None, now: datetime
) -> Iterator[Check]:
    """Check that the jobs can be read and that something starts them."""
    rows = warehouse.ask(ledger.read_rows) if warehouse is not None else []
    known, wrong = jobs.survey(settings, rows)
    yield from (failed("schedule", error) for error in wrong.values())
    if late := ledger.list_overdue(rows, known, now):
        names = ", ".join(
            f"{row.name} of {format_time(row.next_run_at, known[row.name].zone, 'minutes')}"
            for row in late[:SHOWN]
        )
        yield Check("schedule", "warn", f"nothing started {names}", ledger.describe_overdue_fix())
    elif not wrong and not any(row.next_run_at for row in rows):
        text = "no job starts automatically"
        yield Check("schedule", "ok", text, ledger.name_install())
    elif not wrong:
        yield Check("schedule", "ok", say_count(len(known), "job"))


def _check_backups(
    settings: Settings, warehouse: Warehouse | None, now: datetime
) -> Iterator[Check]:
    root = backups.backup_root(settings)
    with backups.usable(root):
        backups.check_place(root, settings.home)
        stored, damaged = backups.scan(root)
    folders.require_writable(settings, root, "backup_folder")
    if damaged:
        fix = "quotemill backup; then remove what is damaged"
        yield Check("backup", "warn", "; ".join(damaged[:SHOWN]), fix)
    elif not stored:
        fix = "quotemill backup" if warehouse is not None else ""  # yet nothing to back up
        yield Check("backup", "ok", f"none in {root}", fix)
    else:
        made = stored[-1].made_at
        newest = format_time(made, timespec="minutes")
        text = f"{len(stored)} in {root}, the newest of {newest}"
        is_old = now - made > BACKUP_AGE
        yield Check(
            "backup",
            "warn" if is_old else "ok",
            text,
            fix="quotemill backup" if is_old else "",
        )


def check_service(source: str, settings: Settings, now: datetime) -> Iterator[Check]:
    result = sources.find(source).check(settings, now)
    yield from (Check("service", "warn", text) for text in result.figures["warnings"])
    if not result.figures["warnings"]:
        yield Check("service", "ok", f"{source}: {result.text}")


def _check_tick_store(settings: Settings, warehouse: Warehouse | None) -> Iterator[Check]:
    state = store_state.read_state(settings, warehouse)
    if state.error is not None:
        raise state.error
    for problem, fix in state.problems:
        yield Check("tick store", "warn", problem, fix)
    if not state.problems:
        yield Check("tick store", "ok", state.label)
