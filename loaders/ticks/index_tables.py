"""Conversion of a store's index, schedule and no-data rows to and from Arrow."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import numpy as np
import pyarrow as pa

from loaders.ticks.store import SCHEDULE, TICKS_KIND, IndexRow, NoDataRow
from loaders.ticks.tables import DAY_INDEX, MAIN_SCHEDULE, NO_DATA_DAYS
from loaders.trading_time import SHANGHAI

# the StoreSummary of a DAY_INDEX; `{}` names it
SUMMARY = """
    select
        count(distinct symbol) as series, count(*) as days, sum(rows) as ticks,
        max(trading_day) as last_day
    from {} where status in ('complete', 'short')
"""
# the VisibleTicks of a MAIN_TICKS; the first `{}` names it, the second restricts its rows
VISIBLE = """
    select symbol, underlying_contract, trading_day, segment_id, schedule_hash, count(*) as n
    from {} where {} and not is_deleted
    group by symbol, underlying_contract, trading_day, segment_id, schedule_hash
"""


def midnight(day: date) -> datetime:
    """`ts` of a day in the tables that have a row per day."""
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


def index_table(rows: Sequence[IndexRow]) -> pa.Table:
    """DAY_INDEX of the rows."""
    return pa.Table.from_pylist(
        [
            vars(row) | {"ts": midnight(row.trading_day), "underlying_contract": row.contract}
            for row in rows
        ],
        schema=DAY_INDEX.schema,
    )


def index_rows(table: pa.Table) -> list[IndexRow]:
    rows = []
    for row in table.drop_columns(["ts"]).to_pylist():
        contract = row.pop("underlying_contract")
        rows.append(IndexRow(contract=contract, **row))
    return sorted(rows, key=lambda row: (row.symbol, row.trading_day, row.contract))


def no_data_table(rows: Sequence[NoDataRow]) -> pa.Table:
    """NO_DATA_DAYS of the rows."""
    return pa.Table.from_pylist(
        [
            vars(row)
            | {
                "ts": midnight(row.trading_day),
                "underlying_contract": row.contract,
                "ticks_kind": TICKS_KIND,
            }
            for row in rows
        ],
        schema=NO_DATA_DAYS.schema,
    )


def no_data_rows(table: pa.Table) -> list[NoDataRow]:
    rows = []
    for row in table.drop_columns(["ts", "ticks_kind"]).to_pylist():
        contract = row.pop("underlying_contract")
        rows.append(NoDataRow(contract=contract, **row))
    return sorted(rows, key=lambda row: (row.symbol, row.trading_day, row.contract))


def schedule_changes(old: pa.Table, new: pa.Table) -> pa.Table:
    """MAIN_SCHEDULE rows that make `old` into `new` (both SCHEDULE).

    Rows that are new or differ, and flagged ones for days that are gone.
    """
    days = set(new["trading_day"].to_pylist())
    known = {tuple(row.values()) for row in old.to_pylist()}
    changed = [row for row in new.to_pylist() if tuple(row.values()) not in known]
    gone = [row for row in old.to_pylist() if row["trading_day"] not in days]
    rows = [
        row | {"ts": midnight(row["trading_day"]), "is_deleted": is_deleted}
        for part, is_deleted in ((changed, False), (gone, True))
        for row in part
    ]
    return pa.Table.from_pylist(rows, schema=MAIN_SCHEDULE.schema)


def schedule_rows(table: pa.Table) -> pa.Table:
    """SCHEDULE by trading day, from visible rows of MAIN_SCHEDULE."""
    return table.select(SCHEDULE.names).cast(SCHEDULE).sort_by("trading_day")


def dates_to_numbers(days: pa.ChunkedArray) -> pa.Array:
    """Days as QuestDB holds them: yyyymmdd."""
    dates = days.to_numpy().astype("datetime64[D]")
    years, months = dates.astype("datetime64[Y]"), dates.astype("datetime64[M]")
    numbers = (years.astype(int) + 1970) * 10_000
    numbers += (months.astype(int) % 12 + 1) * 100 + (dates - months).astype(int) + 1
    return pa.array(numbers.astype(np.int32))
