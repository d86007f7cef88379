"""The context that a running load of TDX passes to its datasets."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loaders import trading_time
from loaders.engine import source
from loaders.engine.outcome import Outcome, SourceGone
from loaders.engine.window import Window
from loaders.landing.ahead import draw_ahead
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.event_loop import EventLoop
from loaders.tdx.files.file_notes import FileNotes
from loaders.tdx.losses import refuse_loss
from loaders.tdx.settings import TdxSettings
from loaders.warehouse.tables import LandedTable
from quotemill.errors import DataQualityError, UpstreamError
from quotemill.instrument_ranges import classify_code
from quotemill.warehouse.postgres import WarehouseAway
from quotemill.warehouse.schemas import has_rows

if TYPE_CHECKING:
    import psycopg

    from loaders.engine.load import Load
    from loaders.tdx.bars.records import Ints
    from loaders.tdx.files.folder import Folder
    from loaders.tdx.missing_datasets import Absence
    from loaders.tdx.servers.pool import Pool

R = TypeVar("R")
FILES_AHEAD = 50  # read at most, of few rows: on a slow share a second


@dataclass(frozen=True)
class Security:
    code: str
    name: str
    instrument_type: str  # stock, fund, index
    source_route: str
    is_listed: bool = True

    @property
    def is_from_service(self) -> bool:
        return self.source_route.startswith("/api/") or self.source_route == "settings"


@dataclass
class Context:
    """State of one load.

    service: None where only the desktop client's folder is configured
    securities: by code; filled once the code list has been loaded
    days: all known trading days, ascending; filled once the calendar has been loaded
    began: the start of the load, UTC, its one fixed time
    clock: the current time, UTC
    """

    load: "Load"
    service: TdxClient | None
    loop: EventLoop
    securities: dict[str, Security] = field(default_factory=dict)
    days: list[date] = field(default_factory=list)
    absences: "dict[str, Absence]" = field(default_factory=dict)
    # events of the CSV files beside the stored ones; None until these are read
    actions: Any = None
    file_notes: FileNotes = field(default_factory=FileNotes)
    # of downloads before the load, for the dataset codes
    package_failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings: TdxSettings = self.load.settings.tdx
        self.mode = self.load.request.mode  # init, incremental, realtime
        self.clock: Callable[[], datetime] = self.load.clock
        self.began = self.clock()
        self.today = self.began.astimezone(trading_time.SHANGHAI).date()
        self.room = self.load.room

    @property
    def client(self) -> TdxClient:
        """The service. Raises UpstreamError where none is configured."""
        if self.service is None:
            raise UpstreamError("no TDX service is configured", hint="Set QUOTEMILL_TDX__BASE_URL.")
        return self.service

    @property
    def service_day(self) -> date:
        """The service's own current day, by its Date header, but none after the load's."""
        at = self.service.service_time if self.service else None
        return min(at.astimezone(trading_time.SHANGHAI).date(), self.today) if at else self.today

    def ask(self, work: "Callable[[psycopg.Connection], R]") -> R:
        """Query the warehouse, with retries; never call it on the event loop."""
        return self.load.warehouse.ask(work)

    def cursors(self, resource: str) -> dict[str, date]:
        """The cursors of a landed table, by key: the newest final trading day."""
        stored = self.load.cursors(resource)
        return {key: date.fromisoformat(cursor[:10]) for key, cursor in stored.items()}

    @cached_property
    def quote_servers(self) -> "Pool":
        """The quote servers that name corporate actions: the client's, or public ones."""
        from loaders.tdx.servers.pool import Pool

        pool = self.service.pool if self.service else None
        return pool or Pool(self.settings)

    @cached_property
    def folder(self) -> "Folder | None":
        """The desktop client's folder, listed once per load. Raises SettingsError."""
        from loaders.tdx.files.folder import scan_folder

        return scan_folder(self.settings)

    def file(self, code: str, period: str) -> Path | None:
        """The client's file of a code's bars (day, minute1, minute5), or None."""
        return self.folder.bars(period).get(code) if self.folder else None

    @property
    def day_files(self) -> Mapping[str, Path]:
        """The client's files of day bars by code; none without its folder."""
        return self.folder.bars("day") if self.folder else {}

    def miss_file(
        self,
        dataset: str,
        key: str,
        name: str,
        before: str | None,
        *,
        skipped: str,
    ) -> Outcome:
        """The outcome of a key without its one file: a failure if it was read before.

        name: path in the client's folder
        before: the key's cursor
        skipped: the reason if it never was there, or its loss is accepted
        """
        from loaders.tdx.files.written import state_in

        outcome = Outcome(key, skipped=skipped)
        if self.folder is None or self.folder.hides(name) or not (before and state_in(before)):
            return outcome
        accepted = replace(outcome, cursor=before.partition(" ")[0])
        loss = f"{name} was read before and no longer exists"
        refusal = refuse_loss(self.load, dataset, loss, ". Check that the share is mounted")
        return Outcome(key, failure=refusal) if refusal else accepted

    def is_empty(self, table: LandedTable) -> bool:
        """Whether a landed table has no row."""
        return not self.ask(lambda conn: has_rows(conn, table.dataset, table.name))

    def absence(self, dataset: str, landed: LandedTable) -> "Absence":
        """The state of a dataset that the service may not have, one per load."""
        from loaders.tdx.missing_datasets import Absence

        if dataset not in self.absences:
            self.absences[dataset] = Absence(dataset, self.is_empty(landed))
        return self.absences[dataset]

    def wait(self, work: Coroutine[Any, Any, R]) -> R:
        """Run requests and return their result. Raises Stopped once the load is to stop."""
        return self.loop.run(work)

    def each(
        self, keys: Sequence[str], work: Callable[[str], Awaitable[Outcome]]
    ) -> Iterator[Outcome]:
        """Outcomes in the order of the keys, several at a time, until the package is full."""
        return self.loop.in_order(
            keys, lambda key: catch_failure(key, work(key)), self.settings.concurrency, self.room
        )

    def at_once(self, keys: Sequence[str], work: Callable[[str], Outcome]) -> Iterator[Outcome]:
        """Outcomes in the order of the keys, of work without waits, until the package is full.

        A thread works ahead while those before are written, by as many rows as a batch has, or by
        FILES_AHEAD keys, for which a load that is stopped waits.
        """
        from loaders.landing.staging import COPY_ROWS

        def draw() -> Iterator[list[Outcome]]:
            outcomes, rows = [], 0
            for key in keys:
                if not self.room():
                    break
                outcomes.append(work(key))
                rows += len(outcomes[-1].rows) if outcomes[-1].rows is not None else 0
                if rows >= COPY_ROWS or len(outcomes) == FILES_AHEAD:
                    yield outcomes
                    outcomes, rows = [], 0
            yield outcomes

        with closing(draw_ahead(draw())) as drawn:
            for outcomes in drawn:
                yield from outcomes

    def only(self, key: str, work: Awaitable[Outcome]) -> Iterator[Outcome]:
        """The outcome of a dataset that is read whole; a failure says what to do."""
        yield self.loop.run(catch_failure(key, work, hint=True))

    def client_file(self, name: str) -> Path | None:
        """A file by its path in the desktop client's folder; None if it is missing."""
        return self.folder.find(name) if self.folder else None

    @property
    def gbbq_file(self) -> Path | None:
        """The desktop client's file of corporate actions and share capital, or None."""
        from loaders.tdx.files.gbbq import PLACE

        return self.client_file(PLACE)

    def instrument_type(self, code: str) -> str:
        """The type of a code: stock, fund or index; a stock if no list or rule knows it."""
        security = self.securities.get(code)
        return security.instrument_type if security else classify_code(code) or "stock"

    @cached_property
    def window(self) -> Window:
        """The days that the load wants. Raises UpstreamError if no trading day is known."""
        days, request = self.days, self.load.request
        due = trading_time.newest_final(days, self.clock())
        if due is None:
            raise UpstreamError(
                "the trading calendar is empty, so no bar can be due",
                hint="Run `loaders check tdx`, then load trading_calendar.",
            )
        known = set(days)
        published = set(trading_time.published_days(days[0], max(days[-1], self.today)))

        def closed(day: date) -> bool:
            # two calendars, because each alone can have a gap
            return days[0] <= day <= days[-1] and day not in known and day not in published

        @cache
        def own_days(exchange: str) -> "Ints":
            from loaders.tdx.files.own_days import find_own_days

            return find_own_days(self.day_files, exchange, closed)

        return Window(
            days=days,
            due=due,
            overlap=self.settings.overlap,
            closed=closed,
            today=self.today,
            since=request.since,
            until=request.until,
            from_start=self.mode == "init",
            own_days=own_days,
        )


Dataset = source.Dataset[Context]


async def catch_failure(key: str, work: Awaitable[Outcome], *, hint: bool = False) -> Outcome:
    """The outcome of loading one key, a failure included (with its `hint` if wanted)."""
    try:
        return await work
    except WarehouseAway:
        raise
    except SourceGone as error:
        return Outcome(key, failure=str(error), gone=error)
    except (UpstreamError, DataQualityError) as error:
        return Outcome(key, failure=error.with_hint if hint else str(error))


async def answer_or_fault(
    request: Awaitable[R],
) -> tuple[R | None, UpstreamError | DataQualityError | None]:
    """The answer to one request of several, or its error. Raises SourceGone."""
    try:
        return await request, None
    except SourceGone:
        raise
    except (UpstreamError, DataQualityError) as error:
        return None, error
