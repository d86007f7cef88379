"""Datasets `tick_index` and `no_data_day`: the landed copies of the store's records.

Changes without a download are made in the store first; then the copies that lag land.
`--dataset tick_index` alone makes raw_tq.symbol_day again from the store's own index rows.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import NO_DATA_DAY, SYMBOL_DAY, TICK_REVISION
from loaders.tq.tick_days.ledger import copy_no_data, make_copy, revision_record
from loaders.tq.tick_days.schedule import parse_key


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Change the store where needed, then yield the copies of its rows."""
    days = {text: parse_key(text) for text in keys}
    changes = {key: ctx.changes[key] for key in days.values() if key in ctx.changes}
    ctx.index.change(changes, ctx.load.clock())
    scheduled = {(day.symbol, day.trading_day): day for day in ctx.schedule.values()}
    at = ctx.ledger_time
    for text, key in days.items():
        old, stored, beside = ctx.ledger.get(key), ctx.index.rows.get(key), []
        row = ctx.ledger[key] = make_copy(old, stored)
        if old is not None and old.is_visible and stored is not None and not stored.is_visible:
            new = scheduled.get((key.symbol, key.trading_day))
            held = ctx.stored_day(new.key) if new else None
            beside = [revision_record(old, new, held.row_hash if held else None, at)]
        yield Outcome(text, [row.as_record(at)], beside=beside)


def fetch_no_data(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Copy the store's days without ticks; days that it has no more are superseded."""
    rows, copies = ctx.no_data.on_record, ctx.no_data_copies
    lineage = {"source_route": "ticks", "fetched_at": ctx.ledger_time, "is_final": True}
    for text in keys:
        key = parse_key(text)
        if key in rows:
            copy = copies[key] = copy_no_data(rows[key])
        else:
            copy = copies.pop(key) | {"status": "superseded"}
        yield Outcome(text, [copy | lineage])


DATASET = Dataset(
    "tick_index",
    SYMBOL_DAY,
    "index",
    fetch,
    beside=TICK_REVISION,
    keys=Keys(part="index", row_key=itemgetter("symbol")),
)
NO_DATA = Dataset("no_data_day", NO_DATA_DAY, "ticks", fetch_no_data)
