"""The tick store in QuestDB: how a day gets there and can be read.

    check for suspended tables ▶ read what of the days is visible now ▶ rows and flagged surplus in
    one transaction ▶ wait until it is applied ▶ measure what readers see of the days, compare

An answer of OK means that a write has its place in the queue, not that it can be read; a suspended
table goes on answering OK. So every write is awaited, and every day is read back. While the server
is away the whole step is repeated: keys make that safe.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from loaders.check import Check
from loaders.ticks.day_hash import measure_days, measured
from loaders.ticks.frame import key_of
from loaders.ticks.index_tables import day_rows, day_table, schedule_changes
from loaders.ticks.questdb import ranges
from loaders.ticks.questdb.connection import MORE_SPACE, Connection
from loaders.ticks.questdb.day_writer import as_seen, measure_written, rows_to_write
from loaders.ticks.questdb.partitions import Partitions, find_parquet_partitions
from loaders.ticks.questdb.resume import resume_table
from loaders.ticks.questdb.rows import (
    as_stored,
    day_condition,
    range_condition,
    series_condition,
)
from loaders.ticks.questdb.schema import find_problems, prepare_tables
from loaders.ticks.questdb.warehouse_mark import WarehouseMark, require_same
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.store import (
    SCHEDULE,
    IndexRow,
    Measured,
    MeasuredTicks,
    NoDataRow,
    Span,
    Stamp,
    StoreSummary,
    read_back_error,
    split_days,
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
from loaders.trading_time import number_to_date
from quotemill.ticks.columns import TICKS, DayKey, numbers_to_dates, window
from quotemill.ticks.questdb_http import (
    Address,
    Refused,
    StoreError,
    Suspended,
    literal,
)

P = ParamSpec("P")
T = TypeVar("T")
APPLY_PATIENCE = 120.0  # seconds for a day to be applied
TABLE_NAMES = {table.name for table in QUESTDB_TABLES}
# the StoreSummary
_SUMMARY = f"""
    select
        count(distinct symbol) as series, count(*) as days, sum(rows) as ticks,
        max(trading_day) as last_day
    from {DAY_INDEX.name} where status in ('complete', 'short')
