"""What a load of option chains would do, told without doing it: symbols, contracts, batches, minutes.

It stands on the contracts of the session, or of the newest one before that may stand in for it. Of symbols that
have none the gateway is asked what is listed, which is the most that there may be; with all of them known nobody
is connected to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from loaders.engine.request import LoadRequest
from loaders.engine.source import Previewed
from loaders.errors import NotDue, SettingsError, UpstreamError
from loaders.ib.client.library import check_client
from loaders.ib.contracts import universe
from loaders.ib.contracts.discovery import Reference, candidates
from loaders.ib.datasets.open_interest import BATCH
from loaders.ib.errors import NotPermitted, UnknownUnderlying
from loaders.ib.pacing import burst_of, seconds_for
from loaders.ib.planning import capacity as planner
from loaders.ib.planning import stored
from loaders.ib.planning.capacity import SlotPlan
from loaders.ib.planning.day_tasks import Agenda, oldest_set
from loaders.ib.planning.request import BOTH, STATE, check_request, now, parts, task_of
from loaders.ib.settings import IbSettings
from loaders.ib.slots import NEW_YORK, Session, session_after, session_on
from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse

if TYPE_CHECKING:
    import psycopg

    from loaders.ib.client.gateway import Gateway


@dataclass(frozen=True)
class SymbolPlan:
    """`contracts` of a slot, None where nobody knows (`why`). `set_date` is the session that they were found
    for; None: what may be listed, at most. `left_out` do not fit a slot."""

    symbol: str
    contracts: int | None
    set_date: date | None
    left_out: int = 0
    why: str = ""


@dataclass(frozen=True)
class Batches:
    """A token is a batch. `minutes` is the least that the rates allow."""

    contracts: int
    batches: int
    batch_size: int
    per_minute: float
    burst: int
    minutes: float


@dataclass(frozen=True)
class SlotPreview:
    """`tasks` are due at the moment `judged_at` (UTC), or asked for; without any `nothing_due` says why. `slots` are those of
    the session, as HH:MM in New York. `hold_s` is the time that a batch takes, measured where it is known."""

    judged_at: datetime
    trade_date: date
    tasks: tuple[str, ...]
    nothing_due: str
    slots: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    symbols: tuple[SymbolPlan, ...]
    slot: Batches
    hold_s: float
    minutes_allowed: float
    capacity: int
    overflow: str
    open_interest: Batches

    @property
    def fits(self) -> bool:
        return self.slot.contracts <= self.capacity

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"fits": self.fits}

    def lines(self) -> list[str]:
        """For people to read."""
        due = f"due: {', '.join(self.tasks)}" if self.tasks else f"due: nothing, {self.nothing_due}"
        ends = f" ({self.slots[0]} to {self.slots[-1]})" if self.slots else ""
        told = [
            f"as of {self.judged_at.astimezone(NEW_YORK):%Y-%m-%d %H:%M} in New York",
            f"session {self.trade_date}: {len(self.slots)} slots{ends}",
            due,
            f"groups: {'; '.join(', '.join(group) for group in self.groups)}",
        ]
        for of in self.symbols:
            if of.contracts is None:
                told.append(f"{of.symbol:<6} contracts unknown: {of.why}")
                continue
            found = f"found for {of.set_date}" if of.set_date else "at most, by what is listed"
            more = f", {of.left_out:,} do not fit" if of.left_out else ""
            told.append(f"{of.symbol:<6} {of.contracts:,} contracts, {found}{more}")
        told += [
            f"a slot: {_told(self.slot)}, of {self.minutes_allowed:.1f} allowed; "
            f"at {self.hold_s:.1f} s a batch {self.capacity:,} contracts fit",
            f"open interest: {_told(self.open_interest)}",
        ]
        if not self.fits:
            left = self.slot.contracts - self.capacity
            then = "the nearest strikes are taken" if self.overflow == "shrink" else "refused"
            told.append(f"{left:,} contracts do not fit a slot: {then} (ib.overflow)")
        return told


def preview(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, as_of: datetime | None
) -> Previewed:
    """What the request would do, for the command line."""
    found = look(settings, warehouse, request, as_of)
    return Previewed(tuple(found.lines()), found.as_json(), _refusal(found, settings.ib))


def look(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, as_of: datetime | None
) -> SlotPreview:
    """What the request would do. Raises UsageError, SettingsError; UpstreamError where a symbol has no contracts
    and nobody can be asked."""
    check_request(settings, request)
    known = warehouse is not None and warehouse.ask(lambda conn: has_relation(conn, STATE))
    ib, moment = settings.ib, as_of or _moment(settings, warehouse if known else None)
    agenda = Agenda(ib, moment)
    session = session_on(agenda.today) or session_after(agenda.today)
    day = session.trade_date
    groups = universe.groups(ib, request.keys)
    symbols = [symbol for group in groups for symbol in group]
    chains, hold_s = {}, None
    if warehouse is not None and known:
        oldest, size = oldest_set(day), ib.max_concurrent_snapshots
        chains = warehouse.ask(lambda conn: stored.chains(conn, day, oldest, symbols))
        hold_s = warehouse.ask(lambda conn: stored.measured_hold(conn, size))
    found = [
        SymbolPlan(symbol, len(chain.contracts), chain.set_date) for symbol, chain in chains.items()
    ]
    if lacking := [symbol for symbol in symbols if symbol not in chains]:
        found += _listed(ib, lacking, day)
    counts = {of.symbol: of.contracts for of in found if of.contracts is not None}
    plan = planner.slot_plan(ib, counts, hold_s)
    fitting = counts if plan.fits else planner.shares(counts, plan.capacity)
    tasks, why = _tasks(settings, request, moment)
    return SlotPreview(
        moment,
        day,
        tasks,
        why,
        tuple(slot.label for slot in agenda.slots(session)),
        tuple(groups),
        tuple(
            replace(of, left_out=counts.get(of.symbol, 0) - fitting.get(of.symbol, 0))
            for of in sorted(found, key=lambda of: symbols.index(of.symbol))
        ),
        _slot_batches(plan),
        round(plan.hold_s, 2),
        round(plan.seconds_allowed / 60, 1),
        plan.capacity,
        ib.overflow,
        _interest_batches(ib, plan.total),
    )


def _moment(settings: Settings, warehouse: Warehouse | None) -> datetime:
    """Now. Where the clock is the gateway's, who is asked only where nothing is known, the open of the newest
    session with contracts."""
    if settings.ib.clock == "machine":
        return datetime.now(UTC)

    def newest(conn: "psycopg.Connection") -> date | None:
        row = conn.execute("select max(trade_date) from raw_ib.session_contract").fetchone()
        return row[0] if row else None

    day = warehouse.ask(newest) if warehouse is not None else None
    session: Session | None = session_on(day) if day else None
    return session.open_at if session else now(settings)


def _tasks(
    settings: Settings, request: LoadRequest, moment: datetime
) -> tuple[tuple[str, ...], str]:
    if task_of(request) not in BOTH:
        return (task_of(request),), ""
    try:
        return tuple(dict.fromkeys(part.mode for part in parts(settings, request, moment))), ""
    except NotDue as why:
        return (), str(why)


def _listed(ib: IbSettings, symbols: Sequence[str], day: date) -> list[SymbolPlan]:
    """The most contracts that there may be, by what the gateway says is listed."""
    check_client()
    from loaders.ib.client import live_gateway

    found = []
    with live_gateway.gateway(ib) as gateway:
        gateway.server_time()  # raises where nobody is there
        for symbol in symbols:
            try:
                found.append(SymbolPlan(symbol, _count(ib, gateway, symbol, day), None))
            except (UpstreamError, NotPermitted, UnknownUnderlying) as error:
                found.append(SymbolPlan(symbol, None, None, why=str(error)))
    return found


def _count(ib: IbSettings, gateway: "Gateway", symbol: str, day: date) -> int:
    stock = gateway.stock(symbol)
    close = gateway.previous_close(stock)
    about = Reference(close.price, close.close_date, close.source)
    params = gateway.option_params(stock)
    if not params:
        raise UpstreamError(f"the gateway tells of no options of {symbol}")
    return len(candidates(symbol, stock, about, params, day, ib)[0])


def _slot_batches(plan: SlotPlan) -> Batches:
    return Batches(
        plan.total,
        plan.batches,
        plan.batch_size,
        plan.per_minute,
        burst_of(plan.per_minute),
        round(plan.seconds / 60, 2),
    )


def _interest_batches(ib: IbSettings, contracts: int) -> Batches:
    """Of a morning; two messages a contract, since it is a stream that has to be ended."""
    rate = ib.rate_limits.open_interest.per_minute
    size = min(BATCH, int(ib.market_data_lines * 0.9))
    batches = ceil(contracts / size)
    seconds = max(
        seconds_for(batches, rate), batches * planner.HOLD, 2 * contracts / ib.messages_per_second
    )
    return Batches(contracts, batches, size, rate, burst_of(rate), round(seconds / 60, 2))


def _told(of: Batches) -> str:
    return (
        f"{of.contracts:,} contracts in {of.batches:,} batches of {of.batch_size}, a token each, "
        f"{of.per_minute:g} a minute after {of.burst}: {of.minutes:.1f} minutes"
    )


def _refusal(found: SlotPreview, ib: IbSettings) -> SettingsError | None:
    """The error that such a load would end with, or None."""
    if found.fits or found.overflow == "shrink":
        return None
    counts: Mapping[str, int] = {of.symbol: of.contracts or 0 for of in found.symbols}
    return planner.refuse(planner.slot_plan(ib, counts, found.hold_s))
