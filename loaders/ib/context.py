"""The context that a running load of option chains passes to its datasets."""

import hashlib
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from loaders.engine import source
from loaders.ib.capture.rounds import LATER, Capturer
from loaders.ib.capture.rows import Provenance
from loaders.ib.client.error_codes import CLOCK_OFF, NOTICE
from loaders.ib.client.gateway import Gateway
from loaders.ib.client.values import ApiEvent, OptionContract
from loaders.ib.contracts.discovery import Discovery
from loaders.ib.errors import ClientIdInUse, GatewayGone, GatewayTimeout
from loaders.ib.pacing import TokenBucket, Waits
from loaders.ib.planning.timetable import MARGIN, Timetable
from loaders.ib.queries.landed import Chain, read_chains, read_missing
from loaders.ib.settings import IbSettings
from loaders.ib.slots import EVERY, GRACE, Slot
from loaders.ib.tables import CHAIN_SNAPSHOT
from quotemill.errors import UpstreamError

if TYPE_CHECKING:
    import psycopg

    from loaders.engine.load import Load

R = TypeVar("R")
LOST = (GatewayGone, ClientIdInUse)
MOST_UNANSWERED = 3  # symbols in a row
# log levels of events: a client id that is taken matters only when there is no other
LEVELS = {"fatal": "error", "next_id": "info"}


