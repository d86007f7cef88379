"""Days of ticks for tests: seeded, with ties, missing levels and whole ranges of values."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from loaders.ticks.frame import day_frame
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import Measured
from quotemill.ticks.columns import LEVELS, DayKey
from quotemill.ticks.questdb_http import StoreError

KEY = DayKey("KQ.m@SHFE.cu", "SHFE.cu2601", date(2025, 11, 14))


def quoted(
    rows: int, *, seed: int = 1, day: date = KEY.trading_day, levels: int = LEVELS
) -> pa.Table:
    """What a source gives: a night and a day session, some ties, some prices missing."""
    draw = np.random.default_rng(seed)
    start = int(datetime(day.year, day.month, day.day, 1, tzinfo=UTC).timestamp()) * 10**9
    night = start - int(timedelta(hours=12).total_seconds()) * 10**9
    steps = np.arange(rows, dtype=np.int64) // 2 * 500_000_000
    stamps = np.where(steps < steps.max(initial=0) // 3, night + steps, start + steps)
    # every seventh tick has the stamp of the one before it
    stamps = np.where(np.arange(rows) % 7 == 6, np.roll(stamps, 1), stamps)
    price = 80_000 + np.round(draw.normal(0, 50, rows)) * 10
    columns = {
        "datetime_ns": np.maximum.accumulate(stamps),
        "last_price": price,
        "highest": price + 200.0,
        "lowest": price - 200.0,
        "average": np.round(price + draw.random(rows), 4),
        "volume": np.arange(rows) * 5,
        "amount": np.arange(rows) * 5.0 * 80_000.0,
        "open_interest": 200_000 + draw.integers(-50, 50, rows),
    }
    for level in range(1, LEVELS + 1):
        there = (draw.random(rows) > 0.1 * level) & (level <= levels)
        for side, sign in (("bid", -1), ("ask", 1)):
            columns[f"{side}_price{level}"] = np.where(there, price + sign * 10.0 * level, np.nan)
            columns[f"{side}_volume{level}"] = np.where(there, draw.integers(1, 99, rows), 0)
    return pa.table(columns)


def day_of_ticks(
    rows: int, key: DayKey = KEY, *, seed: int = 1, segment: int = 1, levels: int = LEVELS
) -> pa.Table:
    return day_frame(
        quoted(rows, seed=seed, day=key.trading_day, levels=levels),
        key,
        segment_id=segment,
        schedule_hash=f"{segment:016x}",
    )


def write_day(store: QuestdbStore, day: pa.Table) -> Measured:
    """Write one day. Raises the error that it has as its result."""
    [result] = store.write_days([day])
    if isinstance(result, StoreError):
        raise result
    return result
