"""Days of ticks into QuestDB's table, together, and what readers see of them.

A partition is a UTC day of all series. A transaction whose rows do not come after all of its rows
rewrites it, so days that share partitions are written in one transaction; the server appends rows
that come in the order of their stamps, and sorts others in memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks.frame import key_of
from loaders.ticks.questdb.ranges import measure_ticks
from loaders.ticks.questdb.rows import (
    as_stored,
    day_condition,
    find_replaced,
    near_condition,
    series_condition,
    with_flag,
)
from loaders.ticks.store import Measured, MeasuredTicks
from loaders.ticks.tables import MAIN_TICKS
from loaders.trading_time import number_to_date
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import QuestdbHttp

PART_ROWS = 200_000


def rows_to_write(http: QuestdbHttp, days: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """The rows of days, and flagged those that they replace, in parts by the order of time."""
    held = _find_held(http, [key_of(day) for day in days])
    surplus = _find_surplus(http, [day for day in days if key_of(day) in held])
    tables = [*map(with_flag, days), *surplus]
    return (as_stored(MAIN_TICKS, part) for part in merge_by_time(tables))


def measure_written(http: QuestdbHttp, days: Sequence[pa.Table]) -> list[list[MeasuredTicks]]:
    """What readers see of each series and day, of any contract and stamp; one query for all."""
    keys = [key_of(day) for day in days]
    series: dict[date, set[str]] = defaultdict(set)
    for key in keys:
        series[key.trading_day].add(key.symbol)
    either = " or ".join(
        f"(trading_day = {day:%Y%m%d} and {series_condition(symbols)})"
        for day, symbols in series.items()
    )
    seen: dict[tuple[str, date], list[MeasuredTicks]] = defaultdict(list)
    for part in measure_ticks(http, MAIN_TICKS.name, f"{near_condition(*series)} and ({either})"):
        seen[part.symbol, part.trading_day].append(part)
    return [seen[key.symbol, key.trading_day] for key in keys]


def as_seen(day: pa.Table, sent: Measured) -> MeasuredTicks:
    """What readers must see of a day that was sent: all of it, with its contract and stamp."""
    segment, schedule_hash = (day[name][0].as_py() for name in ("segment_id", "schedule_hash"))
    assert sent.first_ts is not None, "a day has a tick"
    assert sent.last_ts is not None
    ends = (sent.first_ts, sent.last_ts)
    return MeasuredTicks(*key_of(day), segment, schedule_hash, sent.rows, *ends, sent.hash_a)


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
    rows = http.rows(
        f"select distinct symbol, trading_day from {MAIN_TICKS.name} "
        f"where {near_condition(*{key.trading_day for key in keys})} and not is_deleted"
    )
    held = {(row["symbol"], number_to_date(row["trading_day"])) for row in rows}
    return {key for key in keys if (key.symbol, key.trading_day) in held}


def _find_surplus(http: QuestdbHttp, days: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """Visible rows of these days that the new ones do not have, flagged."""
    by_date: dict[date, list[pa.Table]] = defaultdict(list)
    for day in days:
        by_date[key_of(day).trading_day].append(day)
    for trading_day, new in by_date.items():
        # all contracts: nothing else may be visible on the day
        series = series_condition({key_of(day).symbol for day in new})
        old = http.table(
            f"select ts, symbol, underlying_contract, seq from {MAIN_TICKS.name} "
            f"where {near_condition(trading_day)} and {series} and not is_deleted"
        )
        for day in new:
            places = old.filter(pc.equal(old["symbol"], key_of(day).symbol))
            if find_replaced(places, day, key_of(day)).any():
                yield _flag_surplus(http, day, key_of(day))


def _flag_surplus(http: QuestdbHttp, day: pa.Table, key: DayKey) -> pa.Table:
    where = day_condition(key.symbol, None, key.trading_day)
    columns = ", ".join(MAIN_TICKS.names)
    old = http.table(f"select {columns} from {MAIN_TICKS.name} where {where}")
    surplus = old.filter(pa.array(find_replaced(old, day, key)))
    made = {
        "trading_day": pa.repeat(pa.scalar(key.trading_day), surplus.num_rows),
        "is_deleted": pa.repeat(True, surplus.num_rows),
    }
    return pa.table(
        [made.get(name, surplus[name]) for name in surplus.column_names],
        names=surplus.column_names,
    ).cast(MAIN_TICKS.schema)
