"""What a tick store can do. loaders.ticks.open_store opens the one that the settings name.

A store holds ticks, the schedule they were fetched by, an index of the complete days, and the days without
data. It serves one warehouse. Stamps are UTC; days are trading days.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

import pyarrow as pa

from loaders.errors import UpstreamError
from loaders.ticks.frame import DayKey

TICKS_KIND = "main_l5"
Status = Literal["complete", "superseded"]
EmptyStatus = Literal["no_data", "doubtful", "superseded"]

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


class StoreError(UpstreamError):
    """The store is away, refuses, or gave back something else than was written."""


def differing(label: str, key: DayKey, seen: "Measured", sent: "Measured") -> StoreError:
    return StoreError(
        f"{key.contract} {key.trading_day} reads back from {label} as {seen.rows} rows "
        f"{seen.row_hash}, sent were {sent.rows} rows {sent.row_hash}",
        hint="loaders run tq writes the day again",
    )


@dataclass(frozen=True)
class Measured:
    """What readers see of a day. `row_hash` is hash_a and hash_b as 16 hex digits; `book_levels` is
    the deepest level with a price in it."""

    rows: int
    first_ts: datetime | None
    last_ts: datetime | None
    hash_a: int
    hash_b: int
    row_hash: str
    book_levels: int


@dataclass(frozen=True)
class Seen:
    """Ticks of a contract-day that readers see, `rows` of one stamp. A sound day has one."""

    symbol: str
    contract: str
    trading_day: date
    segment_id: int
    schedule_hash: str
    rows: int


NOTHING = Measured(0, None, None, 0, 0, "0" * 16, 0)


@dataclass(frozen=True)
class Stamp:
    """The segment that a stored day belongs to now."""

    trading_day: date
    segment_id: int
    schedule_hash: str


@dataclass(frozen=True)
class IndexRow:
    """One day that is complete, or was until its contract changed.

    `volume`: lots that its ticks tell of; `day_volume`: those of the day bar that they were held against,
    None where there was none. Both None of a row that an earlier version wrote."""

    symbol: str
    contract: str
    trading_day: date
    segment_id: int
    schedule_hash: str
    rows: int
    first_ts: datetime
    last_ts: datetime
    hash_a: int
    hash_b: int
    row_hash: str
    book_levels: int
    run_id: str
    updated_at: datetime
    status: Status = "complete"
    ticks_kind: str = TICKS_KIND
    volume: int | None = None
    day_volume: int | None = None


@dataclass(frozen=True)
class NoDataRow:
    """One day of a contract for which the source has no tick, and why.

    `doubtful`: that is not believed yet, and every load asks again; `superseded`: ticks have come since.
    `first_checked_at`: when nothing came for the first time; `nights`: on how many trading days loads then
    found nothing, 0 while silent servers alone were asked. Both None of a row that an earlier version wrote."""

    symbol: str
    contract: str
    trading_day: date
    reason: str
    attempts: int
    checked_at: datetime
    first_checked_at: datetime | None = None
    status: EmptyStatus = "no_data"
    nights: int | None = None


@dataclass(frozen=True)
class Held:
    """What the index has as complete, all series together."""

    series: int
    days: int
    ticks: int
    last_day: date | None


class TickStore(Protocol):
    """Every call waits until what it wrote can be read. `label` is for people and holds no secret.

    Where the store is away: StoreError with the mend as its hint, within seconds at first contact,
    after `questdb.wait` seconds later on. A table that is there in another shape: SettingsError.
    """

    label: str

    def prepare(self) -> None:
        """Create the tables, or compare existing ones with their declaration.

        Raises SettingsError for another shape and for a store of another warehouse; StoreError.
        """
        ...

    def check(self) -> list[str]:
        """What is wrong with the store, each with its mend; empty: sound."""
        ...

    def free_bytes(self) -> int | None:
        """Free space of the disk under the store; None where nobody can know."""
        ...

    def write_day(self, day: pa.Table) -> Measured:
        """Make readers see just this day (TICKS, checked) of its symbol and trading day.

        One transaction; surplus rows and rows of other contracts leave what readers see. Raises
        StoreError where it reads back otherwise than it was sent, or a table is suspended.
        """
        ...

    def measure(self, symbol: str, contract: str, trading_day: date) -> Measured: ...

    def seen(self) -> list[Seen]:
        """What readers see, whatever the index says, by series, contract and day. One pass over six narrow
        columns of all ticks that there are."""
        ...

    def read_day(self, symbol: str, contract: str, trading_day: date) -> pa.Table:
        """TICKS, by ts and seq."""
        ...

    def restamp(self, symbol: str, contract: str, stamps: Sequence[Stamp]) -> None:
        """Give stored days another segment: ticks and index rows alike, their hashes unchanged."""
        ...

    def supersede(self, symbol: str, contract: str, trading_day: date) -> int:
        """Take a day of a contract out of what readers see; its index row says superseded. How many
        ticks went."""
        ...

    def put_schedule(self, rows: pa.Table) -> None:
        """Make the schedule of each symbol in `rows` (SCHEDULE) just these rows."""
        ...

    def schedule(self, symbol: str) -> pa.Table:
        """SCHEDULE, by trading day."""
        ...

    def put_index(self, rows: Sequence[IndexRow]) -> None:
        """Add the rows, in place of those of the same symbol, contract and trading day."""
        ...

    def index(self, symbols: Collection[str] | None = None) -> list[IndexRow]:
        """By symbol and day; of some series, or of all."""
        ...

    def held(self) -> Held:
        """In short, for people; nothing where the tables were not made yet."""
        ...

    def put_no_data(self, rows: Sequence[NoDataRow]) -> None:
        """Add the rows, in place of those of the same symbol, contract and trading day."""
        ...

    def no_data(self, symbols: Collection[str] | None = None) -> list[NoDataRow]: ...

    def close(self) -> None: ...
