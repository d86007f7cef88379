"""Datasets `tick_index` and `no_data_day`: copies of what the tick store says of its days, for dbt.

The store's own are the ones that count. Only rows that differ are copied, so `--dataset tick_index`
makes the copy again from nothing.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from loaders.engine.outcome import Outcome, records
from loaders.tq.backlog import Scheduled, key_of, parsed_key
from loaders.tq.context import Context, Dataset
from loaders.tq.index import revision, row_of
from loaders.tq.schemas import NO_DATA_DAY, SYMBOL_DAY, TICK_REVISION


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    assert run.store is not None
    rows = {key_of(row): row for row in run.store.index(run.symbols)}
    now = {(day.symbol, day.trading_day): day for day in run.schedule.values()}
    at: datetime = run.load.clock()
    for text in keys:
        key = parsed_key(text)
        old, row = run.copies.get(key), rows.get(key)
        if row is None:  # the store is another one, or lost it: it is missing, and fetched again
            assert old is not None
            lost = old | {"status": "superseded", "source_route": "index"}
            run.copies[key] = lost
            yield Outcome(text, [lost | {"fetched_at": at, "is_final": True}])
            continue
        new: Scheduled | None = now.get((key.symbol, key.trading_day))
        beside = []
        if row.status == "superseded" and old is not None and old["status"] == "complete":
            there = rows.get(new.key) if new else None
            beside = [revision(old, new, there.row_hash if there else None, at)]
        run.copies[key] = row_of(row, "index", at)
        yield Outcome(text, [run.copies[key]], beside=beside)


def fetch_no_data(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    assert run.store is not None
    rows = {key_of(row): row for row in run.store.no_data(run.symbols)}
    for text in keys:
        yield Outcome(text, [row_of(rows[parsed_key(text)], "ticks", run.load.clock())])


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
