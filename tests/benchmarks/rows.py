"""The rows that every write path gets: daily bars as the TDX loader makes them, from arithmetic."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loaders.tdx.schemas import KLINE_DAILY
from loaders.warehouse.tables import conform

BATCH = 50_000
DAYS = 2_500
FIRST_DAY = date(2010, 1, 4)
FETCHED = datetime(2024, 1, 2, 8, tzinfo=UTC)


def bars(codes: int, first: int, count: int, fetch: int = 0) -> pa.Table:
    """Days `first` … `first + count - 1` of each code, in key order. Values hang on code and day
    alone, so an overlap repeats them; `fetch` numbers the reading, which moves `fetched_at`."""
    code = np.repeat(np.arange(codes, dtype=np.int64), count)
    day = np.tile(np.arange(first, first + count, dtype=np.int64), codes)
    noise = (code * 7919 + day * 104_729) % 1_000
    close = 5_000 + (code * 37) % 90_000 + noise * 10
    volume = 10_000 + noise * 977
    size = len(code)
    start = np.datetime64(FIRST_DAY, "D")
    return conform(
        pa.table(
            {
                "code": np.char.add("sh", (600_000 + code).astype("U6")),
                "trade_date": (start + day).astype("datetime64[D]"),
                "open": close - noise % 50,
                "high": close + noise,
                "low": close - noise,
                "close": close,
                "volume": volume,
                "amount": volume * close * 100,
                "source_route": pa.repeat("/api/kline-all", size),
                "fetched_at": pa.repeat(
                    pa.scalar(FETCHED + timedelta(hours=fetch), pa.timestamp("us", tz="UTC")), size
                ),
                "is_final": pa.repeat(True, size),
            }
        ),
        KLINE_DAILY,
    )


def phase_rows(phase: str, codes: int, days: int) -> pa.Table:
    """first: whole histories; again: the same, fetched later; new: 99 % the same and 1 % new."""
    moved = {"first": 0, "again": 0, "new": max(1, days // 100)}[phase]
    return bars(codes, moved, days, fetch=("first", "again", "new").index(phase))


def write_files(folder: Path, codes: int, days: int) -> None:
    for phase in ("first", "again", "new"):
        pq.write_table(
            phase_rows(phase, codes, days), folder / f"{phase}.parquet", row_group_size=BATCH
        )


def batches(path: Path) -> Iterator[pa.Table]:
    """The rows of a file, 50,000 at a time: no path may hold them all because its input does."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH):
            yield pa.Table.from_batches([batch])
