"""The store's index, schedule and no-data rows as Arrow tables."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, time
from typing import TypeVar

import numpy as np
import pyarrow as pa

from loaders.ticks.store import TICKS_KIND, ContractDay
from loaders.ticks.tables import MAIN_SCHEDULE, StoreTable
from loaders.trading_time import SHANGHAI

R = TypeVar("R", bound=ContractDay)


def midnight(day: date) -> datetime:
    """`ts` of a day in the tables that have a row per day."""
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


def day_table(rows: Sequence[ContractDay], table: StoreTable) -> pa.Table:
    """DAY_INDEX or NO_DATA_DAYS of the rows."""
    place = [{"ts": midnight(row.trading_day), "underlying_contract": row.contract} for row in rows]
    values = [
        {"ticks_kind": TICKS_KIND} | vars(row) | own for row, own in zip(rows, place, strict=True)
    ]
    return pa.Table.from_pylist(values, schema=table.schema)


def day_rows(table: pa.Table, kind: type[R]) -> list[R]:
    """The rows of a DAY_INDEX or NO_DATA_DAYS, by symbol, day and contract."""
    names = {field.name for field in fields(kind)} - {"contract"}
    rows = [
        kind(contract=row["underlying_contract"], **{name: row[name] for name in names})
        for row in table.to_pylist()
    ]
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


def dates_to_numbers(days: pa.ChunkedArray) -> pa.Array:
    """Days as QuestDB holds them: yyyymmdd."""
    dates = days.to_numpy().astype("datetime64[D]")
    years, months = dates.astype("datetime64[Y]"), dates.astype("datetime64[M]")
    numbers = (years.astype(int) + 1970) * 10_000
    numbers += (months.astype(int) % 12 + 1) * 100 + (dates - months).astype(int) + 1
    return pa.array(numbers.astype(np.int32))
