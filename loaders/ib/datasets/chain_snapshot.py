"""Dataset `chain_snapshot`: every contract of the session's set at a slot, or what a slot lacks.

Keys are `AAPL 2026-11-19T15:00Z`. A contract that was requested and answered nothing is a row with
its error. A slot lacks the contracts that have no row, or whose error may pass. Beside the rows
lands the tally of each symbol.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.ib.capture.outcomes import Target, capture
from loaders.ib.capture.rows import INTRADAY, RECAPTURE
from loaders.ib.client.values import OptionContract
from loaders.ib.context import Context, Dataset
from loaders.ib.queries.landed import read_captures
from loaders.ib.slots import Slot, find_slot, parse_point, parse_symbol
from loaders.ib.tables import CHAIN_SNAPSHOT, SLOT_RUN


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for name, slot_keys in groupby(keys, parse_point):
        slot, listed = find_slot(name), list(slot_keys)
        if slot is None:
            why = f"the calendar has no slot at {name}"
        elif _is_over(ctx, slot):
            day = slot.trade_date
            why = f"the slot {slot.label} of {day} has ended: its quotes are no longer available"
        else:
            yield from _capture_slot(ctx, slot, [parse_symbol(key) for key in listed])
            if ctx.load.cancelling():
                return
            continue
        yield from (Outcome(key, skipped=why) for key in listed)


def _is_over(ctx: Context, slot: Slot) -> bool:
    """Whether a quote would come too late for a slot: it would stand for an early one.

    Further symbols of a slot that began in time belong to it, however long it takes.
    """
    return ctx.timetable.is_over(slot.at) and slot.name not in ctx.slot_deadlines


def _capture_slot(ctx: Context, slot: Slot, symbols: Sequence[str]) -> Iterator[Outcome]:
    chains = ctx.chains(slot.trade_date, symbols)
    contracts: Mapping[str, Sequence[OptionContract]]
    settled = set[int]()
    if ctx.completes:
        contracts = ctx.find_lacking(slot, symbols)
    else:
        contracts = {symbol: chain.contracts for symbol, chain in chains.items()}
        settled = _read_good(ctx, slot, _find_cut_off(ctx, slot, symbols))
    target = Target(
        slot,
        CHAIN_SNAPSHOT.name,
        run_type=RECAPTURE if ctx.completes else INTRADAY,
        market_data_type=ctx.settings.market_data_type,
        deadline=ctx.slot_deadlines.setdefault(slot.name, ctx.deadline(slot)),
    )
    return capture(
        ctx, target, chains=chains, symbols=symbols, contracts=contracts, settled=settled
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


DATASET = Dataset(
    "chain_snapshot",
    CHAIN_SNAPSHOT,
    "market_data",
    fetch,
    beside=SLOT_RUN,
    keys=Keys(row_key=itemgetter("symbol")),
    recurs=False,
)
