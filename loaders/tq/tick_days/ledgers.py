"""The tick store's ledgers while a load runs: read once, and kept in line by everything it writes.

No other load writes to the same series: the lane has a lock, and a series one warehouse.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from loaders.ticks.frame import DayKey
from loaders.ticks.store import IndexRow, NoDataRow, Stamp, TickStore
from loaders.tq.tick_days.backlog import key_of


class Ledgers:
    """`index`: the days that are complete or were; `empty`: the days without ticks, the doubtful ones and
    those that are superseded, because ticks have come, included."""

    def __init__(self, store: TickStore, symbols: Collection[str]) -> None:
        self._store = store
        self.index = {key_of(row): row for row in store.index(symbols)}
        self.empty = {key_of(row): row for row in store.no_data(symbols)}

    def is_complete(self, key: DayKey) -> bool:
        row = self.index.get(key)
        return row is not None and row.status == "complete"

    def without(self, key: DayKey) -> NoDataRow | None:
        """What is on record of a day since nothing came of it; None once something has."""
        row = self.empty.get(key)
        return row if row is not None and row.status != "superseded" else None

    def landed(self, row: IndexRow) -> None:
        """A day is complete: nothing says any more that it has no ticks."""
        self._store.put_index([row])
        self.index[key_of(row)] = row
        self.came([key_of(row)])

    def came(self, keys: Iterable[DayKey]) -> None:
        """Ticks of these days were seen: what says otherwise is superseded."""
        rows = filter(None, map(self.without, keys))
        if gone := [replace(row, status="superseded") for row in rows]:
            self._store.put_no_data(gone)
            self.empty |= {key_of(row): row for row in gone}

    def put_empty(self, row: NoDataRow) -> None:
        self._store.put_no_data([row])
        self.empty[key_of(row)] = row

    def restamp(self, symbol: str, contract: str, stamps: Sequence[Stamp]) -> None:
        self._store.restamp(symbol, contract, stamps)
        for stamp in stamps:
            key = DayKey(symbol, contract, stamp.trading_day)
            self.index[key] = replace(
                self.index[key], segment_id=stamp.segment_id, schedule_hash=stamp.schedule_hash
            )

    def supersede(self, key: DayKey) -> None:
        self._store.supersede(*key)
        if key in self.index:
            self.index[key] = replace(self.index[key], status="superseded")
