"""The one list of checks: which there are, which of them each command shows, and their runner.

A check is a function of a `Place` in a module beside this one. It is imported when it runs: what
`status` shows must not import what only the doctor asks. docs/how-to/checks.md says which
command answers what.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import import_module

from loaders.check import Check, run_checks
from loaders.settings import Settings
from loaders.warehouse.postgres import find_current_warehouse
from orchestration.checks.place import Place, Shown
from quotemill.errors import QuotemillError

ADJUSTMENT = "no_corporate_action_source"  # the check of a finding
# by name: module and function; a cause comes before what it leads to
CHECKS = {
    "warehouse": "warehouse:check_place",
    "settings": "folders:check_settings",
    "home": "folders:check_home",
    "profile": "folders:check_profile",
    "disk": "folders:check_disks",
    "archive": "folders:check_archive",
    "tick store": "services:check_tick_store",
    "service": "services:check_services",
    "server": "warehouse:check_server",
    "version": "warehouse:check_version",
    "writable": "warehouse:check_writable",
    "connections": "warehouse:check_connections",
    "locks": "warehouse:check_locks",
    "policies": "warehouse:check_policies",
    "load": "records:check_loads",
    "keys": "records:check_keys",
    "source": "records:check_sources",
    "build": "records:check_builds",
    "freshness": "records:check_freshness",
    "findings": "records:check_findings",
    ADJUSTMENT: "records:check_adjustment",
    "tests": "records:check_tests",
    "reconciliation": "records:check_reconciliation",
    "backup": "folders:check_backups",
    "schedule": "unattended:check_schedule",
    "alerts": "unattended:check_alerts",
    "files": "services:check_setup",
}
CONNECTION = ("warehouse", "server", "version", "writable")
RECORDS = ("load", "keys", "source", "build", "freshness", ADJUSTMENT, "tests", "reconciliation")
STATUS = ("tick store", *RECORDS, "schedule")
DOCTOR = tuple(name for name in CHECKS if name != "findings")  # they take long


def open_place(
    settings: Settings, now: datetime | None = None, as_of: datetime | None = None
) -> Place:
    """The place of some settings, whose warehouse may be away."""
    from loaders.warehouse.embedded import binaries

    place = Place(settings, None, now or datetime.now(UTC), as_of)
    try:
        place.warehouse = find_current_warehouse(settings)
        if place.warehouse is None:
            binaries.find_programs(settings.server.programs)
    except QuotemillError as error:
        place.away = error
    return place


def gather(place: Place, names: Iterable[str]) -> list[Check]:
    """Make checks by their names; one that breaks is a failed row, and ends no other.

    What several read and could not is the row of the first.
    """
    return list(run_checks((name, partial(_check, name, place)) for name in names))


def _check(name: str, place: Place) -> Iterator[Check]:
    module, _, function = CHECKS[name].partition(":")
    check: Callable[[Place], Iterable[Check]] = getattr(
        import_module(f"orchestration.checks.{module}"), function
    )
    try:
        yield from check(place)
    except Shown:
        return
    except Exception as error:
        place.note_shown(error)
        raise


def examine(
    settings: Settings,
    now: datetime | None = None,
    *,
    as_of: datetime | None = None,
    names: Iterable[str] = DOCTOR,
) -> list[Check]:
    """The checks of the doctor, by default all; those about records are made as of a time."""
    return gather(open_place(settings, now, as_of), names)
