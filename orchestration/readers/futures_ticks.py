"""Ticks of the main contracts of futures, from QuestDB or the warehouse."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from loaders.errors import UsageError
from loaders.settings import Settings
from loaders.ticks.frame import TICKS
from loaders.ticks.open_store import open_store
from loaders.ticks.store import IndexRow
from loaders.warehouse.postgres import Warehouse
from orchestration.readers.listed import find_listed, require_known

MAIN = "KQ.m@"


def stream_ticks(
    settings: Settings,
    warehouse: Warehouse,
    variety: str,
    *,
    start: date | None = None,
    end: date | None = None,
    columns: Sequence[str] = (),
) -> pa.RecordBatchReader:
    """Ticks of a variety such as SHFE.cu, a trading day at a time, by time.

    Columns: as of TICKS; `ts` in UTC, volume and amount those of the trading day so far. Both
    trading days are included. Raises NotListed for a variety without ticks, UsageError for days
    that are archived and unknown columns, StoreError where the store is away.
    """
    require_known("column", columns, TICKS.names)
    store = open_store(settings, warehouse)
    try:
        # the first load makes the tables
        rows = store.index() if store.summary().days else []
        days = _list_days(rows, variety, start, end)
    except BaseException:
        store.close()
        raise
    schema = pa.schema([TICKS.field(name) for name in columns or TICKS.names])

    def read() -> Iterator[pa.RecordBatch]:
        try:
            for day in days:
                yield from store.read_day(day.key, columns, span=day.span).to_batches()
        finally:
            store.close()

    return pa.RecordBatchReader.from_batches(schema, read())


def _list_days(
    rows: list[IndexRow], variety: str, start: date | None, end: date | None
) -> list[IndexRow]:
    days = [row for row in rows if row.is_visible]
    known = sorted({row.symbol.removeprefix(MAIN) for row in days})
    name = find_listed(variety, known, "there are no ticks of")
    chosen = [
        row
        for row in days
        if row.symbol.removeprefix(MAIN) == name
        and (start is None or row.trading_day >= start)
        and (end is None or row.trading_day <= end)
    ]
    if archived := [row.trading_day for row in chosen if row.is_archived]:
        since, until = min(archived), max(archived)
        raise UsageError(
            f"ticks of {len(archived)} days, {since} to {until}, are in files of the archive",
            hint=f"quotemill ticks restore --since {since} --until {until}",
        )
    return sorted(chosen, key=lambda row: (row.trading_day, row.contract))
