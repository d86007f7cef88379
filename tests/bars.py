"""Bars as the TDX loader makes them, from arithmetic."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loaders.tdx.tables import KLINE_DAILY, KLINE_MINUTE
from tests.declared import conform

MINUTES = 240
FIRST_DAY = date(2010, 1, 4)
FETCHED = datetime(2024, 1, 2, 8, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")
Ints: TypeAlias = NDArray[np.int64]


def bars(codes: int, first: int, count: int, fetch: int = 0) -> pa.Table:
    """Days `first` … `first + count - 1` of each code, in key order. Values hang on code and day
    alone, so an overlap repeats them; `fetch` numbers the reading, which moves `fetched_at`."""
    code, day = _keys(codes, first, count)
    return conform(pa.table(_columns(code, day, day, "/api/kline-all", fetch)), KLINE_DAILY)


def minutes(codes: int, first: int, count: int, fetch: int = 0) -> pa.Table:
    """The same of one-minute bars: 240 a day, labels without the lunch break."""
    code, minute = _keys(codes, first * MINUTES, count * MINUTES)
    day, label = np.divmod(minute, MINUTES)
    label += np.where(label < MINUTES // 2, 9 * 60 + 31, 11 * 60 + 1)
    clock = [f"{at // 60:02d}:{at % 60:02d}" for at in range(24 * 60)]
    ends = np.datetime64(FIRST_DAY, "m") + day * 1440 + label - 8 * 60
    own = {
        "bar_end": pa.array(ends.astype("datetime64[us]").astype(np.int64)).view(STAMP),
        "source_label": pa.array(clock).take(pa.array(label)),
    }
    shared = _columns(code, day, minute, "/api/kline-history", fetch)
    return conform(pa.table(shared | own), KLINE_MINUTE)


def _keys(codes: int, first: int, count: int) -> tuple[Ints, Ints]:
    """Code and time of each row, both as numbers."""
    return (
        np.repeat(np.arange(codes, dtype=np.int64), count),
        np.tile(np.arange(first, first + count, dtype=np.int64), codes),
    )


def _columns(code: Ints, day: Ints, time: Ints, route: str, fetch: int) -> dict[str, Any]:
    noise = (code * 7919 + time * 104_729) % 1_000
    close = 5_000 + (code * 37) % 90_000 + noise * 10
    volume = 10_000 + noise * 977
    fetched = pa.scalar(FETCHED + timedelta(hours=fetch), STAMP)
    return {
        "code": np.char.add("sh", (600_000 + code).astype("U6")),
        "trade_date": (np.datetime64(FIRST_DAY, "D") + day).astype("datetime64[D]"),
        "open": close - noise % 50,
        "high": close + noise,
        "low": close - noise,
        "close": close,
        "volume": volume,
        "volume_unit": pa.repeat(pa.scalar(100, pa.int16()), len(code)),
        "amount": volume * close * 100,
        "source_route": pa.repeat(route, len(code)),
        "fetched_at": pa.repeat(fetched, len(code)),
        "is_final": pa.repeat(True, len(code)),
    }