@dataclass
class Context:
    """State of a load, by symbol, or by key (symbol and slot or day).

    discoveries         what discovery knows of each symbol
    completes           the current step requests only what a slot lacks
    begun               slots and days of which a batch was requested
    slot_deadlines      when each slot that has started gives way to the next one
    unwritten_events    what the gateway said and has not landed; `written_events` counts the others
    gone                why no gateway answers any more; ends the load after its last step
    notices             what the gateway noticed, each recorded once
    last_time           the newest time that the gateway named
    capture_ends        when pauses of the current capture end, on the clock of `waits`
    denied              symbols without live data
    unanswered_symbols  symbols in a row that got no answer
    """

    load: "Load"
    gateway: Gateway
    waits: Waits
    ingest_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    discoveries: dict[str, Discovery] = field(default_factory=dict)
    completes: bool = False
    begun: set[str] = field(default_factory=set)
    slot_deadlines: dict[str, datetime] = field(default_factory=dict)
    unwritten_events: list[ApiEvent] = field(default_factory=list)
    written_events: int = 0
    notices: set[int] = field(default_factory=set)
    gone: UpstreamError | None = None
    is_last_step: bool = False
    last_time: datetime | None = None
    capture_ends: float | None = None
    denied: set[str] = field(default_factory=set)
    unanswered_symbols: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.settings: IbSettings = self.load.settings.ib
        rates = self.settings.rate_limits
        self.bucket = TokenBucket(rates.snapshot.per_minute, self.waits)
        self.oi_bucket = TokenBucket(rates.open_interest_per_minute, self.waits)

    def ask(self, work: "Callable[[psycopg.Connection], R]") -> R:
        """The result of a query of the warehouse, retried while it is away."""
        return self.load.warehouse.ask(work)

    def now(self) -> datetime:
        """UTC. Where the clock is that of a gateway that is gone, the last time that it named."""
        if self.gone is None or self.settings.clock == "machine":
            try:
                self.last_time = self.gateway.now()
                if self.settings.clock == "gateway":
                    self.load.source_times[:] = [self.last_time]
            except UpstreamError as error:
                self.record_loss(error)
        if self.last_time is None:
            raise self.gone or UpstreamError("the gateway does not send its time")
        return self.last_time

    @property
    def timetable(self) -> Timetable:
        return Timetable(self.settings, self.now())

    @property
    def lineage(self) -> dict[str, Any]:
        return {"fetched_at": self.load.clock(), "is_final": True}

    @cached_property
    def provenance(self) -> Provenance:
        from importlib.metadata import version

        settings = self.settings.model_dump_json(exclude={"host", "port", "client_id"})
        return Provenance(
            ingest_id=self.ingest_id,
            source=self._source(),
            config_hash=hashlib.sha256(settings.encode()).hexdigest()[:12],
            code_version=version("quotemill"),
            grace=int(GRACE.total_seconds()),
        )

    def _source(self) -> str:
        """Origin of the rows; with the gateway gone, by the kind of clock."""
        if self.gone is None:
            try:
                return self.gateway.source()
            except UpstreamError as error:
                self.record_loss(error)
        return "IBKR" if self.settings.clock == "machine" else "SANDBOX"

    def chains(self, day: date, symbols: Sequence[str]) -> dict[str, Chain]:
        return self.ask(lambda conn: read_chains(conn, day, symbols))

    def find_lacking(self, slot: Slot, symbols: Sequence[str]) -> dict[str, list[OptionContract]]:
        """Contracts that a slot lacks, by symbol."""
        day, table = slot.trade_date, CHAIN_SNAPSHOT.name
        return self.ask(lambda conn: read_missing(conn, table, day, slot.at, symbols, LATER))

    def capturer(self, market_data_type: int, deadline: datetime) -> Capturer:
        self.capture_ends = self.waits.monotonic() + (deadline - self.now()).total_seconds()
        return Capturer(
            gateway=self.gateway,
            now=self.now,
            bucket=self.bucket,
            waits=self.waits,
            batch_size=self.settings.max_concurrent_snapshots,
            lines=self.settings.usable_lines,
            market_data_type=market_data_type,
            fallback=self.settings.allow_fallback_to_delayed,
            retry_waits=self.settings.retry_waits,
            deadline=deadline,
            cancelling=self.load.cancelling,
            report=self.report_retry,
            denied=self.denied,
            is_over=lambda: self.capture_seconds() <= 0,
        )

    def report_retry(self, text: str) -> None:
        """Print and log what is requested again, and why."""
        self.load.reporter.line(text)
        self.load.note("warning", text)

    def must_stop_waiting(self) -> bool:
        """Whether the load is to stop, or the current capture must give way."""
        return self.load.cancelling() or self.capture_seconds() <= 0

    def pause(self, seconds: float) -> None:
        """A pause of the gateway, cut short where the current capture must give way."""
        self.waits.pause(max(min(seconds, self.capture_seconds()), 0.0))

    def capture_seconds(self) -> float:
        """Seconds that are left of the current capture."""
        return math.inf if self.capture_ends is None else self.capture_ends - self.waits.monotonic()

    def deadline(self, slot: Slot) -> datetime:
        """When a capture of a slot gives way to the next one."""
        following = self.timetable.next_slot(max(slot.at, self.now()))
        # the last one: before its job is stopped
        return (following.at if following else slot.at + EVERY) - MARGIN

    def record_loss(self, error: Exception) -> None:
        """Store that the gateway is lost; one late or refused answer does not mean that."""
        if isinstance(error, UpstreamError) and type(error) in LOST:
            self.gone = error

    def count_unanswered(self, symbol: str, error: Exception) -> None:
        """Count a symbol without an answer, and warn at the first.

        After MOST_UNANSWERED in a row the gateway counts as gone: each further symbol would cost as
        long a wait.
        """
        if not isinstance(error, GatewayTimeout):
            self.reset_unanswered()  # a refusal is an answer
            self.record_loss(error)
            return
        if not self.unanswered_symbols:
            self.load.warn(
                f"{symbol}: {error}; after {MOST_UNANSWERED} symbols in a row the gateway "
                "is considered unreachable"
            )
        self.unanswered_symbols.add(symbol)
        if (count := len(self.unanswered_symbols)) >= MOST_UNANSWERED:
            why = f"no response from the gateway about {count} symbols in a row: {error}"
            self.gone = GatewayGone(why, hint=error.hint)

    def reset_unanswered(self) -> None:
        self.unanswered_symbols.clear()

    def take_pacing_events(self) -> list[ApiEvent]:
        """Take what the gateway said; those events that complain of too many requests.

        Plain information does not land, nor a contract that does not exist: it has its own table.
        Of a notice, which may come with each request, the first lands.
        """
        new = self.gateway.take_events()
        notable = []
        for event in new:
            if event.action in ("info", "negative") or event.code in self.notices:
                continue
            if event.error_type == NOTICE:
                self.notices.add(event.code)
            notable.append(event)
        for event in notable:
            if event.code == CLOCK_OFF:
                self.load.warn(event.message)
                continue
            is_notice = event.error_type == NOTICE  # its words are no complaint: data follow
            self.load.note(
                "info" if is_notice else LEVELS.get(event.action, "warning"),
                f"gateway {event.code}: {event.message}",
                {"error_type": event.error_type, "occurred_at": event.at},
            )
        self.unwritten_events += notable
        return [event for event in new if event.is_pacing]


Dataset = source.Dataset[Context]
