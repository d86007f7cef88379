"""The place that checks are about: settings, warehouse, time; what several checks read."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, wraps
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from loaders.check import Check
from loaders.engine import job_list
from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.ticks.store_state import TickStoreState
from loaders.warehouse import timescale
from loaders.warehouse.timescale import Timescale
from orchestration.run import build_record, history
from orchestration.run.findings import Finding, list_findings
from quotemill.errors import QuotemillError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Records:
    """Loads, builds and freshness on record.

    loads      as `quotemill loads` lists them
    newest     the newest load of each source
    loaded     when each dataset was last loaded wholly
    stopped    the command whose build was stopped, if the newest one was
    timescale  None: no warehouse yet
    """

    loads: Row
    newest: list[Row] = field(default_factory=list)
    builds: list[Row] = field(default_factory=list)
    loaded: dict[str, datetime] = field(default_factory=dict)
    stopped: str | None = None
    timescale: Timescale | None = None


def read_records(warehouse: Warehouse | None, limit: int) -> Records:
    """Read what is on record; works on an empty warehouse and without one."""
    loads = job_list.report(warehouse, limit)
    if warehouse is None:
        return Records(loads)
    with warehouse.lend(warehouse.connect) as conn:
        edition = timescale.find(conn)
        if not loads["jobs"]:
            return Records(loads, timescale=edition)
        builds = build_record.recent(conn, limit)
        is_stopped = bool(builds) and builds[0]["status"] in ("cancelled", "interrupted")
        return Records(
            loads,
            job_list.newest_jobs(conn),
            builds,
            job_list.find_whole_loads(conn),
            history.find_command(conn, builds[0]["started_at"]) if is_stopped else None,
            edition,
        )


def set_time(conn: psycopg.Connection, as_of: datetime | None) -> None:
    """Judge freshness and findings as of a time in this transaction."""
    if as_of:
        conn.execute("select set_config('quotemill.as_of', %s, true)", (as_of.isoformat(),))


def read_freshness(warehouse: Warehouse, as_of: datetime | None) -> list[Row]:
    """The rows of qa.freshness, judged as of a time; none before the first build."""
    qa = warehouse.inner_schema("qa")
    with warehouse.lend(warehouse.connect) as conn, conn.cursor(row_factory=dict_row) as cur:
        if not has_relation(conn, f"{qa}.freshness"):
            return []
        set_time(conn, as_of)
        return cur.execute(f"select * from {qa}.freshness order by dataset".encode()).fetchall()


class Shown(Exception):
    """Raised by reads whose failure is a row of the list already."""


def keep_failure(read: Callable[["Place"], T]) -> Callable[["Place"], T]:
    """Raise what a first read raised in later ones too: none waits for the same lock again."""

    @wraps(read)
    def read_once(place: "Place") -> T:
        if known := place.failures.get(read.__name__):
            raise known
        try:
            return read(place)
        except Exception as error:
            place.failures[read.__name__] = error
            raise

    return read_once


@dataclass
class Place:
    """What is checked, and when; what several checks read is read once.

    warehouse  None: none yet, or away
    away       why it is away, or why none can be made
    as_of      time at which freshness is judged; None: `now`
    limit      loads and builds that are read
    failures   why what several checks read could not be read, by name; `Shown` once it is a row
    """

    settings: Settings
    warehouse: Warehouse | None
    now: datetime
    as_of: datetime | None = None
    limit: int = 5
    away: QuotemillError | None = None
    failures: dict[str, Exception] = field(default_factory=dict)

    @cached_property
    @keep_failure
    def records(self) -> Records:
        return read_records(self.warehouse, self.limit)

    @cached_property
    @keep_failure
    def freshness(self) -> list[Row]:
        """How far each dataset is loaded; empty before the first load and build."""
        if self.warehouse is None or not self.records.newest:
            return []
        return read_freshness(self.warehouse, self.as_of)

    @cached_property
    @keep_failure
    def findings(self) -> list[Finding]:
        """Findings, which take long; empty before the first load and build."""
        if self.warehouse is None or not self.records.newest:
            return []
        with self.warehouse.lend(self.warehouse.connect) as conn:
            set_time(conn, self.as_of)
            return list_findings(conn, self.qa)

    def known(self, name: str) -> Any:
        """What was read; None if it cannot be, of which its own check is a failed row."""
        with contextlib.suppress(Exception):
            return getattr(self, name)
        return None

    @cached_property
    @keep_failure
    def ticks(self) -> TickStoreState | None:
        """The state of the tick store; None if no load has used one."""
        if not store_state.is_used(self.settings):
            return None
        return store_state.read_state(self.settings, self.warehouse)

    def note_shown(self, error: Exception) -> None:
        """Note that a failure is a row: no other read that it ends is one."""
        for name, known in self.failures.items():
            if known is error:
                self.failures[name] = Shown()

    @property
    def qa(self) -> str:
        return self.require_warehouse().inner_schema("qa")

    def require_warehouse(self) -> Warehouse:
        assert self.warehouse is not None, "a check of a warehouse is made with one"
        return self.warehouse


WarehouseCheck = Callable[[Place, psycopg.Connection], Iterable[Check]]


def in_warehouse(check: WarehouseCheck) -> Callable[[Place], list[Check]]:
    """A check that asks the warehouse in a transaction of its own; nothing without one."""

    @wraps(check)
    def ask(place: Place) -> list[Check]:
        if place.warehouse is None:
            return []
        return place.warehouse.ask(lambda conn: [*check(place, conn)], patient=False)

    return ask
