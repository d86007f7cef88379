"""The store's own records of some series: its index, and its days without ticks.

They are the truth about what is stored, read once and written through: no other load writes to the
store, as the lane has a lock, and a store one warehouse. What dbt reads of them are landed copies
(loaders.tq.tick_days.ledger).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

import pyarrow as pa

from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import IndexRow, Measured, NoDataRow, Stamp
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError

ON_RECORD = ("no_data", "short")  # statuses of days that are asked for again much later


class StoreIndex:
    """The index rows of stored days, superseded ones included."""

    def __init__(self, store: QuestdbStore, symbols: Collection[str] | None = None) -> None:
        self._store = store
        self.rows = {row.key: row for row in store.index(symbols)}
        # a load adds scheduled contracts only, of which none is another one of its day
        self._by_day: dict[tuple[str, date], list[DayKey]] = defaultdict(list)
        for key in self.rows:
            self._by_day[key.symbol, key.trading_day].append(key)

    def find_visible(self, key: DayKey) -> IndexRow | None:
        """The row of a day whose ticks readers see."""
        row = self.rows.get(key)
        return row if row is not None and row.is_visible else None

    def find_others(self, key: DayKey) -> list[DayKey]:
        """The visible days of other contracts in a day's place."""
        return [
            other
            for other in self._by_day[key.symbol, key.trading_day]
            if other.contract != key.contract and self.find_visible(other) is not None
        ]

    def write(
        self, days: Sequence[tuple[pa.Table, Callable[[Measured], IndexRow]]]
    ) -> list[IndexRow | StoreError]:
        """Write days together, then the rows of those that read back as they were sent."""
        results = self._store.write_days([ticks for ticks, _ in days]) if days else []
        rows = [
            result if isinstance(result, StoreError) else make_row(result)
            for (_, make_row), result in zip(days, results, strict=True)
        ]
        self.put(row for row in rows if isinstance(row, IndexRow))
        return rows

    def put(self, rows: Iterable[IndexRow]) -> None:
        """Write rows whose ticks the store has."""
        new = {row.key: row for row in rows}
        self._store.put_index([*new.values()])
        self.rows |= new

    def supersede(self, key: DayKey) -> None:
        """Take a day out, its ticks too; one that has no row as well."""
        self._store.supersede(*key)
        if key in self.rows:
            self.rows[key] = self.rows[key].superseded()

    def change(self, changes: Mapping[DayKey, IndexRow], at: datetime) -> None:
        """Take days out, give others another stamp, or another judgement, without a download."""
        stamps: dict[tuple[str, str], list[Stamp]] = defaultdict(list)
        judged = []
        for key, row in changes.items():
            old = self.rows[key]
            if not row.is_visible:
                self.supersede(key)
                continue
            if row.stamp != old.stamp:
                stamps[key.symbol, key.contract].append(row.stamp)
            if (row.status, row.day_volume) != (old.status, old.day_volume):
                judged.append(replace(row, updated_at=at))
            self.rows[key] = row
        for series, days in stamps.items():
            self._store.restamp(*series, days)
        if judged:
            self.put(judged)


class NoDataDays:
    """The days without ticks: missing ones too, and superseded ones, which had ticks since."""

    def __init__(self, store: QuestdbStore, symbols: Collection[str]) -> None:
        self._store = store
        self.rows = {row.key: row for row in store.no_data(symbols)}

    @property
    def on_record(self) -> dict[DayKey, NoDataRow]:
        """The days that are asked for again much later: no missing ones."""
        return {key: row for key, row in self.rows.items() if row.status in ON_RECORD}

    @property
    def checked_at(self) -> dict[DayKey, datetime]:
        """When each day on record was checked last."""
        return {key: row.checked_at for key, row in self.on_record.items()}

    @property
    def failed(self) -> set[DayKey]:
        """Days that gave nothing so far, or too little."""
        return {key for key, row in self.rows.items() if row.status != "superseded"}

    def get(self, key: DayKey) -> NoDataRow | None:
        """The record of a day; None once it had its ticks."""
        row = self.rows.get(key)
        return row if row is not None and row.status != "superseded" else None

    def put(self, row: NoDataRow) -> None:
        self._store.put_no_data([row])
        self.rows[row.key] = row

    def take_back(self, keys: Iterable[DayKey]) -> None:
        """Supersede the records of days that have ticks after all."""
        rows = filter(None, map(self.get, keys))
        if superseded := [replace(row, status="superseded") for row in rows]:
            self._store.put_no_data(superseded)
            self.rows |= {row.key: row for row in superseded}
