"""The steps of a load, and their execution, as the time for each comes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from loaders.engine.jobs import Task
from loaders.engine.request import LoadRequest
from loaders.engine.source import Unit
from loaders.ib.context import Context
from loaders.ib.contracts import universe
from loaders.ib.contracts.listing import find_candidates, measure_slot
from loaders.ib.datasets import session
from loaders.ib.planning.due import named_day, named_slots
from loaders.ib.planning.estimate import describe_lag, describe_overflow
from loaders.ib.planning.request import CLOSE, DISCOVER, SNAPSHOT, TASKS, lane_name
from loaders.ib.planning.timetable import MARGIN
from loaders.ib.queries import landed, loads
from loaders.ib.settings import IbSettings
from loaders.ib.slots import (
    Session,
    Slot,
    make_key,
    parse_point,
    parse_slot,
    parse_symbol,
    require_session,
)

CAPTURES = (SNAPSHOT, CLOSE)
COMPLETES = "retry_missed"  # only what the slot lacks is requested
Keys = tuple[str, ...]
Units = Iterator[Sequence[Unit]]


@dataclass(frozen=True)
class Step:
    """Keys of a task's dataset, captured group after group.

    starts_at  slot that is awaited first, on a whole day (UTC)
    completes  only what the slot lacks is requested
    """

    groups: tuple[Keys, ...]
    starts_at: datetime | None = None
    completes: bool = False

    @property
    def keys(self) -> Keys:
        return tuple(chain.from_iterable(self.groups))


def plan_steps(ib: IbSettings, request: LoadRequest) -> list[Step]:
    """The steps of a resolved request. Raises SettingsError, UsageError for wrong symbols."""
    groups = universe.groups(ib, request.keys)
    if request.mode == DISCOVER:
        return [Step(tuple(groups))]
    if request.mode != SNAPSHOT:
        return [Step(_make_keys(groups, require_session(named_day(request))))]
    waits, completes = "run_day" in request.options, COMPLETES in request.options
    return [
        Step(_make_keys(groups, slot), slot.at if waits else None, completes)
        for slot in named_slots(request)
    ]


def _make_keys(groups: Sequence[Keys], point: Slot | Session) -> tuple[Keys, ...]:
    return tuple(tuple(make_key(symbol, point) for symbol in group) for group in groups)


def describe_plan(ib: IbSettings, request: LoadRequest) -> str:
    """The symbols that a resolved request captures, and the slots or the day."""
    times = []
    if request.mode == SNAPSHOT:
        times = [f"{slot.trade_date} {slot.label} New York" for slot in named_slots(request)]
    elif request.mode != DISCOVER:
        times = [f"{named_day(request)}"]
    symbols = chain.from_iterable(universe.groups(ib, request.keys))
    about = " ".join(filter(None, (", ".join(symbols), ", ".join(times))))
    return f"{request.mode}: {TASKS[request.mode].dataset} {about}"


def plan_retry(request: LoadRequest, tasks: Sequence[Task]) -> list[Step]:
    """The step of what is left of a job: the keys of its tasks.

    Discovery is repeated as a whole for the symbols that are left: each part needs the one before.
    """
    if request.mode == DISCOVER:
        left = (t.keys for t in tasks if t.dataset not in ("session", "gateway_event"))
        return [Step((tuple(dict.fromkeys(chain.from_iterable(left))),))]
    dataset = TASKS[request.mode].dataset
    groups = tuple(task.keys for task in tasks if task.keys and task.dataset == dataset)
    return [Step(groups, completes=COMPLETES in request.options)] if groups else []


def execute(ctx: Context) -> Units:
    """The tasks of a load, made from its steps."""
    for mistake in universe.list_mistakes(ctx.settings):
        ctx.load.warn(f"left out: {mistake}")
    request, retried = ctx.load.request, ctx.load.retried
    steps = plan_steps(ctx.settings, request)
    if retried:  # a job that had no task yet is planned again
        steps = plan_retry(request, retried)
    if request.mode == DISCOVER:
        yield from _discover(ctx, [symbol for step in steps for symbol in step.keys])
        return
    if request.mode in CAPTURES and not retried:
        yield from _load_calendar(ctx)
    before: Step | None = None
    for step in steps:
        if step.starts_at is not None:
            yield from _wait_for_slot(ctx, before, step.starts_at)
        yield from _capture(ctx, step, last=step is steps[-1])
        before = step
    if not steps:
        yield from _land_events(ctx, last=True)


def _capture(ctx: Context, step: Step, *, last: bool) -> Units:
    ctx.completes = step.completes
    ctx.denied.clear()  # permission may have come back
    dataset = TASKS[ctx.load.request.mode].dataset
    yield [Unit(dataset, group) for group in step.groups]
    yield from _land_events(ctx, last=last)
    if not last:
        ctx.gone = None  # on a whole day the next slot is tried all the same


def _land_events(ctx: Context, *, last: bool) -> Units:
    """Messages of the gateway since the last events landed."""
    ctx.take_pacing_events()
    ctx.is_last_step = last
    if ctx.unwritten_events or (ctx.gone is not None and last):
        yield [Unit("gateway_event", (ctx.ingest_id,))]


def _load_calendar(ctx: Context) -> Units:
    """The sessions, once a day: coverage is counted against them."""
    if ctx.load.cursors("session").get(session.KEY, "") < f"{ctx.timetable.today}":
        yield [Unit("session", (session.KEY,))]


def _discover(ctx: Context, symbols: Sequence[str]) -> Units:
    """Calendar and stocks, what may be listed, what exists, the session's set."""
    yield [Unit("session", (session.KEY,))]
    day = named_day(ctx.load.request)
    if ctx.now() > require_session(day).close_at:  # a job of an earlier day, retried
        ctx.load.warn(f"the session of {day} has ended: its contracts do not change")
        return
    cursors = ctx.load.cursors("session_contract")
    wanted = ctx.load.request.options.get("refresh") or f"{day}"
    failed = ctx.ask(lambda conn: loads.read_undiscovered_symbols(conn, lane_name(DISCOVER)))
    # three symbols without an answer end discovery: those that failed before come last
    ordered = sorted(symbols, key=lambda symbol: symbol in failed)
    left = tuple(symbol for symbol in ordered if cursors.get(symbol, "") < wanted)
    if not left:
        return
    yield [Unit("underlying", left)]
    for symbol in left:
        if ctx.load.cancelling():
            return
        ctx.discoveries[symbol] = find_candidates(ctx, symbol)
    yield [Unit("contract", left)]
    yield [Unit("session_contract", left)]
    yield from _land_events(ctx, last=True)
    counts = ctx.ask(lambda conn: landed.count_contracts(conn, day))
    slot = measure_slot(ctx, counts)
    ctx.load.reporter.line(f"a slot: {slot}")
    limit = ctx.settings.max_capture_lag_seconds
    for why in filter(None, (describe_overflow(slot), describe_lag(slot, limit))):
        ctx.load.warn(why)


def _wait_for_slot(ctx: Context, before: Step | None, until: datetime) -> Units:
    """Wait for a slot; meanwhile request again and again what the one before lacks."""
    pause = timedelta(seconds=max(ctx.settings.retry_waits, default=0.0))
    while before and pause and (again := ctx.now() + pause) < until - MARGIN:
        ctx.waits.until(again, ctx.now)
        slot = parse_slot(parse_point(before.keys[0]))
        lacking = ctx.find_lacking(slot, [parse_symbol(key) for key in before.keys])
        groups = [
            tuple(k for k in group if lacking.get(parse_symbol(k))) for group in before.groups
        ]
        if any(groups):
            yield from _capture(ctx, Step(tuple(filter(None, groups)), completes=True), last=False)
    ctx.waits.until(until, ctx.now)
    ctx.gateway.reconnect()  # each slot starts with a connection that remembers nothing
