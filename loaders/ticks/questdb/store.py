"""The tick store in QuestDB: the way to a day that can be read.

    look for suspended tables ▶ what of the day is visible now ▶ rows and flagged surplus in one
    transaction ▶ wait until it is applied ▶ measure what readers see, compare

An answer of OK says that a write has its place in the queue, not that it can be read; a suspended table
goes on answering OK. So every write is awaited, and every day is read back. While the server is away the
whole step is done again: keys make that safe.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks import ledger
from loaders.ticks.day_hash import measure_sql, measured
from loaders.ticks.frame import TICKS, DayKey, key_of, window
from loaders.ticks.questdb.connection import Link
from loaders.ticks.questdb.http import Suspended, literal
from loaders.ticks.questdb.rows import (
    as_stored,
    day_of_number,
    flagged,
    gone_from,
    measured_of,
    of,
    of_day,
    of_series,
    stored_schema,
)
from loaders.ticks.questdb.schema import prepare_tables
from loaders.ticks.questdb.server import Address
from loaders.ticks.questdb.warehouse_mark import WarehouseMark, require_same
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.space import as_problem, little_space, require_space
from loaders.ticks.store import (
    SCHEDULE,
    Held,
    IndexRow,
    Measured,
    NoDataRow,
    Seen,
    Stamp,
    differing,
)
from loaders.ticks.tables import (
    DAY_INDEX,
    MAIN_SCHEDULE,
    MAIN_TICKS,
    NO_DATA_DAYS,
    QUESTDB_TABLES,
    WAREHOUSE,
    StoreTable,
)

_APPLY = 120.0  # seconds for a day to be applied


class QuestdbStore:
    """A TickStore in QuestDB. Not thread-safe.

    `where` and `way`: as of Link. `mark`: the warehouse it must serve; None: any.
    """

    def __init__(
        self,
        where: Callable[[], Address],
        settings: QuestdbSettings,
        *,
        label: str,
        way: Literal["stage", "ilp"] | None = None,
        mark: Callable[[], WarehouseMark] | None = None,
    ) -> None:
        self.label = label
        self._mark = mark
        self._settings = settings
        self._link = Link(where, settings, label, way)

    # -- TickStore ---------------------------------------------------------------------------

    def prepare(self) -> None:
        self._link.again(self._prepare)

    def check(self) -> list[str]:
        return self._link.again(self._check)

    def free_bytes(self) -> int | None:
        return self._link.again(self._link.free_bytes)

    def write_day(self, day: pa.Table) -> Measured:
        sent = measured(day)
        self._link.again(lambda: self._write_day(day, sent))
        return sent

    def measure(self, symbol: str, contract: str, trading_day: date) -> Measured:
        where = of_day(symbol, contract, trading_day)
        return self._link.again(lambda: self._measure(where))

    def seen(self) -> list[Seen]:
        return self._link.again(self._seen)

    def read_day(self, symbol: str, contract: str, trading_day: date) -> pa.Table:
        where = of_day(symbol, contract, trading_day)
        rows = self._link.again(lambda: self._read(MAIN_TICKS, where, "ts, seq"))
        return rows.select(TICKS.names).cast(TICKS)

    def restamp(self, symbol: str, contract: str, stamps: Sequence[Stamp]) -> None:
        self._link.again(lambda: self._restamp(symbol, contract, stamps))

    def supersede(self, symbol: str, contract: str, trading_day: date) -> int:
        return self._link.again(lambda: self._supersede(symbol, contract, trading_day))

    def put_schedule(self, rows: pa.Table) -> None:
        rows = rows.select(SCHEDULE.names).cast(SCHEDULE)
        for symbol in pc.unique(rows["symbol"]).to_pylist():
            wanted = rows.filter(pc.equal(rows["symbol"], symbol))
            changes = ledger.schedule_changes(self.schedule(symbol), wanted)
            self._link.again(lambda changes=changes: self._put(MAIN_SCHEDULE, changes))  # type: ignore[misc]

    def schedule(self, symbol: str) -> pa.Table:
        where = f"symbol = {literal(symbol)} and not is_deleted"
        return ledger.schedule_rows(
            self._link.again(lambda: self._read(MAIN_SCHEDULE, where, "ts"))
        )

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        self._link.again(lambda: self._put(DAY_INDEX, ledger.index_table(rows)))

    def index(self, symbols: Collection[str] | None = None) -> list[IndexRow]:
        where = of_series(symbols)
        return ledger.index_rows(self._link.again(lambda: self._read(DAY_INDEX, where)))

    def held(self) -> Held:
        return self._link.again(self._held)

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        self._link.again(lambda: self._put(NO_DATA_DAYS, ledger.no_data_table(rows)))

    def no_data(self, symbols: Collection[str] | None = None) -> list[NoDataRow]:
        where = of_series(symbols)
        return ledger.no_data_rows(self._link.again(lambda: self._read(NO_DATA_DAYS, where)))

    def close(self) -> None:
        self._link.close()

    # -- beyond it ---------------------------------------------------------------------------

    def resume(self) -> list[str]:
        """Let every suspended table of ours go on with what it has kept. Their names."""
        names = [name for name in self._link.http().suspended() if name in _OURS]
        for name in names:
            self._link.http().rows(f"ALTER TABLE {name} RESUME WAL")
            self._link.http().wait_applied(name, _APPLY)
        return names

    @property
    def way(self) -> str:
        """How rows get there, for people."""
        return self._link.writer().label

    def _prepare(self) -> None:
        prepare_tables(self._link.http())
        if self._mark is None:
            return
        mark, marked = self._mark(), self._read(WAREHOUSE)
        require_same(marked, mark, self.label)
        if not marked.num_rows:
            self._put(WAREHOUSE, mark.as_table())
            # of two that write at once the later one stays
            require_same(self._read(WAREHOUSE), mark, self.label)

    # -- is it sound -------------------------------------------------------------------------

    def _check(self) -> list[str]:
        wrong = self._link.http().suspended()
        problems = [
            f"{text}: what is written to it is kept and not shown; when its cause is mended: "
            "quotemill questdb resume"
            for name, text in sorted(wrong.items())
            if name in _OURS
        ]
        if wrong_disk := little_space(
            self.label, self._link.free_bytes(), self._settings.min_free_gb
        ):
            problems.append(as_problem(wrong_disk))
        return problems

    def _require_sound(self, *tables: StoreTable) -> None:
        wrong = self._link.http().suspended()
        for table in tables:
            if table.name in wrong:
                raise Suspended(wrong[table.name], hint="quotemill questdb resume")

    # -- rows --------------------------------------------------------------------------------

    def _write_day(self, day: pa.Table, sent: Measured) -> None:
        key = key_of(day)
        # of all contracts: nothing else may be visible on the day
        where = of_day(key.symbol, None, key.trading_day)
        require_space(self.label, self._link.free_bytes(), self._settings.min_free_gb)
        self._require_sound(MAIN_TICKS)
        rows = as_stored(MAIN_TICKS, flagged(day, False))
        # an old count says enough: what there is none of leaves no surplus
        if self._count(where):
            rows = pa.concat_tables([rows, self._surplus(day, key).select(rows.column_names)])
        self.put_rows(MAIN_TICKS, rows)
        if (seen := self._measure(where)) != sent:
            raise differing(self.label, key, seen, sent)

    def _count(self, where: str) -> int:
        query = f"select count() as n from {MAIN_TICKS.name} where {where}"
        (count,) = self._link.http().rows(query)
        return int(count["n"])

    def _seen(self) -> list[Seen]:
        """By years: the server ends a query after a minute."""
        name = MAIN_TICKS.name
        (ends,) = self._link.http().rows(f"select min(ts) as first, max(ts) as last from {name}")
        if ends["first"] is None:
            return []
        found: Counter[tuple[str, str, date, int, str]] = Counter()
        for year in range(int(ends["first"][:4]), int(ends["last"][:4]) + 1):
            rows = self._link.http().rows(ledger.SEEN.format(name, f"ts in '{year}'"))
            for symbol, contract, day, segment, stamp, count in (row.values() for row in rows):
                found[symbol, contract, day_of_number(day), segment, stamp] += count
        return [Seen(*key, count) for key, count in sorted(found.items())]

    def _surplus(self, day: pa.Table, key: DayKey) -> pa.Table:
        """Rows that readers see on the day and that the new one has not, flagged."""
        where = of_day(key.symbol, None, key.trading_day)
        places = "ts, seq, underlying_contract"
        old = self._link.http().table(f"select {places} from {MAIN_TICKS.name} where {where}")
        if not gone_from(old, day, key).any():
            return stored_schema(MAIN_TICKS).empty_table()
        columns = ", ".join(MAIN_TICKS.names)
        old = self._link.http().table(f"select {columns} from {MAIN_TICKS.name} where {where}")
        gone = old.filter(pa.array(gone_from(old, day, key)))
        position = gone.schema.get_field_index("is_deleted")
        gone = gone.set_column(position, "is_deleted", pa.repeat(True, gone.num_rows))
        return gone.cast(stored_schema(MAIN_TICKS))

    def put_rows(self, table: StoreTable, rows: pa.Table) -> None:
        """Write rows as the store holds them, as one transaction, and wait until they can be read."""
        symbols = [name for name in table.names if table.questdb_type(name) == "SYMBOL"]
        self._link.writer().send(table.name, rows, symbols)
        self._link.http().wait_applied(table.name, _APPLY)

    def _put(self, table: StoreTable, rows: pa.Table) -> None:
        if rows.num_rows:
            self._require_sound(table)
            self.put_rows(table, as_stored(table, rows))

    def _read(self, table: StoreTable, where: str = "1 = 1", order: str = "ts") -> pa.Table:
        """Rows with the schema of the table."""
        columns = ", ".join(table.names)
        rows = self._link.http().table(
            f"select {columns} from {table.name} where {where} order by {order}"
        )
        for index, field in enumerate(table.schema):
            if pa.types.is_date32(field.type):
                rows = rows.set_column(index, field.name, ledger.days_of(rows[field.name]))
        return rows.cast(table.schema)

    def _held(self) -> Held:
        there = f"select 1 as n from tables() where table_name = '{DAY_INDEX.name}'"
        if not self._link.http().rows(there):
            return Held(0, 0, 0, None)
        (row,) = self._link.http().rows(ledger.HELD.format(DAY_INDEX.name))
        last = row["last_day"]
        return Held(
            row["series"], row["days"], row["ticks"] or 0, day_of_number(last) if last else None
        )

    def _measure(self, where: str) -> Measured:
        (row,) = self._link.http().rows(measure_sql("questdb", MAIN_TICKS.name, where))
        return measured_of(row)

    # -- what changes in place ---------------------------------------------------------------

    def _restamp(self, symbol: str, contract: str, stamps: Sequence[Stamp]) -> None:
        """Ticks first: the index tells which stamp they have, so it must not be ahead of them."""
        self._require_sound(MAIN_TICKS, DAY_INDEX)
        segments: dict[tuple[int, str], list[date]] = {}
        for stamp in stamps:
            segments.setdefault((stamp.segment_id, stamp.schedule_hash), []).append(
                stamp.trading_day
            )
        for (segment, schedule_hash), days in segments.items():
            first, last = window(min(days))[0], window(max(days))[1]
            numbers = ", ".join(f"{day:%Y%m%d}" for day in days)
            self._update(
                f"segment_id = {segment}, schedule_hash = {literal(schedule_hash)}",
                f"{of(symbol, contract, first, last)} and trading_day in ({numbers})",
            )
        new = {stamp.trading_day: stamp for stamp in stamps}
        self._put(
            DAY_INDEX,
            ledger.index_table(
                [
                    replace(
                        row,
                        segment_id=new[row.trading_day].segment_id,
                        schedule_hash=new[row.trading_day].schedule_hash,
                        updated_at=datetime.now(UTC),
                    )
                    for row in self._index_of(symbol, contract)
                    if row.trading_day in new
                ]
            ),
        )

    def _supersede(self, symbol: str, contract: str, trading_day: date) -> int:
        where = of_day(symbol, contract, trading_day)
        self._require_sound(MAIN_TICKS, DAY_INDEX)
        if count := self._count(where):
            self._update("is_deleted = true", where)
        self._put(
            DAY_INDEX,
            ledger.index_table(
                [
                    replace(row, status="superseded", updated_at=datetime.now(UTC))
                    for row in self._index_of(symbol, contract)
                    if row.trading_day == trading_day and row.status != "superseded"
                ]
            ),
        )
        return count

    def _update(self, values: str, where: str) -> None:
        self._link.http().rows(f"UPDATE {MAIN_TICKS.name} SET {values} WHERE {where}")
        self._link.http().wait_applied(MAIN_TICKS.name, _APPLY)

    def _index_of(self, symbol: str, contract: str) -> list[IndexRow]:
        where = f"symbol = {literal(symbol)} and underlying_contract = {literal(contract)}"
        return ledger.index_rows(self._read(DAY_INDEX, where))


_OURS = {table.name for table in QUESTDB_TABLES}
