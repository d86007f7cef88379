"""Turn jobs on and off, in a warehouse that is made or brought up to date where it must be."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from loaders.settings import Settings
from loaders.warehouse.migration_files import is_current
from loaders.warehouse.postgres import find_warehouse, open_warehouse
from orchestration.schedule import ledger
from orchestration.schedule.jobs import Job, survey
from orchestration.schedule.listing import NO_JOB, get_job, list_names, read_rows
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Switched:
    """A job that was turned on or off, and notes for people about what follows."""

    job: Job
    notes: tuple[str, ...] = ()


def enable(
    settings: Settings, name: str, now: datetime, check: Callable[[Job], object] = lambda _: None
) -> Switched:
    """Turn a job on; `check` may raise for one that nobody can start."""
    job, warehouse = _open_job(settings, name, check)
    warehouse.ask(lambda conn: ledger.enable(conn, job, now))
    notes = []
    if not any(row.next_run_at for row in warehouse.ask(ledger.read_rows)):
        notes.append(
            f"no start is expected yet; where nothing checks the schedule: {ledger.name_install()}"
        )
    if job.timing is None:
        notes.append(f"{name} is enabled, but its rule is `off`: set schedule.{name}.when")
    return Switched(job, tuple(notes))


def disable(
    settings: Settings, name: str, now: datetime, check: Callable[[Job], object] = lambda _: None
) -> Switched:
    """Turn a job off, and cancel its queued run; what runs goes on."""
    job, warehouse = _open_job(settings, name, check)
    was_queued = warehouse.ask(lambda conn: ledger.disable(conn, job, now))
    return Switched(job, ("its queued run is cancelled",) if was_queued else ())


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
        raise SettingsError(NO_JOB, hint="quotemill doctor")
    if name is not None and find_warehouse(settings) is None:
        jobs, wrong = survey(settings)
        if name not in wrong:
            get_job(jobs, name)


def _open_job(
    settings: Settings, name: str, check: Callable[[Job], object]
) -> tuple[Job, Warehouse]:
    refuse_before_opening(settings, name)
    warehouse = open_prepared(settings)
    jobs, wrong = survey(settings, read_rows(settings).values())
    if name in wrong:
        raise wrong[name]
    job = get_job(jobs, name)
    check(job)
    return job, warehouse
