"""What the tick store holds, as values; loaders.ticks.questdb.store is the store.

It holds ticks, the schedule they were fetched by, an index of the complete days, and the days
without data. It serves one warehouse. Stamps are UTC; days are trading days.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal, Self, TypeVar

import pyarrow as pa

from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError

T = TypeVar("T")
TICKS_KIND = "main_l5"
Status = Literal["complete", "short", "superseded"]
EmptyStatus = Literal["no_data", "short", "missing", "superseded"]
Span = tuple[datetime, datetime]  # times, both included
VISIBLE = ("complete", "short")  # statuses of days whose ticks readers see
_MEASURED = ("rows", "row_hash", "hash_a", "hash_b", "first_ts", "last_ts", "book_levels")

# one row per variety and trading day, as dbt built it
SCHEDULE = pa.schema(
    [
        pa.field("variety", pa.string(), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("trading_day", pa.date32(), nullable=False),
        pa.field("underlying_contract", pa.string(), nullable=False),
        pa.field("segment_id", pa.int32(), nullable=False),
        pa.field("prev_contract", pa.string()),
        pa.field("is_switch", pa.bool_(), nullable=False),
        pa.field("schedule_hash", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Measured:
    """The visible ticks of a day.

    `row_hash`: hash_a and hash_b as 16 hex digits. `book_levels`: the deepest level with a price in
    it.
    """

    rows: int
    first_ts: datetime | None
    last_ts: datetime | None
    hash_a: int
    hash_b: int
    row_hash: str
    book_levels: int


@dataclass(frozen=True)
class ContractDay:
    """A trading day of a contract, as a series of main contracts has it."""

    symbol: str
    contract: str
    trading_day: date

    @property
    def key(self) -> DayKey:
        return DayKey(self.symbol, self.contract, self.trading_day)


@dataclass(frozen=True)
class StampedDay(ContractDay):
    """A contract-day and the segment that it belongs to, or that its ticks have."""

    segment_id: int
    schedule_hash: str

    @property
    def stamp(self) -> "Stamp":
        return Stamp(self.trading_day, self.segment_id, self.schedule_hash)


@dataclass(frozen=True)
class MeasuredTicks(StampedDay):
    """The visible ticks of a contract-day with one stamp; a sound day has one.

    Measures as of Measured; of the hash its first half. Rows and hashes of several parts add up.
    The hash covers all levels, so their number, which costs as much again as a level, is left out.
    """

    rows: int
    first_ts: datetime
    last_ts: datetime
    hash_a: int


@dataclass(frozen=True)
class Stamp:
    """The segment that a stored day belongs to now."""

    trading_day: date
    segment_id: int
    schedule_hash: str


@dataclass(frozen=True)
class StoredDay(StampedDay):
    """A day whose ticks are stored, or were until its contract changed.

    `status`: short where they hold less than the day bar, or have a hole.
    `volume`: lots traded by the end of its ticks. `day_volume`: lots of the day bar that they were
    compared with; None where there was none. The other fields: see Measured.
    """

    rows: int
    first_ts: datetime
    last_ts: datetime
    hash_a: int
    hash_b: int
    row_hash: str
    book_levels: int
    volume: int
    day_volume: int | None
    status: Status

    @property
    def is_visible(self) -> bool:
        """Whether readers see its ticks."""
        return self.status in VISIBLE

    @property
    def span(self) -> Span:
        """The times of its first and last tick."""
        return self.first_ts, self.last_ts

    def superseded(self) -> Self:
        """The row of a day whose ticks are gone."""
        return replace(self, status="superseded")

    def find_differences(self, now: Measured) -> list[str]:
        """Differences between the row and the ticks of the day."""
        return [
            f"{name}: the index has {getattr(self, name)}, the ticks have {getattr(now, name)}"
            for name in _MEASURED
            if getattr(self, name) != getattr(now, name)
        ]


@dataclass(frozen=True)
class IndexRow(StoredDay):
    """A row of the store's own index."""

    run_id: str
    updated_at: datetime
    ticks_kind: str = TICKS_KIND


@dataclass(frozen=True)
class NoDataRow(ContractDay):
    """A day of a contract for which the source has no tick, or too few, and why.

    `status`: missing (doubtful in rows of older versions) is not on record yet, and every load asks
    again; short has ticks, and is asked again as seldom as one with no_data; superseded had ticks
    since. `attempts`: loads that got nothing; 0 while only silent servers were asked.
    """

    reason: str
    attempts: int
    checked_at: datetime
    status: EmptyStatus = "no_data"


@dataclass(frozen=True)
class StoreSummary:
    """The days of the index with visible ticks, all series together."""

    series: int
    days: int
    ticks: int
    last_day: date | None


def split_days(days: Iterable[T], most: int, count: Callable[[T], int]) -> list[list[T]]:
    """Days in batches of at most so many ticks; one that has more is a batch of its own."""
    batches: list[list[T]] = []
    room = 0
    for day in days:
        if not batches or count(day) > room:
            batches.append([])
            room = most
        batches[-1].append(day)
        room -= count(day)
    return batches


def read_back_error(
    label: str, key: DayKey, seen: Sequence[Measured | MeasuredTicks], sent: Measured
) -> StoreError:
    """The error of a day that reads back otherwise than it was sent; `seen`: in parts."""
    rows, total = sum(part.rows for part in seen), sum(part.hash_a for part in seen)
    return StoreError(
        f"{key.contract} {key.trading_day}: {label} returns {rows} rows "
        f"{total % 2**31:08x}, but {sent.rows} rows {sent.hash_a % 2**31:08x} were sent",
        hint="Run `loaders run tq` to write the day again.",
    )
