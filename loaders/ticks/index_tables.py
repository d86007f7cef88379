"""A store's index, schedule and no-data rows, which every store keeps alike, as Arrow tables."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, time
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks.store import SCHEDULE, TICKS_KIND, ContractDay, IndexRow, NoDataRow
from loaders.ticks.tables import DAY_INDEX, MAIN_SCHEDULE, NO_DATA_DAYS, StoreTable
from loaders.trading_time import SHANGHAI

R = TypeVar("R", bound=ContractDay)
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


class IndexTables(ABC):
    """The part of a TickStore that is alike in all: its schedule, index and no-data rows."""

    @abstractmethod
    def _put_rows(self, table: StoreTable, rows: pa.Table) -> None:
        """Put rows of the table's schema in place of those of the same key."""

    @abstractmethod
    def _read_series(self, table: StoreTable, symbols: Collection[str] | None) -> pa.Table:
        """The table's rows of some series, or of all."""

    def put_schedule(self, rows: pa.Table) -> None:
        rows = rows.select(SCHEDULE.names).cast(SCHEDULE)
        for symbol in pc.unique(rows["symbol"]).to_pylist():
            wanted = rows.filter(pc.equal(rows["symbol"], symbol))
            self._put_rows(MAIN_SCHEDULE, schedule_changes(self.schedule(symbol), wanted))

    def schedule(self, symbol: str) -> pa.Table:
        rows = self._read_series(MAIN_SCHEDULE, [symbol])
        visible = rows.filter(pc.invert(rows["is_deleted"]))
        return visible.select(SCHEDULE.names).cast(SCHEDULE).sort_by("trading_day")

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        self._put_rows(DAY_INDEX, day_table(rows, DAY_INDEX))

    def index(self, symbols: Collection[str] | None = None) -> list[IndexRow]:
        return day_rows(self._read_series(DAY_INDEX, symbols), IndexRow)

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        self._put_rows(NO_DATA_DAYS, day_table(rows, NO_DATA_DAYS))

    def no_data(self, symbols: Collection[str] | None = None) -> list[NoDataRow]:
        return day_rows(self._read_series(NO_DATA_DAYS, symbols), NoDataRow)


def dates_to_numbers(days: pa.ChunkedArray) -> pa.Array:
    """Days as QuestDB holds them: yyyymmdd."""
    dates = days.to_numpy().astype("datetime64[D]")
    years, months = dates.astype("datetime64[Y]"), dates.astype("datetime64[M]")
    numbers = (years.astype(int) + 1970) * 10_000
    numbers += (months.astype(int) % 12 + 1) * 100 + (dates - months).astype(int) + 1
    return pa.array(numbers.astype(np.int32))
