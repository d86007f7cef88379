"""The tables of the store.

`ts` of a table with a row per day is 00:00 of the trading day in Shanghai. QuestDB has no DELETE:
`is_deleted` takes a row out of what readers see (`where not is_deleted`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from loaders.ticks.store import SCHEDULE
from quotemill.ticks import columns
from quotemill.ticks.columns import TICKS

_TS = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class StoreTable:
    """A table of the store.

    `schema`: of its Arrow tables, in the order of the store's columns. `key`: a row replaces the
    one of the same key. `stored`: columns whose type in QuestDB differs from the usual one.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]
    partition: Literal["DAY", "YEAR"]
    stored: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.schema.names)

    def questdb_type(self, name: str) -> str:
        if name in self.stored:
            return self.stored[name]
        return _QUESTDB[self.schema.field(name).type]

    def questdb_ddl(self) -> str:
        columns = ", ".join(f"{name} {self.questdb_type(name)}" for name in self.names)
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}) TIMESTAMP(ts) "
            f"PARTITION BY {self.partition} WAL DEDUP UPSERT KEYS({', '.join(self.key)})"
        )


_QUESTDB = {
    _TS: "TIMESTAMP",
    # not VARCHAR: the Parquet that 9.3.4 exports has null for texts of nine bytes and less
    pa.string(): "SYMBOL",
    pa.date32(): "INT",  # yyyymmdd: a DATE of QuestDB is a time
    pa.int32(): "INT",
    pa.int64(): "LONG",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}

_DAY_KEY = (
    ("symbol", pa.string()),
    ("underlying_contract", pa.string()),
    ("trading_day", pa.date32()),
    ("ticks_kind", pa.string()),
)


def _day_table(*fields: tuple[str, pa.DataType], nullable: tuple[str, ...] = ()) -> pa.Schema:
    columns = [("ts", _TS), *fields]
    return pa.schema([pa.field(name, kind, name in nullable) for name, kind in columns])


_DELETED = pa.field("is_deleted", pa.bool_(), nullable=False)

MAIN_TICKS = StoreTable(
    columns.MAIN_TICKS,
    TICKS.append(_DELETED),
    # the contract is among them: a day whose contract changes is flagged, not merged
    ("ts", "symbol", "underlying_contract", "seq"),
    "DAY",
    {"seq": "INT"},
)
MAIN_SCHEDULE = StoreTable(
    "ghtrader_main_schedule_v2",
    pa.schema([pa.field("ts", _TS, nullable=False), *SCHEDULE, _DELETED]),
    ("ts", "symbol"),
    "YEAR",
)
DAY_INDEX = StoreTable(
    columns.DAY_INDEX,
    _day_table(
        *_DAY_KEY,
        ("segment_id", pa.int32()),
        ("schedule_hash", pa.string()),
        ("rows", pa.int64()),
        ("first_ts", _TS),
        ("last_ts", _TS),
        ("hash_a", pa.int64()),
        ("hash_b", pa.int64()),
        ("row_hash", pa.string()),
        ("book_levels", pa.int32()),
        ("status", pa.string()),  # complete, short, superseded
        ("run_id", pa.string()),
        ("updated_at", _TS),
        ("volume", pa.int64()),  # lots traded by the end of the ticks
        ("day_volume", pa.int64()),  # lots of the day bar that they were compared with
        nullable=("volume", "day_volume"),
    ),
    ("ts", "symbol", "underlying_contract", "ticks_kind"),
    "YEAR",
)
NO_DATA_DAYS = StoreTable(
    "ghtrader_no_data_days_v2",
    _day_table(
        *_DAY_KEY,
        ("reason", pa.string()),
        ("attempts", pa.int32()),
        ("checked_at", _TS),
        ("status", pa.string()),  # no_data, short, missing, superseded
        nullable=("status",),
    ),
    ("ts", "symbol", "underlying_contract", "ticks_kind"),
    "YEAR",
)
# one row: the warehouse that a QuestDB serves
WAREHOUSE = StoreTable(
    "ghtrader_warehouse_v2",
    _day_table(("warehouse_id", pa.string()), ("label", pa.string())),
    ("ts",),
    "YEAR",
)
QUESTDB_TABLES = (MAIN_TICKS, MAIN_SCHEDULE, DAY_INDEX, NO_DATA_DAYS, WAREHOUSE)
