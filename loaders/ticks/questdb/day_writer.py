"""Days of ticks into QuestDB's table, together.

A partition is a UTC day of all series. A transaction whose rows do not come after all of its rows
rewrites it, so days that share partitions are written in one transaction; the server appends rows
that come in the order of their stamps, and sorts others in memory.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from loaders.ticks.frame import DayKey, key_of, window
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.questdb.rows import (
    as_stored,
    day_condition,
    find_replaced,
    iso,
    number_to_date,
    stored_schema,
    with_flag,
)
from loaders.ticks.tables import MAIN_TICKS

PART_ROWS = 200_000


def rows_to_write(http: QuestdbHttp, days: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The rows of days, and flagged those that they replace, in parts by the order of time."""
    held = _find_held(http, [key_of(day) for day in days])
    tables = [as_stored(MAIN_TICKS, with_flag(day)) for day in days]
    for day in days:
        if key_of(day) in held:
            tables.append(_surplus(http, day, key_of(day)))
    return merge_by_time(tables)


def merge_by_time(tables: Sequence[pa.Table], rows: int = PART_ROWS) -> Iterator[pa.Table]:
    """The rows of tables by `ts`, about so many at a time; equal stamps stay in their order."""
    tables = [_sorted(table) for table in tables if table.num_rows]
    stamps = [_stamps(table) for table in tables]
    every = np.sort(np.concatenate(stamps))
    ends = [np.searchsorted(own, np.unique(every[rows::rows])) for own in stamps]
    cuts = [[0, *end, table.num_rows] for end, table in zip(ends, tables, strict=True)]
    for spans in zip(*map(pairwise, cuts), strict=True):
        slices = [
            table.slice(first, last - first)
            for table, (first, last) in zip(tables, spans, strict=True)
        ]
        yield _sorted(pa.concat_tables(slices).combine_chunks())


def _sorted(table: pa.Table) -> pa.Table:
    stamps = _stamps(table)
    if (np.diff(stamps) >= 0).all():
        return table
    return table.take(pa.array(np.argsort(stamps, kind="stable")))


def _stamps(table: pa.Table) -> Any:
    return table["ts"].cast(pa.int64()).to_numpy()


def _find_held(http: QuestdbHttp, keys: Sequence[DayKey]) -> set[DayKey]:
    """Those of the days on which their series has visible rows, of any contract.

    Even an outdated answer will do: no visible row leaves no surplus.
    """
    ends = [end for key in keys for end in window(key.trading_day)]
    numbers = ", ".join(sorted({f"{key.trading_day:%Y%m%d}" for key in keys}))
    rows = http.rows(
        f"select distinct symbol, trading_day from {MAIN_TICKS.name} "
        f"where ts >= '{iso(min(ends))}' and ts < '{iso(max(ends))}' "
        f"and trading_day in ({numbers}) and not is_deleted"
    )
    held = {(row["symbol"], number_to_date(row["trading_day"])) for row in rows}
    return {key for key in keys if (key.symbol, key.trading_day) in held}


def _surplus(http: QuestdbHttp, day: pa.Table, key: DayKey) -> pa.Table:
    """Visible rows of the day that the new one does not have, flagged."""
    # all contracts: nothing else may be visible on the day
    where = day_condition(key.symbol, None, key.trading_day)
    places = "ts, seq, underlying_contract"
    old = http.table(f"select {places} from {MAIN_TICKS.name} where {where}")
    if not find_replaced(old, day, key).any():
        return stored_schema(MAIN_TICKS).empty_table()
    columns = ", ".join(MAIN_TICKS.names)
    old = http.table(f"select {columns} from {MAIN_TICKS.name} where {where}")
    surplus = old.filter(pa.array(find_replaced(old, day, key)))
    position = surplus.schema.get_field_index("is_deleted")
    flags = pa.repeat(True, surplus.num_rows)
    return surplus.set_column(position, "is_deleted", flags).cast(stored_schema(MAIN_TICKS))
