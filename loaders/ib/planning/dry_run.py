"""`--dry-run`: the plan of a request, and what it takes of the rates; nothing is loaded.

Contracts are those of the session, or of the newest one before that may stand in for it. For
symbols without any the gateway is asked: what it lists is the most that there may be.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from loaders.engine.request import LoadRequest
from loaders.engine.source import Previewed
from loaders.ib.client.gateway import Gateway, open_gateway
from loaders.ib.client.library import check_client
from loaders.ib.contracts import universe
from loaders.ib.contracts.discovery import Reference, choose_candidates
from loaders.ib.contracts.listing import read_params
from loaders.ib.errors import NotPermitted, UnknownUnderlying
from loaders.ib.planning.due import find_due, has_landed, resolve
from loaders.ib.planning.estimate import (
    describe_lag,
    describe_overflow,
    estimate_interest,
    estimate_slot,
)
from loaders.ib.planning.execution import describe_plan
from loaders.ib.planning.request import ANY_TASK, check_request, current_time, task_name
from loaders.ib.planning.timetable import Timetable
from loaders.ib.queries import landed
from loaders.ib.settings import IbSettings
from loaders.ib.slots import NEW_YORK, session_after, session_on
from loaders.settings import Settings
from quotemill.errors import NotDue, UpstreamError, UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.wording import say_count


@dataclass(frozen=True)
class SymbolPlan:
    """Contracts of a symbol in a slot.

    contracts  None where unknown: `why` says why
    set_date   session that they were discovered for; None: what is listed, the most there may be
    """

    symbol: str
    contracts: int | None
    set_date: date | None
    why: str = ""

    def __str__(self) -> str:
        if self.contracts is None:
            return f"{self.symbol:<6} contracts unknown: {self.why}"
        origin = (
            f"found for {self.set_date}" if self.set_date else "at most, from the gateway's list"
        )
        return f"{self.symbol:<6} {say_count(self.contracts, 'contract')}, {origin}"


def preview(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, as_of: datetime | None
) -> Previewed:
    """The plan of a request at a time.

    Raises UsageError, SettingsError; UpstreamError where the gateway cannot be reached and a symbol
    has no contracts, or the clock is the gateway's.
    """
    check_request(settings, request)
    if warehouse is not None and not has_landed(warehouse):
        warehouse = None
    ib, now = settings.ib, as_of or current_time(settings)
    timetable = Timetable(ib, now)
    current, following = session_on(timetable.today), timetable.next_slot(now)
    session = current or session_after(timetable.today)
    labels = [slot.label for slot in timetable.slots(session)]
    groups = universe.groups(ib, request.keys)
    symbols, hold_s = _plan_symbols(ib, warehouse, groups, session.trade_date)
    counts = {s.symbol: s.contracts for s in symbols if s.contracts is not None}
    slot, interest = estimate_slot(ib, counts, hold_s), estimate_interest(ib, sum(counts.values()))
    which = "session" if current else "no session today, the next one is"
    tasks, loads, not_due = _find_loads(settings, warehouse, request, now=now)
    lines = [
        f"as of {now.astimezone(NEW_YORK):%Y-%m-%d %H:%M} in New York",
        f"{which} {session.trade_date}: {len(labels)} slots"
        + (f" ({labels[0]} to {labels[-1]})" if labels else "")
        + (f", the next is at {following.label}" if following else ""),
        f"due: {', '.join(tasks) or 'nothing'}" + (f", {not_due}" if not_due else ""),
        *dict.fromkeys(f"  {describe_plan(ib, load)}" for load in loads),
        f"groups: {'; '.join(', '.join(group) for group in groups)}",
        *map(str, symbols),
        f"a slot: {slot}",
        f"open interest: {interest}",
    ]
    lines += [f"warning: {mistake}" for mistake in universe.list_mistakes(ib)]
    warnings = describe_overflow(slot), describe_lag(slot, ib.max_capture_lag_seconds)
    lines += [f"warning: {why}" for why in warnings if why]
    detail = {
        "judged_at": now,
        "trade_date": session.trade_date,
        "tasks": tasks,
        "nothing_due": "" if tasks else not_due,
        "slots": labels,
        "groups": groups,
        "symbols": [asdict(symbol) for symbol in symbols],
        "slot": slot.as_json(),
        "hold_s": round(slot.hold_s, 2),
        "minutes_allowed": round(slot.seconds_allowed / 60, 1),
        "capacity": slot.capacity,
        "open_interest": interest.as_json(),
        "fits": slot.fits,
    }
    return Previewed(tuple(lines), detail)


def _plan_symbols(
    ib: IbSettings, warehouse: Warehouse | None, groups: Sequence[Sequence[str]], day: date
) -> tuple[list[SymbolPlan], float | None]:
    """Contracts of each symbol, and the measured time of a batch."""
    symbols = [symbol for group in groups for symbol in group]
    plans: dict[str, SymbolPlan] = {}
    hold_s = None
    if warehouse is not None:
        size = ib.max_concurrent_snapshots
        chains = warehouse.ask(lambda conn: landed.read_chains(conn, day, symbols))
        plans = {s: SymbolPlan(s, len(c.contracts), c.set_date) for s, c in chains.items()}
        hold_s = warehouse.ask(lambda conn: landed.measure_batch_seconds(conn, size))
    if unknown := [symbol for symbol in symbols if symbol not in plans]:
        plans |= _list_symbols(ib, unknown, day)
    return [plans[symbol] for symbol in symbols], hold_s


def _find_loads(
    settings: Settings, warehouse: Warehouse | None, request: LoadRequest, *, now: datetime
) -> tuple[tuple[str, ...], Sequence[LoadRequest], str]:
    """Tasks, their resolved loads, and why nothing is due."""
    task = task_name(request)
    try:
        if task not in ANY_TASK:
            return (task,), [resolve(settings, warehouse, request, now)], ""
        loads = [load for _, load in find_due(settings, warehouse, request, now)]
    except (NotDue, UsageError) as why:
        return (() if task in ANY_TASK else (task,)), (), str(why)
    return tuple(dict.fromkeys(load.mode for load in loads)), loads, ""


def _list_symbols(ib: IbSettings, symbols: Sequence[str], day: date) -> dict[str, SymbolPlan]:
    """The most contracts that there may be, by what the gateway lists."""
    check_client()
    plans = {}
    with open_gateway(ib) as gateway:
        gateway.server_time()  # raises where no gateway answers
        for symbol in symbols:
            try:
                plans[symbol] = SymbolPlan(symbol, _count_listed(ib, gateway, symbol, day), None)
            except (UpstreamError, NotPermitted, UnknownUnderlying) as error:
                plans[symbol] = SymbolPlan(symbol, None, None, why=str(error))
    return plans


def _count_listed(ib: IbSettings, gateway: Gateway, symbol: str, day: date) -> int:
    member = universe.find_member(ib, symbol)
    underlying = gateway.find_underlying(symbol, member.sec_type, member.exchange)
    close = gateway.previous_close(underlying)
    reference = Reference(close.price, close.close_date, close.source)
    params = read_params(gateway, underlying)
    return len(choose_candidates(underlying, reference, params=params, today=day, ib=ib)[0])
