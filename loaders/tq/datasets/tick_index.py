"""Datasets `tick_index` and `no_data_day`: copies of what the tick store says of its days, for dbt.

The store's own are the ones that count. Only rows that differ are copied, so `--dataset tick_index`
makes the copy again from nothing.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from loaders.engine.outcome import Outcome, records
from loaders.tq.context import Context, Dataset
from loaders.tq.tables import NO_DATA_DAY, SYMBOL_DAY, TICK_REVISION
from loaders.tq.tick_days.backlog import Scheduled, parsed_key
from loaders.tq.tick_days.index_rows import no_data_copies, revision, route_of, row_of


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    rows = run.ledgers.index
    now = {(day.symbol, day.trading_day): day for day in run.schedule.values()}
    at: datetime = run.load.clock()
    for text in keys:
        key = parsed_key(text)
        old, row = run.copies.get(key), rows.get(key)
        if row is None:  # the store is another one, or lost it: it is missing, and fetched again
            assert old is not None
            lost = old | {"status": "superseded"}
            run.copies[key] = lost
            yield Outcome(text, [lost | {"fetched_at": at, "is_final": True}])
            continue
        new: Scheduled | None = now.get((key.symbol, key.trading_day))
        beside = []
        if row.status == "superseded" and old is not None and old["status"] == "complete":
            there = rows.get(new.key) if new else None
            taken = there.row_hash if there and there.status == "complete" else None
            beside = [revision(old, new, taken, at)]
        run.copies[key] = row_of(row, route_of(old, row, "index"), at)
        yield Outcome(text, [run.copies[key]], beside=beside)


def fetch_no_data(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Of days of which ticks have come since, or that the store has lost, the copy says superseded."""
    copied = run.ask(lambda conn: no_data_copies(conn, run.symbols))
    at = run.load.clock()
    for text in keys:
        key = parsed_key(text)
        row = run.ledgers.without(key)
        if row is not None and row.status == "no_data":
            yield Outcome(text, [row_of(row, "ticks", at)])
        else:
            lineage = {"source_route": "ticks", "fetched_at": at, "is_final": True}
            yield Outcome(text, [copied[key] | {"status": "superseded"} | lineage])


DATASET = Dataset(
    "tick_index",
    SYMBOL_DAY,
    "index",
    fetch,
    records,
    part="index",
    key_of=lambda row: str(row["symbol"]),
    beside=TICK_REVISION,
)
NO_DATA = Dataset("no_data_day", NO_DATA_DAY, "ticks", fetch_no_data, records)
