"""Datasets `tick_index` and `no_data_day`.

Changes of the ledger without a download, and the copy of the store's days without ticks.

`--dataset tick_index` alone makes the ledger again from the store's own index rows.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

from loaders.engine.outcome import Outcome
from loaders.ticks.store import Stamp
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import NO_DATA_DAY, SYMBOL_DAY, TICK_REVISION
from loaders.tq.tick_days.backlog import find_store_changes
from loaders.tq.tick_days.ledger import LedgerRow, no_data_record, read_no_data, revision_record
from loaders.tq.tick_days.no_data_days import ON_RECORD
from loaders.tq.tick_days.schedule import parse_key
from quotemill.ticks.columns import DayKey


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Change the store where needed, then yield the rows of the ledger."""
    changes = {key: ctx.changes[key] for key in map(parse_key, keys)}
    _change_store(ctx, changes)
    scheduled = {(day.symbol, day.trading_day): day for day in ctx.schedule.values()}
    at = ctx.ledger_time
    for text, (key, row) in zip(keys, changes.items(), strict=True):
        old, beside = ctx.ledger.get(key), []
        is_taken_out = row.status == "superseded" and key in ctx.stored
        if is_taken_out and old is not None and old.is_visible:
            new = scheduled.get((key.symbol, key.trading_day))
            held = new and (ctx.changes.get(new.key) or ctx.ledger.get(new.key))
            new_hash = held.row_hash if held and held.is_visible else None
            beside = [revision_record(old, new, new_hash, at)]
        yield Outcome(text, [row.as_record(at)], beside=beside)


def _change_store(ctx: Context, changes: Mapping[DayKey, LedgerRow]) -> None:
    assert ctx.store is not None
    taken_out, restamped, judged = find_store_changes(changes, ctx.stored)
    stamps: dict[tuple[str, str], list[Stamp]] = defaultdict(list)
    for row in restamped:
        stamps[row.symbol, row.contract].append(row.stamp)
    for (symbol, contract), days in stamps.items():
        ctx.store.restamp(symbol, contract, days)
    for key in taken_out:
        ctx.store.supersede(*key)
    if judged:
        now = ctx.load.clock()
        ctx.store.put_index(
            [replace(ctx.stored[row.key], **row.shared_fields, updated_at=now) for row in judged]
        )


def fetch_no_data(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Copy the store's days without ticks; days that it has no more are superseded."""
    copies = ctx.ask(lambda conn: read_no_data(conn, ctx.symbols))
    at = ctx.ledger_time
    for text in keys:
        key = parse_key(text)
        row = ctx.no_data.get(key)
        if row is not None and row.status in ON_RECORD:
            yield Outcome(text, [no_data_record(row, at)])
        else:
            lineage = {"source_route": "ticks", "fetched_at": at, "is_final": True}
            yield Outcome(text, [copies[key] | {"status": "superseded"} | lineage])


DATASET = Dataset(
    "tick_index",
    SYMBOL_DAY,
    "index",
    fetch,
    part="index",
    key_of=itemgetter("symbol"),
    beside=TICK_REVISION,
)
NO_DATA = Dataset("no_data_day", NO_DATA_DAY, "ticks", fetch_no_data)
