"""Columns of ticks, and the times of a trading day."""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

# tables of a store
MAIN_TICKS = "ghtrader_ticks_main_l5_v2"
DAY_INDEX = "ghtrader_symbol_day_index_v2"
LEVELS = 5
BOOK = tuple(
    f"{side}_{what}{level}"
    for level in range(1, LEVELS + 1)
    for side in ("bid", "ask")
    for what in ("price", "volume")
)
# values of the exchange: these and the stamp make up a day's hash
QUOTED = (
    ("last_price", pa.float64()),
    ("highest", pa.float64()),
    ("lowest", pa.float64()),
    ("average", pa.float64()),
    ("volume", pa.int64()),
    ("amount", pa.float64()),
    ("open_interest", pa.int64()),
    *((name, pa.float64() if "price" in name else pa.int64()) for name in BOOK),
)
# one row per tick; `ts` is `datetime_ns` cut to microseconds, `seq` counts ticks of one `ts` from 0
# in the order in which they came; volume and amount are those of the trading day so far; a missing
# price is null
TICKS = pa.schema(
    [
        pa.field("ts", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("underlying_contract", pa.string(), nullable=False),
        pa.field("trading_day", pa.date32(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("datetime_ns", pa.int64(), nullable=False),
        *(pa.field(name, kind) for name, kind in QUOTED),
        pa.field("segment_id", pa.int32(), nullable=False),
        pa.field("schedule_hash", pa.string(), nullable=False),
    ]
)
# a trading day starts on the evening of the one before; eleven days back at the longest closure
_EARLIEST, _LATEST = timedelta(days=15), timedelta(days=2)


class DayKey(NamedTuple):
    """A contract-day of a series."""

    symbol: str
    contract: str
    trading_day: date


def window(trading_day: date) -> tuple[datetime, datetime]:
    """The times between which each tick of a trading day lies; the second is excluded."""
    midnight = datetime.combine(trading_day, time(), UTC)
    return midnight - _EARLIEST, midnight + _LATEST


def numbers_to_dates(numbers: pa.ChunkedArray) -> pa.Array:
    """Days from the numbers that QuestDB holds them as: yyyymmdd."""
    values = numbers.to_numpy().astype(np.int64)
    months = (values // 10_000 - 1970) * 12 + values // 100 % 100 - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (values % 100 - 1)
    return pa.array(days.astype("datetime64[D]"), pa.date32())
