"""Dataset `chain_snapshot`: every contract of the session's set at a slot, and what a slot lacks.

Keys are `AAPL 2026-11-19T15:00Z`. A contract that answered nothing is a row with its error; what
can still be captured waits in the queue beside.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.source import Keys, Moment
from loaders.ib.capture import outcomes
from loaders.ib.capture.outcomes import Target, capture, make_queue_row
from loaders.ib.capture.rows import INTRADAY, RECAPTURE
from loaders.ib.client.values import OptionContract
from loaders.ib.context import Context, Dataset
from loaders.ib.queries.landed import Chain, read_captures
from loaders.ib.queries.silent_contracts import read_silent
from loaders.ib.slots import (
    Slot,
    date_in_new_york,
    find_slot,
    make_key,
    parse_point,
    parse_symbol,
)
from loaders.ib.tables import CHAIN_SNAPSHOT
from loaders.ib.tables import RECAPTURE as QUEUE

NO_SLOT = "no_slot"  # reason of rows whose slot the calendar no longer has


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for name, slot_keys in groupby(keys, parse_point):
        slot, symbols = find_slot(name), [parse_symbol(key) for key in slot_keys]
        if slot is None:
            yield from (_give_up_unknown_slot(ctx, name, symbol) for symbol in symbols)
        elif _is_over(ctx, slot):
            yield from (_give_up(ctx, slot, symbol) for symbol in symbols)
        elif ctx.missing:
            yield from _capture_missing(ctx, slot, symbols)
        else:
            yield from _capture_slot(ctx, slot, symbols)
        if ctx.load.cancelling():
            return


def leave(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for name, slot_keys in groupby(keys, parse_point):
        slot, symbols = find_slot(name), [parse_symbol(key) for key in slot_keys]
        if slot is not None and not _is_over(ctx, slot):
            chains = ctx.chains(slot.trade_date, symbols)
            yield outcomes.leave(
                ctx,
                _make_target(ctx, slot),
                chains=chains,
                symbols=symbols,
                contracts=_find_missing(ctx, slot, chains)
                if ctx.missing
                else outcomes.find_all(chains),
            )


def _is_over(ctx: Context, slot: Slot) -> bool:
    """Whether a quote would come too late for a slot: it would stand for an early one.

    Further symbols of a slot that began in time belong to it, however long it takes.
    """
    return ctx.timetable.is_over(slot.at) and (
        bool(ctx.missing) or slot.name not in ctx.slot_deadlines
    )


def _make_target(ctx: Context, slot: Slot) -> Target:
    if ctx.missing:
        run_type, deadline = RECAPTURE, ctx.queue_until or ctx.deadline(slot)
    else:
        run_type = INTRADAY
        deadline = ctx.slot_deadlines.setdefault(slot.name, ctx.deadline(slot))
    return Target(
        slot,
        CHAIN_SNAPSHOT.name,
        run_type=run_type,
        market_data_type=ctx.settings.market_data_type,
        deadline=deadline,
    )


def _find_missing(
    ctx: Context, slot: Slot, chains: Mapping[str, Chain]
) -> dict[str, Sequence[OptionContract]]:
    """Contracts that the slot lacks and that tick."""
    silent = ctx.ask(lambda conn: read_silent(conn, slot.trade_date, list(chains)))
    return {
        symbol: [
            c
            for c in chain.contracts
            if c.conid in ctx.missing[make_key(symbol, slot)] and c.conid not in silent
        ]
        for symbol, chain in chains.items()
    }


def _capture_slot(ctx: Context, slot: Slot, symbols: Sequence[str]) -> Iterator[Outcome]:
    chains = ctx.chains(slot.trade_date, symbols)
    target = _make_target(ctx, slot)
    settled = _read_good(ctx, slot, _find_cut_off(ctx, slot, symbols))
    return capture(
        ctx,
        target,
        chains=chains,
        symbols=symbols,
        contracts=outcomes.find_all(chains),
        settled=settled,
    )


def _find_cut_off(ctx: Context, slot: Slot, symbols: Sequence[str]) -> list[str]:
    """Symbols whose capture of the slot has not ended: one that was cut off goes on."""
    cursors = ctx.load.cursors(CHAIN_SNAPSHOT.name)
    return [symbol for symbol in symbols if cursors.get(symbol, "") < slot.name]


def _read_good(ctx: Context, slot: Slot, symbols: Sequence[str]) -> set[int]:
    """Contracts of some symbols that have a quote in the slot."""
    day, table = slot.trade_date, CHAIN_SNAPSHOT.name
    stored = ctx.ask(lambda conn: read_captures(conn, table, day, slot.at, symbols))
    return {conid for conid, row in stored.items() if not row["snapshot_error"]}


def _capture_missing(ctx: Context, slot: Slot, symbols: Sequence[str]) -> Iterator[Outcome]:
    """Contracts that the slot lacks; they wait on once the next slot is near."""
    target = _make_target(ctx, slot)
    if ctx.now() >= target.deadline:
        return iter([Outcome(make_key(symbol, slot), skipped=NOT_DUE) for symbol in symbols])
    chains = ctx.chains(slot.trade_date, symbols)
    contracts = _find_missing(ctx, slot, chains)
    good = _read_good(ctx, slot, symbols)
    answering = [[c for c in chain.contracts if c.conid in good] for chain in chains.values()]
    return capture(
        ctx,
        target,
        chains=chains,
        symbols=symbols,
        contracts=contracts,
        controls=[listed[0] for listed in answering if listed and contracts[listed[0].symbol]],
    )


def _give_up_unknown_slot(ctx: Context, name: str, symbol: str) -> Outcome:
    """Give up what waited for a slot that the calendar has lost since."""
    key, why = f"{symbol} {name}", f"the calendar has no slot at {name}"
    rows = [
        make_queue_row(ctx, date_in_new_york(q.sample_time), replace(q, reason=NO_SLOT), "expired")
        for q in ctx.queued.get(key, [])
    ]
    if rows:
        ctx.load.warn(f"{symbol}: {why} any more: {len(rows):,} contracts that waited are given up")
    return Outcome(key, [], skipped=None if rows else why, beside=rows)


def _give_up(ctx: Context, slot: Slot, symbol: str) -> Outcome:
    """Give up what waited for a quote of a slot that is over."""
    key, day = make_key(symbol, slot), slot.trade_date
    why = f"the slot {slot.label} of {day} is over: its quotes cannot be had any more"
    rows = [make_queue_row(ctx, day, queued, "expired") for queued in ctx.queued.get(key, [])]
    return Outcome(key, [], skipped=None if rows else why, beside=rows)


DATASET = Dataset(
    "chain_snapshot",
    CHAIN_SNAPSHOT,
    "market_data",
    fetch,
    beside=QUEUE,
    keys=Keys(row_key=itemgetter("symbol")),
    moment=Moment(leave),
)
