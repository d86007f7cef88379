"""Which tasks a load has: from its slots and days, or from what an earlier job left undone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from loaders.engine.source import Unit
from loaders.errors import DataQualityError, SettingsError, UpstreamError
from loaders.ib import history_probe
from loaders.ib.capture.flags import is_silent
from loaders.ib.capture.slot_capture import key_of, moment_of
from loaders.ib.context import Context, Dataset
from loaders.ib.contracts import universe
from loaders.ib.contracts.discovery import Found, Reference, candidates, distances
from loaders.ib.datasets import (
    chain_close,
    chain_snapshot,
    contract,
    open_interest,
    session,
    session_contract,
    slot_run,
    underlying,
)
from loaders.ib.errors import NotPermitted
from loaders.ib.planning import capacity, record, stored
from loaders.ib.planning.capacity import SlotPlan
from loaders.ib.planning.day_tasks import LAST_CHANCE, oldest_set
from loaders.ib.planning.request import CLOSE, DISCOVER, ENRICH, day_of, lane, slots_of
from loaders.ib.slots import SLOT_NAME, Session, Slot, date_in_new_york, session_before

DATASETS: tuple[Dataset, ...] = (
    session.DATASET,
    underlying.DATASET,
    contract.DATASET,
    session_contract.DATASET,
    chain_snapshot.DATASET,
    chain_close.DATASET,
    open_interest.DATASET,
    slot_run.DATASET,
    slot_run.EVENTS,
)
Groups = Sequence[tuple[str, ...]]


def plan(run: Context) -> Iterator[Sequence[Unit]]:
    request = run.load.request
    groups = universe.groups(run.settings, request.keys)
    if run.load.retried is not None:
        yield from _retried(run)
    elif request.mode == DISCOVER:
        yield from _discover(run, [symbol for group in groups for symbol in group])
    elif request.mode == CLOSE:
        yield from _close(run, groups)
    elif request.mode == ENRICH:
        yield from _enrich(run, groups)
    elif "retry_missed" in request.options:
        yield from _calendar(run)
        yield from _again(run, last=True)
    else:
        yield from _calendar(run)
        yield from _slots(run, groups)
    if request.mode == CLOSE:
        history_probe.probe(run)


def _events(run: Context, *, last: bool) -> Iterator[Sequence[Unit]]:
    """What the gateway said, where there is something to tell."""
    run.pacing_events()
    run.is_last_step = last
    if run.telling or (run.gone is not None and last):
        yield [Unit("gateway_event", (run.ingest_id,))]


def _calendar(run: Context) -> Iterator[Sequence[Unit]]:
    """The sessions, once a day: what is captured is counted against them."""
    if run.load.cursors("session").get(session.KEY, "") < f"{run.agenda.today}":
        yield [Unit("session", (session.KEY,))]


# -- discovery -------------------------------------------------------------------------------------


def _discover(run: Context, symbols: Sequence[str]) -> Iterator[Sequence[Unit]]:
    """Calendar and stocks, what may be listed of them, what fits a slot, what exists, the frozen set."""
    yield [Unit("session", (session.KEY,))]
    day = day_of(run.load.request)
    if run.now() > run.session(day).close_at:  # a job of an earlier day, tried again
        run.load.warn(f"the session of {day} is over: its contracts stay as they are")
        return
    done, wanted = run.load.cursors("session_contract"), run.load.request.options.get("refresh")
    frozen = wanted or f"{day}"
    in_vain = run.ask(lambda conn: record.looked_for_in_vain(conn, lane(run.load.request)))
    # three that hang end it for those after them: not for the same ones every time
    ordered = sorted(symbols, key=lambda symbol: symbol in in_vain)
    left = tuple(symbol for symbol in ordered if done.get(symbol, "") < frozen)
    if not left:
        return
    yield [Unit("underlying", left)]
    for symbol in left:
        if run.load.cancelling():
            return
        run.found[symbol] = _found(run, symbol)
    refusal = _fit(run)
    if refusal is None:
        yield [Unit("contract", left)]
    yield [Unit("session_contract", left)]
    yield from _events(run, last=True)
    if refusal is not None:
        raise refusal
    counts = run.ask(lambda conn: stored.frozen_counts(conn, day))
    run.load.reporter.line(f"a slot: {_slot_plan(run, counts)}")


def _found(run: Context, symbol: str) -> Found:
    """What may be listed of a symbol."""
    found, day = Found(symbol), day_of(run.load.request)
    found.underlying = run.ask(lambda conn: stored.underlying(conn, symbol))
    if found.underlying is None:
        found.why = str(run.gone) if run.gone else f"the stock {symbol} is not known"
        return found
    if run.gone is not None:
        found.why = str(run.gone)
        return found
    try:
        found.reference = _reference(run, found)
        params = run.gateway.option_params(found.underlying)
        run.answered()
        if not params:
            raise UpstreamError(f"the gateway tells of no options of {symbol}")
    except (UpstreamError, DataQualityError, NotPermitted) as error:
        run.unanswered(symbol, error)
        found.why = str(error)
        return found
    impossible = run.ask(lambda conn: stored.impossible(conn, day, day, symbol))
    lately = run.ask(lambda conn: stored.impossible(conn, oldest_set(day), day, symbol))
    found.candidates, found.further = candidates(
        symbol, found.underlying, found.reference, params, day, run.settings, impossible
    )
    # what takes the place of others is not to be looked for in vain day after day
    found.further = [
        c for c in found.further if (c.trading_class, c.expiry, c.strike, c.right) not in lately
    ]
    return found


def _reference(run: Context, found: Found) -> Reference:
    assert found.underlying is not None
    day = day_of(run.load.request)
    try:
        close = run.gateway.previous_close(found.underlying)
    except (UpstreamError, NotPermitted) as error:
        run.unanswered(found.symbol, error)
        own = run.ask(lambda conn: stored.own_close(conn, found.symbol, day))
        if run.gone is not None or own is None:
            raise
        return Reference(own[0], own[1], "own_close")
    before = session_before(day).trade_date
    return Reference(close.price, close.close_date or before, close.source)


def _fit(run: Context) -> SettingsError | None:
    """Leave out what does not fit a slot beside the contracts of other symbols; or nothing new is taken of any,
    so that older sets stand in, and the error that says so is given back."""
    day = day_of(run.load.request)
    others = run.ask(lambda conn: stored.frozen_counts(conn, day))
    wanted = {symbol: len(found.candidates) for symbol, found in run.found.items()}
    counts = {s: n for s, n in others.items() if s not in wanted} | wanted
    plan = _slot_plan(run, counts)
    if plan.fits:
        return None
    if run.settings.overflow == "refuse":
        refusal = capacity.refuse(plan)
        for found in run.found.values():
            found.why = found.why or str(refusal)
        return refusal
    room = plan.capacity - sum(n for s, n in others.items() if s not in wanted)
    for symbol, most in capacity.shares(wanted, max(room, 0)).items():
        found = run.found[symbol]
        if most < wanted[symbol]:
            kept = capacity.nearest(found.candidates, distances(found), most)
            rest = set(found.candidates) - set(kept)
            left_out = sorted(
                (c for c in found.candidates if c in rest), key=distances(found).__getitem__
            )
            found.candidates, found.further = kept, left_out + found.further
    run.load.warn(f"the chains do not fit a slot, so the nearest strikes are taken: {plan}")
    return None


def _slot_plan(run: Context, counts: Mapping[str, int]) -> SlotPlan:
    """By the time that batches took lately."""
    size = run.settings.max_concurrent_snapshots
    hold_s = run.ask(lambda conn: stored.measured_hold(conn, size))
    return capacity.slot_plan(run.settings, counts, hold_s)


# -- slots -----------------------------------------------------------------------------------------


def _slots(run: Context, groups: Groups) -> Iterator[Sequence[Unit]]:
    """Each slot when it begins; in between, on a whole day, what earlier ones lack."""
    slots, whole_day = slots_of(run.load.request), "run_day" in run.load.request.options
    for slot in slots:
        if whole_day:
            yield from _between(run, slot.at)
            run.gateway.reconnect()  # nothing of an earlier slot is to be remembered
        yield from _slot(run, slot, groups, last=slot == slots[-1])


def _slot(run: Context, slot: Slot, groups: Groups, *, last: bool) -> Iterator[Sequence[Unit]]:
    run.lacking = {}
    run.denied.clear()  # permission may have come back
    keys = [tuple(key_of(symbol, slot) for symbol in group) for group in groups]
    for group in keys:
        yield [Unit("chain_snapshot", group)]
    told = tuple(key for group in keys for key in group)
    yield [Unit("slot_run", told)]
    yield from _events(run, last=last)
    # on a whole day the next slot is tried all the same
    run.gone = run.gone if last else None


def _between(run: Context, until: datetime) -> Iterator[Sequence[Unit]]:
    """Wait for a moment; meanwhile work the queue as it ripens."""
    while (now := run.now()) < until:
        wake = min([until, *(at for at in _chances(run) if at > now)])
        run.waits.until(wake, run.now)
        if run.now() < until:
            yield from _again(run, last=False)
            run.gone = None


def _chances(run: Context) -> list[datetime]:
    """When the queue is worked next, and the last chance before the close."""
    today = run.agenda.today
    waiting = run.ask(lambda conn: stored.queue(conn, today))
    return [
        *(queued.next_try_at for queued in waiting),
        run.session(today).close_at - LAST_CHANCE,
    ]


def _again(run: Context, *, last: bool) -> Iterator[Sequence[Unit]]:
    """What waits in the queue, oldest slot first; five minutes before the close also whatever else the
    last slot before it lacks."""
    waiting = run.ask(lambda conn: stored.queue(conn))
    symbols = [s for group in universe.groups(run.settings, run.load.request.keys) for s in group]
    run.missed, run.lacking = {}, {}
    run.queue_until, today = run.before_next_slot(run.now()), run.agenda.today
    for queued in waiting:
        # of a session that is over it is given up, whoever is asked for now
        if queued.symbol not in symbols and date_in_new_york(queued.sample_time) >= today:
            continue
        key = f"{queued.symbol} {queued.sample_time.strftime(SLOT_NAME)}"
        run.missed.setdefault(key, []).append(queued)
        run.lacking.setdefault(key, set()).add(queued.conid)
    for key, conids in last_chance(run, symbols).items():
        run.lacking.setdefault(key, set()).update(conids)
    keys = sorted(run.lacking, key=moment_of)
    if not keys:
        return
    for _, of_slot in groupby(keys, moment_of):
        yield [Unit("chain_snapshot", tuple(of_slot))]
    yield [Unit("slot_run", tuple(keys))]
    yield from _events(run, last=last)


def last_chance(run: Context, symbols: Sequence[str]) -> dict[str, set[int]]:
    """Contracts that the last slot before the close lacks, by key, within five minutes of the close."""
    slot = run.agenda.last_chance()
    if slot is None:
        return {}
    chains = run.chains(slot.trade_date, symbols)
    have = run.ask(
        lambda conn: stored.captured(conn, "chain_snapshot", slot.trade_date, slot.at, symbols)
    )
    lacking = {
        key_of(symbol, slot): {
            c.conid
            for c in chain.contracts
            if c.conid not in have
            or (have[c.conid]["snapshot_error"] and not is_silent(have[c.conid]))
        }
        for symbol, chain in chains.items()
    }
    return {key: conids for key, conids in lacking.items() if conids}


# -- close, open interest, retry -------------------------------------------------------------------


def _close(run: Context, groups: Groups) -> Iterator[Sequence[Unit]]:
    yield from _calendar(run)
    of: Session = run.session(day_of(run.load.request))
    keys = [tuple(key_of(symbol, of) for symbol in group) for group in groups]
    for group in keys:
        yield [Unit("chain_close", group)]
    told = tuple(key for group in keys for key in group)
    yield [Unit("slot_run", told)]
    yield from _events(run, last=True)


def _enrich(run: Context, groups: Groups) -> Iterator[Sequence[Unit]]:
    of: Session = run.session(day_of(run.load.request))
    for group in groups:
        yield [Unit("open_interest", tuple(key_of(symbol, of) for symbol in group))]
    yield from _events(run, last=True)


def _retried(run: Context) -> Iterator[Sequence[Unit]]:
    """What is left of a job. Discovery is asked for as a whole: each part stands on those before it."""
    tasks = [task for task in run.load.retried or () if task.keys]
    if run.load.request.mode == DISCOVER:
        symbols = dict.fromkeys(
            key
            for task in tasks
            if task.dataset not in ("session", "gateway_event")
            for key in task.keys
        )
        yield from _discover(run, list(symbols))
        return
    captured = [t for t in tasks if t.dataset not in ("slot_run", "gateway_event", "session")]
    if "retry_missed" in run.load.request.options:
        yield from _again(run, last=True)
        return
    for task in captured:
        yield [Unit(task.dataset, task.keys)]
    told = tuple(k for t in captured if t.dataset != "open_interest" for k in t.keys)
    if told:
        yield [Unit("slot_run", told)]
    yield from _events(run, last=True)


def waits_of(settings_waits: Sequence[float], grace: float) -> list[float]:
    """The pauses before a first connection that end within a slot's grace."""
    found, total = [], 0.0
    for seconds in settings_waits:
        total += seconds
        if total > grace:
            break
        found.append(seconds)
    return found
