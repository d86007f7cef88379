"""What a running load of option chains offers its datasets."""

import hashlib
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from loaders.engine import source
from loaders.errors import UpstreamError
from loaders.ib.capture.batches import Capturer
from loaders.ib.capture.rows import Run
from loaders.ib.client.gateway import ApiEvent, Gateway
from loaders.ib.contracts.discovery import Found
from loaders.ib.errors import ClientIdInUse, GatewayGone, GatewayTimeout
from loaders.ib.pacing import TokenBucket, Waits
from loaders.ib.planning import stored
from loaders.ib.planning.day_tasks import Agenda, oldest_set
from loaders.ib.settings import IbSettings
from loaders.ib.slots import EVERY, Session, Slot, session_on

if TYPE_CHECKING:
    from datetime import date

    import psycopg

    from loaders.engine.load import Load
    from loaders.ib.planning.stored import Chain, Queued

R = TypeVar("R")
LOST = (GatewayGone, ClientIdInUse)
SYMBOLS_UNANSWERED = 3
# of events in the log: with a client id that is taken nothing is wrong while there is another
LEVELS = {"fatal": "error", "next_id": "info"}
# before the next slot: the lane is to be free by then
MARGIN = timedelta(seconds=15)


@dataclass
class Context:
    """`found` is what discovery knows of each symbol, `slot_runs` the rows that tell of captures, by key.

    `begun` are the slots that were begun, with the moment at which each gives way to the next one, and
    `queue_until` is that of the queue. `telling` are events of the gateway that have not landed yet, `written` counts those that have.
    `gone` is why nobody answers any more: it ends the load after its last step, when all rows are there.
    """

    load: "Load"
    gateway: Gateway
    waits: Waits
    ingest_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    found: dict[str, Found] = field(default_factory=dict)
    slot_runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    missed: "dict[str, list[Queued]]" = field(default_factory=dict)
    lacking: dict[str, set[int]] = field(default_factory=dict)
    begun: dict[str, datetime] = field(default_factory=dict)
    queue_until: datetime | None = None
    telling: list[ApiEvent] = field(default_factory=list)
    written: int = 0
    gone: UpstreamError | None = None
    is_last_step: bool = False
    told: datetime | None = None  # the newest moment
    patience: float | None = None  # of pauses, by the clock of `waits`
    denied: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)  # symbols in a row about which no answer came

    def __post_init__(self) -> None:
        self.settings: IbSettings = self.load.settings.ib
        rates = self.settings.rate_limits
        self.bucket = TokenBucket(rates.snapshot.per_minute, self.waits)
        self.oi_bucket = TokenBucket(rates.open_interest.per_minute, self.waits)

    def ask(self, work: "Callable[[psycopg.Connection], R]") -> R:
        """A query of the warehouse, patiently."""
        return self.load.warehouse.ask(work)

    def now(self) -> datetime:
        """UTC. Of a gateway that is gone, whose clock it is, the last moment that it told."""
        if self.gone is None or self.settings.clock == "machine":
            try:
                self.told = self.gateway.now()
            except UpstreamError as error:
                self.lose(error)
        if self.told is None:
            raise self.gone or UpstreamError("the gateway does not tell its time")
        return self.told

    @property
    def agenda(self) -> Agenda:
        return Agenda(self.settings, self.now())

    @property
    def lineage(self) -> dict[str, Any]:
        return {"fetched_at": self.load.clock(), "is_final": True}

    @property
    def lines(self) -> int:
        return int(self.settings.market_data_lines * 0.9)

    @cached_property
    def run(self) -> Run:
        from importlib.metadata import version

        chosen = self.settings.model_dump_json(
            exclude={"host", "port", "client_id", "client_id_pool"}
        )
        return Run(
            self.ingest_id,
            self._source(),
            hashlib.sha256(chosen.encode()).hexdigest()[:12],
            version("quotemill"),
            self.settings.slot_grace_seconds,
        )

    def _source(self) -> str:
        """What the rows come from; of a gateway that is gone what its clock says."""
        if self.gone is None:
            try:
                return self.gateway.source()
            except UpstreamError as error:
                self.lose(error)
        return "IBKR" if self.settings.clock == "machine" else "SANDBOX"

    @property
    def again_after(self) -> float:
        """Seconds after which what was missed is tried again."""
        return max(self.settings.retry_waits, default=0.0)

    def session(self, day: "date") -> Session:
        found = session_on(day)
        assert found is not None
        return found

    def chains(self, day: "date", symbols: Sequence[str]) -> "dict[str, Chain]":
        return self.ask(lambda conn: stored.chains(conn, day, oldest_set(day), symbols))

    def capturer(self, wanted: int, deadline: datetime) -> Capturer:
        self.patience = self.waits.monotonic() + (deadline - self.now()).total_seconds()
        return Capturer(
            self.gateway,
            self.now,
            self.bucket,
            self.waits,
            self.settings.max_concurrent_snapshots,
            self.lines,
            wanted,
            self.settings.allow_fallback_to_delayed,
            self.settings.retry_waits,
            deadline,
            self.load.cancelling,
            self.told_again,
            self.denied,
            self.gone,
            lambda: self._left() <= 0,
        )

    def told_again(self, text: str) -> None:
        """Say to people and in the log what is asked for again, and why."""
        self.load.reporter.line(text)
        self.load.note("warning", text)

    def must_end(self) -> bool:
        """Are pauses to end: is the load to stop, or has the capture in hand to give way?"""
        return self.load.cancelling() or self._left() <= 0

    def pause(self, seconds: float) -> None:
        """A pause of the gateway, cut short where the capture in hand has to give way."""
        self.waits.pause(max(min(seconds, self._left()), 0.0))

    def _left(self) -> float:
        return math.inf if self.patience is None else self.patience - self.waits.monotonic()

    def deadline(self, slot: Slot) -> datetime:
        """When a capture of a slot gives way to the next one."""
        return self.before_next_slot(max(slot.at, self.now()))

    def before_next_slot(self, at: datetime) -> datetime:
        """When what goes on at a moment gives way to the session's next slot."""
        following = self.agenda.next_slot(at)
        return following.at - MARGIN if following else at + EVERY

    def lose(self, error: Exception) -> None:
        """Remember that nobody answers any more; one answer that is late or refused is not that."""
        if isinstance(error, UpstreamError) and type(error) in LOST:
            self.gone = error

    def unanswered(self, symbol: str, error: Exception) -> None:
        """Count a symbol that nobody answered about. The first is said at once; after SYMBOLS_UNANSWERED in a
        row the source is gone: the others would cost as long a wait each."""
        if not isinstance(error, GatewayTimeout):
            self.answered()  # a refusal is an answer
            self.lose(error)
            return
        if not self.mute:
            said = f"{symbol}: {error}; after {SYMBOLS_UNANSWERED} symbols in a row the gateway is given up"
            self.load.warn(said)
        self.mute.add(symbol)
        if len(self.mute) >= SYMBOLS_UNANSWERED:
            why = f"the gateway answered nothing about {len(self.mute)} symbols in a row: {error}"
            self.gone = GatewayGone(why, hint=error.hint)

    def answered(self) -> None:
        self.mute.clear()

    def pacing_events(self) -> list[ApiEvent]:
        """Take what the gateway said; those events that complain of too many requests.

        What is worth telling is kept: no plain information, and no contract that does not exist, of which
        there is a table."""
        new = self.gateway.take_events()
        worth = [event for event in new if event.action not in ("info", "negative")]
        for event in worth:
            self.load.note(
                LEVELS.get(event.action, "warning"),
                f"gateway {event.code}: {event.message}",
                {"error_type": event.error_type, "occurred_at": event.at},
            )
        self.telling += worth
        return [event for event in new if event.is_pacing]


Dataset = source.Dataset[Context]
