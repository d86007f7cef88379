"""The execution of a plan: tasks of the load, step by step, as the time for each comes."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from loaders.engine.source import Unit
from loaders.ib import history_probe
from loaders.ib.context import Context
from loaders.ib.contracts.listing import find_candidates, fit_slot, measure_slot
from loaders.ib.datasets import session
from loaders.ib.planning.capacity import describe_lag
from loaders.ib.planning.due import named_day
from loaders.ib.planning.plan import DATASET_BY_TASK, Plan, Step, plan_request, plan_retry
from loaders.ib.planning.request import CLOSE, DISCOVER, SNAPSHOT, lane_name
from loaders.ib.planning.timetable import LAST_CHANCE
from loaders.ib.queries import landed, loads
from loaders.ib.slots import SLOT_NAME, make_key, parse_point, require_session

CAPTURES = (SNAPSHOT, CLOSE)
Units = Iterator[Sequence[Unit]]


def execute(ctx: Context) -> Units:
    """The tasks of a load, made from its plan."""
    request, retried = ctx.load.request, ctx.load.retried
    if retried is None:
        plan = plan_request(ctx.settings, request)
    else:
        plan = plan_retry(ctx.settings, request, retried)
    if plan.task == DISCOVER:
        yield from _discover(ctx, plan)
        return
    if plan.task in CAPTURES and retried is None:
        yield from _load_calendar(ctx)
    if plan.works_queue:
        yield from _work_queue(ctx, plan.symbols, last=True)
        return
    for step in plan.steps:
        if step.starts_at is not None:
            yield from _wait_for_slot(ctx, plan.symbols, step.starts_at)
        yield from _capture(ctx, step, last=step is plan.steps[-1])
    if not plan.steps:
        yield from _land_events(ctx, last=True)
    if plan.task == CLOSE:
        history_probe.probe(ctx)


def _capture(ctx: Context, step: Step, *, last: bool) -> Units:
    ctx.missing = {}
    ctx.denied.clear()  # permission may have come back
    units = [Unit(step.dataset, group) for group in step.groups]
    if step.dataset in [DATASET_BY_TASK[task] for task in CAPTURES]:
        ctx.unplanned = set(step.keys)
        units.append(Unit("slot_run", step.keys))
    yield units
    yield from _land_events(ctx, last=last)
    if not last:
        ctx.gone = None  # on a whole day the next slot is tried all the same


def _land_events(ctx: Context, *, last: bool) -> Units:
    """What the gateway said since the last events landed."""
    ctx.take_pacing_events()
    ctx.is_last_step = last
    if ctx.unwritten_events or (ctx.gone is not None and last):
        yield [Unit("gateway_event", (ctx.ingest_id,))]


def _load_calendar(ctx: Context) -> Units:
    """The sessions, once a day: coverage is counted against them."""
    if ctx.load.cursors("session").get(session.KEY, "") < f"{ctx.timetable.today}":
        yield [Unit("session", (session.KEY,))]


def _discover(ctx: Context, plan: Plan) -> Units:
    """Calendar and stocks, what may be listed and fits a slot, what exists, the session's set."""
    yield [Unit("session", (session.KEY,))]
    day = named_day(ctx.load.request)
    if ctx.now() > require_session(day).close_at:  # a job of an earlier day, retried
        ctx.load.warn(f"the session of {day} is over: its contracts stay as they are")
        return
    cursors = ctx.load.cursors("session_contract")
    wanted = ctx.load.request.options.get("refresh") or f"{day}"
    failed = ctx.ask(lambda conn: loads.read_undiscovered_symbols(conn, lane_name(DISCOVER)))
    symbols = [symbol for step in plan.steps for symbol in step.keys]
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
    refusal = fit_slot(ctx)
    if refusal is None:
        yield [Unit("contract", left)]
    yield [Unit("session_contract", left)]
    yield from _land_events(ctx, last=True)
    if refusal is not None:
        raise refusal
    counts = ctx.ask(lambda conn: landed.count_contracts(conn, day))
    slot = measure_slot(ctx, counts)
    ctx.load.reporter.line(f"a slot: {slot}")
    if (late := describe_lag(slot, ctx.settings.max_capture_lag_seconds)) is not None:
        ctx.load.warn(late)


def _wait_for_slot(ctx: Context, symbols: Sequence[str], until: datetime) -> Units:
    """Wait for a slot; meanwhile capture again what waits, as its time comes."""
    while (now := ctx.now()) < until:
        wake = min([until, *(at for at in _queue_times(ctx) if at > now)])
        ctx.waits.until(wake, ctx.now)
        if ctx.now() < until:
            yield from _work_queue(ctx, symbols, last=False)
            ctx.gone = None
    ctx.gateway.reconnect()  # each slot starts with a connection that remembers nothing


def _queue_times(ctx: Context) -> list[datetime]:
    """When the queue is worked next, and the last chance before the close."""
    today = ctx.timetable.today
    waiting = ctx.ask(lambda conn: landed.read_queue(conn, today))
    last_chance = require_session(today).close_at - LAST_CHANCE
    return [*(queued.next_try_at for queued in waiting), last_chance]


def _work_queue(ctx: Context, symbols: Sequence[str], *, last: bool) -> Units:
    """Capture again what waits, newest slot first; what waits for a slot that is over is given up.

    Five minutes before the close it is also whatever else the last slot before it lacks.
    """
    waiting = ctx.ask(lambda conn: landed.read_queue(conn))
    ctx.queued, ctx.missing, ctx.unplanned = {}, {}, set()
    timetable = ctx.timetable
    ctx.queue_until = ctx.before_next_slot(timetable.now)
    for queued in waiting:
        # contracts of a slot that is over are given up, whichever symbols are requested
        is_over = timetable.now >= timetable.slot_ends(queued.sample_time)
        if queued.symbol not in symbols and not is_over:
            continue
        key = f"{queued.symbol} {queued.sample_time.strftime(SLOT_NAME)}"
        ctx.queued.setdefault(key, []).append(queued)
        ctx.missing.setdefault(key, set()).add(queued.conid)
    for key, conids in find_last_chance(ctx, symbols).items():
        ctx.missing.setdefault(key, set()).update(conids)
    keys = sorted(ctx.missing, key=parse_point, reverse=True)
    if not keys:
        return
    units = [
        Unit(DATASET_BY_TASK[SNAPSHOT], tuple(slot_keys))
        for _, slot_keys in groupby(keys, parse_point)
    ]
    yield [*units, Unit("slot_run", tuple(keys))]
    yield from _land_events(ctx, last=last)


def find_last_chance(ctx: Context, symbols: Sequence[str]) -> dict[str, set[int]]:
    """Contracts that the last slot before the close lacks, by key, within five minutes of it."""
    slot = ctx.timetable.last_chance_slot()
    if slot is None:
        return {}
    missing = ctx.ask(
        lambda conn: landed.read_missing(
            conn, DATASET_BY_TASK[SNAPSHOT], slot.trade_date, slot.at, symbols
        )
    )
    return {make_key(symbol, slot): conids for symbol, conids in missing.items() if conids}
