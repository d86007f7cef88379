"""Dataset `chain_snapshot`: every contract of the session's set at a slot, and again what a slot lacks.

Keys are `AAPL 2026-11-19T15:00Z`. A contract that answered nothing is a row with its error; what may still
be had waits in the queue beside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from loaders.engine.outcome import NOT_DUE, Outcome, records
from loaders.ib.capture import silent_contracts
from loaders.ib.capture.rows import INTRADAY, RECAPTURE
from loaders.ib.capture.slot_capture import Moment, captured, expired, key_of, moment_of, symbol_of
from loaders.ib.context import Context, Dataset
from loaders.ib.slots import Slot, date_in_new_york, slot_at
from loaders.ib.tables import CHAIN_SNAPSHOT
from loaders.ib.tables import RECAPTURE as QUEUE

NO_SLOT = "no_slot"  # reason of what waited for a moment that the calendar lost


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for name, of_slot in groupby(keys, moment_of):
        slot, symbols = slot_at(name), [symbol_of(key) for key in of_slot]
        if slot is None:
            yield from (_lost(run, name, symbol) for symbol in symbols)
            continue
        over = run.now() > run.agenda.last_call(run.session(slot.trade_date))
        # further symbols of a slot that was begun in time belong to it, however long it takes
        if over and name not in run.begun:
            yield from (_expired(run, slot, symbol) for symbol in symbols)
        elif run.lacking:
            yield from _again(run, slot, symbols)
        else:
            yield from _whole(run, slot, symbols)
        if run.load.cancelling():
            return


def _whole(run: Context, slot: Slot, symbols: Sequence[str]) -> Iterator[Outcome]:
    chains = run.chains(slot.trade_date, symbols)
    contracts = {symbol: chain.contracts for symbol, chain in chains.items()}
    moment = Moment(
        *(slot, CHAIN_SNAPSHOT.name, INTRADAY),
        *(run.settings.market_data_type, run.begun.setdefault(slot.name, run.deadline(slot))),
    )
    return captured(run, moment, chains, symbols, contracts)


def _again(run: Context, slot: Slot, symbols: Sequence[str]) -> Iterator[Outcome]:
    """Just the contracts that the slot lacks, and not those that never tick; once the next slot is near they
    wait on."""
    until = run.queue_until or run.deadline(slot)
    if run.now() >= until:
        return iter([Outcome(key_of(symbol, slot), skipped=NOT_DUE) for symbol in symbols])
    chains = run.chains(slot.trade_date, symbols)
    silent = run.ask(lambda conn: silent_contracts.silent(conn, slot.trade_date, symbols))
    contracts = {
        symbol: [
            c
            for c in chain.contracts
            if c.conid in run.lacking[key_of(symbol, slot)] and c.conid not in silent
        ]
        for symbol, chain in chains.items()
    }
    moment = Moment(
        *(slot, CHAIN_SNAPSHOT.name, RECAPTURE),
        *(run.settings.market_data_type, until),
    )
    return captured(run, moment, chains, symbols, contracts)


def _lost(run: Context, name: str, symbol: str) -> Outcome:
    """The calendar changed since: what waited for a moment that is no slot any more is given up."""
    key, why = f"{symbol} {name}", f"the calendar has no slot at {name}"
    waiting = run.missed.get(key, [])
    rows = [
        expired(run, date_in_new_york(q.sample_time), replace(q, reason=NO_SLOT)) for q in waiting
    ]
    if rows:
        run.load.warn(f"{symbol}: {why} any more: {len(rows):,} contracts that waited are given up")
    return Outcome(key, [], skipped=None if rows else why, beside=rows)


def _expired(run: Context, slot: Slot, symbol: str) -> Outcome:
    """A quote of a session that is over cannot be had: what waited for it is given up."""
    key = key_of(symbol, slot)
    why = (
        f"the session of {slot.trade_date} is over: a quote of {slot.label} cannot be had any more"
    )
    waiting = run.missed.get(key, [])
    rows = [expired(run, slot.trade_date, queued) for queued in waiting]
    return Outcome(key, [], skipped=None if rows else why, beside=rows)


DATASET = Dataset(
    "chain_snapshot",
    CHAIN_SNAPSHOT,
    "market_data",
    fetch,
    records,
    key_of=lambda row: str(row["symbol"]),
    beside=QUEUE,
)
