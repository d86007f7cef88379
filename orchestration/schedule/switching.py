"""Turn jobs on and off, in a warehouse that is made or brought up to date where it must be."""

from collections.abc import Callable
from datetime import datetime

from loaders.settings import Settings
from loaders.warehouse.migration_files import is_current
from loaders.warehouse.postgres import find_warehouse, open_warehouse
from orchestration.schedule import ledger
from orchestration.schedule.jobs import Job
from orchestration.schedule.listing import NO_JOB, list_jobs, list_names
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse


def switch(
    settings: Settings,
    name: str,
    now: datetime,
    *,
    on: bool,
    check: Callable[[Job], object] = lambda _: None,
) -> tuple[str, ...]:
    """Turn a job on, or off and cancel its queued run; what runs goes on.

    `check` may raise for one that nobody can start. Returns notes for people about what follows.
    """
    refuse_before_opening(settings, name)
    warehouse = open_prepared(settings)
    job = list_jobs(settings).get(name)
    check(job)
    if not on:
        was_queued = warehouse.ask(lambda conn: ledger.disable(conn, job, now))
        return ("its queued run is cancelled",) if was_queued else ()
    warehouse.ask(lambda conn: ledger.enable(conn, job, now))
    notes = []
    if not any(row.next_run_at for row in warehouse.ask(ledger.read_rows)):
        notes.append(
            f"no start is expected yet. If no scheduler is installed, run `{ledger.name_install()}`"
        )
    if job.timing is None:
        notes.append(f"{name} is enabled, but its rule is `off`: set schedule.{name}.when")
    return tuple(notes)


def open_prepared(settings: Settings) -> Warehouse:
    """Open the warehouse; bring it to this version only where it is older, as jobs run often."""
    warehouse = open_warehouse(settings)
    if not warehouse.ask(is_current):
        from loaders.engine.progress import Silent
        from loaders.loads import prepare_warehouse

        warehouse = prepare_warehouse(settings, Silent())
    return warehouse


def refuse_before_opening(settings: Settings, name: str | None) -> None:
    """Refuse what has no job before a warehouse is made or started for it."""
    if not list_names(settings):
        raise SettingsError(NO_JOB, hint="Run `quotemill doctor`.")
    if name is not None and find_warehouse(settings) is None:
        listing = list_jobs(settings)
        if name not in listing.wrong:
            listing.get(name)