"""


def patiently(
    work: Callable[Concatenate["QuestdbStore", P], T],
) -> Callable[Concatenate["QuestdbStore", P], T]:
    """Let a method of the store do its work again, for a while, where the server went away."""

    @wraps(work)
    def repeated(store: "QuestdbStore", /, *args: P.args, **options: P.kwargs) -> T:
        return store._connection.retry(lambda: work(store, *args, **options))

    return repeated


class QuestdbStore:
    """The tick store. Not thread-safe. Every call waits until what it wrote can be read.

    `address` and `way`: as of Connection. `mark`: the warehouse it must serve; None: any. `label`
    is for people and holds no secret. Where the server is away: StoreError with the fix as its
    hint, within seconds at first contact, `questdb.wait` seconds later on.
    """

    def __init__(
        self,
        address: Callable[[], Address],
        settings: QuestdbSettings,
        *,
        label: str,
        way: Literal["stage", "ilp"] | None = None,
        mark: Callable[[], WarehouseMark] | None = None,
    ) -> None:
        self.label = label
        self._mark = mark
        self._connection = Connection(address, settings, label, way)
        self.partitions = Partitions(self._connection)

    @patiently
    def prepare(self) -> None:
        """Create the tables, or compare existing ones with their declaration.

        Raises SettingsError for another shape and for a store of another warehouse; StoreError.
        """
        prepare_tables(self._connection.http())
        if self._mark is not None:
            self._require_own_warehouse(self._mark())

    @patiently
    def check(self) -> list[Check]:
        """A check for each problem of the store; empty: sound."""
        http = self._connection.http()
        problems = [*find_problems(http), *find_parquet_partitions(http)]
        if shortage := self._connection.find_shortage():
            problems.append((shortage, MORE_SPACE))
        others = [Check("tick store", "warn", text, fix) for text, fix in problems]
        return [*self.check_suspended(), *others]

    def check_suspended(self) -> list[Check]:
        """A check for each table that applies no writes, with the table as its subject."""
        hidden = (
            "its writes are stored but not visible: run this when the cause is fixed, or "
            "add --skip if its log is damaged"
        )
        return [
            Check(
                "tick store", "warn", f"{text}: {hidden}", "quotemill questdb resume", subject=name
            )
            for name, text in self.suspended().items()
        ]

    def write_days(self, days: Sequence[pa.Table]) -> list[Measured | StoreError]:
        """Make these days (TICKS, checked) all that readers see of their series on those days.

        Of a series and trading day one at most. Surplus rows and rows of other contracts become
        invisible. Readers see all of a day or nothing; several are written in one transaction where
        the server takes it. The result of a day is its error where the server refuses it, or it
        reads back otherwise than it was sent. Raises StoreError where none can be written.
        """
        most_rows = self._connection.retry(self._connection.writer).most_rows
        batches: list[Sequence[pa.Table]] = [days]
        if most_rows:
            batches = [*split_days(days, most_rows, lambda day: day.num_rows)]
        return [result for batch in batches for result in self._write_together(batch)]

    def measure(self, symbol: str, contract: str, trading_day: date) -> Measured:
        """All measures of a day, of its ticks as they are read."""
        return measured(self.read_day(DayKey(symbol, contract, trading_day)))

    def measure_all(self) -> Iterator[list[MeasuredTicks]]:
        """All that readers see, whatever the index says, a range of days after the other.

        One pass over all quoted columns: far faster than `measure` for every day.
        """
        return ranges.measure_all(self._connection, MAIN_TICKS.name)

    @patiently
    def read_day(
        self, key: DayKey, columns: Sequence[str] = (), *, span: Span | None = None
    ) -> pa.Table:
        """TICKS, by ts and seq; `columns`: these alone, as all take several times as long.

        `span`: only ticks of these times, as an index row has them: two or three partitions, not
        seventeen.
        """
        where, names = day_condition(*key, span), columns or TICKS.names
        rows = self._read_rows(MAIN_TICKS, where, "ts, seq", names)
        return rows.cast(pa.schema([TICKS.field(name) for name in names]))

    @patiently
    def restamp(self, symbol: str, contract: str, stamps: Sequence[Stamp]) -> None:
        """Give ticks, then their index rows, which must not be ahead, another segment."""
        self._require_sound(MAIN_TICKS, DAY_INDEX)
        segments: dict[tuple[int, str], list[date]] = {}
        for stamp in stamps:
            segments.setdefault((stamp.segment_id, stamp.schedule_hash), []).append(
                stamp.trading_day
            )
        for (segment, schedule_hash), days in segments.items():
            first, last = window(min(days))[0], window(max(days))[1]
            numbers = ", ".join(f"{day:%Y%m%d}" for day in days)
            self._update_ticks(
                f"segment_id = {segment}, schedule_hash = {literal(schedule_hash)}",
                f"{range_condition(symbol, contract, first, last)} and trading_day in ({numbers})",
            )
        new = {stamp.trading_day: stamp for stamp in stamps}
        rows = [
            replace(
                row,
                segment_id=new[row.trading_day].segment_id,
                schedule_hash=new[row.trading_day].schedule_hash,
                updated_at=datetime.now(UTC),
            )
            for row in self._read_index(symbol, contract)
            if row.trading_day in new
        ]
        self._put(DAY_INDEX, day_table(rows, DAY_INDEX))

    @patiently
    def supersede(self, symbol: str, contract: str, trading_day: date) -> int:
        """Make a contract-day invisible, its index row superseded; returns its ticks."""
        where = day_condition(symbol, contract, trading_day)
        self._require_sound(MAIN_TICKS, DAY_INDEX)
        if count := self._count(where):
            self._update_ticks("is_deleted = true", where)
        rows = [
            replace(row.superseded(), updated_at=datetime.now(UTC))
            for row in self._read_index(symbol, contract)
            if row.trading_day == trading_day and row.status != "superseded"
        ]
        self._put(DAY_INDEX, day_table(rows, DAY_INDEX))
        return count

    def put_schedule(self, rows: pa.Table) -> None:
        """Replace the schedule of each symbol in `rows` (SCHEDULE)."""
        rows = rows.select(SCHEDULE.names).cast(SCHEDULE)
        for symbol in pc.unique(rows["symbol"]).to_pylist():
            wanted = rows.filter(pc.equal(rows["symbol"], symbol))
            self._put_rows(MAIN_SCHEDULE, schedule_changes(self.schedule(symbol), wanted))

    def schedule(self, symbol: str) -> pa.Table:
        """SCHEDULE, by trading day."""
        rows = self._read_series(MAIN_SCHEDULE, [symbol])
        visible = rows.filter(pc.invert(rows["is_deleted"]))
        return visible.select(SCHEDULE.names).cast(SCHEDULE).sort_by("trading_day")

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        """Add the rows, in place of those of the same symbol, contract and trading day."""
        self._put_rows(DAY_INDEX, day_table(rows, DAY_INDEX))

    def index(self, symbols: Collection[str] | None = None) -> list[IndexRow]:
        """By symbol and day; of some series, or of all."""
        return day_rows(self._read_series(DAY_INDEX, symbols), IndexRow)

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        """Add the rows, in place of those of the same symbol, contract and trading day."""
        self._put_rows(NO_DATA_DAYS, day_table(rows, NO_DATA_DAYS))

    def no_data(self, symbols: Collection[str] | None = None) -> list[NoDataRow]:
        return day_rows(self._read_series(NO_DATA_DAYS, symbols), NoDataRow)

    @patiently
    def summary(self) -> StoreSummary:
        """All zero before the tables exist."""
        http = self._connection.http()
        if not http.rows(f"select 1 as n from tables() where table_name = '{DAY_INDEX.name}'"):
            return StoreSummary(0, 0, 0, None)
        (row,) = http.rows(_SUMMARY)
        last = row["last_day"]
        return StoreSummary(
            row["series"], row["days"], row["ticks"] or 0, number_to_date(last) if last else None
        )

    def close(self) -> None:
        self._connection.close()

    def resume(self, skip: Callable[[str], bool] = lambda _: False) -> list[str]:
        """Make our suspended tables apply their pending writes; returns their names.

        `skip`, errors: as of loaders.ticks.questdb.resume.
        """
        names = [*self.suspended()]
        for name in names:
            resume_table(self._connection.http(), name, skip, APPLY_PATIENCE)
        return names

    def suspended(self) -> dict[str, str]:
        """Why each table of ours that applies no writes is suspended, by name."""
        reasons = self._connection.http().suspended()
        return {name: reasons[name] for name in sorted(reasons) if name in TABLE_NAMES}

    def put_rows(self, table: StoreTable, rows: pa.Table) -> None:
        """Write rows in the store's types as one transaction, and await their visibility."""
        self._send(table, [rows])
        self._await(table)

    def _send(self, table: StoreTable, parts: Iterable[pa.Table]) -> None:
        symbols = [name for name in table.names if table.questdb_type(name) == "SYMBOL"]
        self._connection.writer().send(table.name, parts, symbols)

    def _await(self, table: StoreTable) -> None:
        self._connection.http().wait_applied(table.name, APPLY_PATIENCE)

    def _require_own_warehouse(self, mark: WarehouseMark) -> None:
        marked = self._read_rows(WAREHOUSE)
        require_same(marked, mark, self.label)
        if not marked.num_rows:
            self._put(WAREHOUSE, mark.as_table())
            # of two that write at once the later one stays
            require_same(self._read_rows(WAREHOUSE), mark, self.label)

    def _require_sound(self, *tables: StoreTable) -> None:
        suspended = self.suspended()
        for table in tables:
            if table.name in suspended:
                raise Suspended(suspended[table.name], hint="Run `quotemill questdb resume`.")

    def _write_together(self, days: Sequence[pa.Table]) -> list[Measured | StoreError]:
        try:
            sent, seen = self._connection.retry(lambda: self._write_days(days))
        except Refused as error:
            if len(days) == 1:
                key = key_of(days[0])
                return [StoreError(f"{key.contract} {key.trading_day}: {error}")]
            # whichever the server does not take, or too many for the time that it allows
            return [result for day in days for result in self._write_together([day])]
        return [
            own if back == [as_seen(day, own)] else read_back_error(self.label, key, back, own)
            for day, key, own, back in zip(days, map(key_of, days), sent, seen, strict=True)
        ]

    def _write_days(
        self, days: Sequence[pa.Table]
    ) -> tuple[list[Measured], list[list[MeasuredTicks]]]:
        """Write days in one transaction; returns what was sent and what readers see of each."""
        if shortage := self._connection.find_shortage(sum(day.num_rows for day in days)):
            raise StoreError(shortage, hint=MORE_SPACE)
        self._require_sound(MAIN_TICKS)
        self.partitions.unpack_written(days)
        self._send(MAIN_TICKS, rows_to_write(self._connection.http(), days))
        sent = measure_days(days)  # while the server applies them
        self._await(MAIN_TICKS)
        return sent, measure_written(self._connection.http(), days)

    def _count(self, where: str) -> int:
        query = f"select count() as n from {MAIN_TICKS.name} where {where}"
        (count,) = self._connection.http().rows(query)
        return int(count["n"])

    @patiently
    def _put_rows(self, table: StoreTable, rows: pa.Table) -> None:
        self._put(table, rows)

    @patiently
    def _read_series(self, table: StoreTable, symbols: Collection[str] | None) -> pa.Table:
        return self._read_rows(table, series_condition(symbols))

    def _put(self, table: StoreTable, rows: pa.Table) -> None:
        if rows.num_rows:
            self._require_sound(table)
            self.put_rows(table, as_stored(table, rows))

    def _read_rows(
        self,
        table: StoreTable,
        where: str = "1 = 1",
        order: str = "ts",
        columns: Sequence[str] = (),
    ) -> pa.Table:
        """Rows with the schema of the table, or with these columns of it."""
        schema = pa.schema([table.schema.field(name) for name in columns or table.names])
        rows = self._connection.http().table(
            f"select {', '.join(schema.names)} from {table.name} where {where} order by {order}"
        )
        for index, field in enumerate(schema):
            if pa.types.is_date32(field.type):
                days = numbers_to_dates(rows[field.name])
                rows = rows.set_column(index, field.name, days)
        return rows.cast(schema)

    def _update_ticks(self, values: str, where: str) -> None:
        self.partitions.unpack_touched(where)
        http = self._connection.http()
        http.rows(f"UPDATE {MAIN_TICKS.name} SET {values} WHERE {where}")
        http.wait_applied(MAIN_TICKS.name, APPLY_PATIENCE)

    def _read_index(self, symbol: str, contract: str) -> list[IndexRow]:
        where = f"symbol = {literal(symbol)} and underlying_contract = {literal(contract)}"
        return day_rows(self._read_rows(DAY_INDEX, where), IndexRow)
