"""A desktop client's folder of made-up day bars, of any size, written by numpy."""

from datetime import date
from pathlib import Path

import numpy as np

from loaders.trading_time import published_days

RECORD = np.dtype(
    [(name, "<u4") for name in ("day", "open", "high", "low", "close")]
    + [("amount", "<f4"), ("volume", "<u4"), ("reserved", "<u4")]
)
PREFIXES = ("sh60", "sz00", "sz30")
LAST = date(2025, 6, 30)


def codes_of(count: int) -> list[str]:
    """Codes of stocks, of at most 2,000 in a row."""
    return [f"{PREFIXES[n // 2000]}{n % 2000 + 1:04}" for n in range(count)]


def write_folder(folder: Path, codes: int, days: int) -> list[str]:
    """Write `vipdoc` of the index and so many stocks, the newest days up to LAST."""
    known = published_days(date(1990, 12, 19), LAST)[-days:]
    numbers = np.array([day.year * 10_000 + day.month * 100 + day.day for day in known], "<u4")
    random = np.random.default_rng(1)
    stocks = codes_of(codes)
    for code in ("sh000001", *stocks):
        bars = np.zeros(len(numbers), RECORD)
        close = 1000 * np.exp(np.cumsum(random.normal(0, 0.01, len(numbers))))
        bars["day"], bars["close"] = numbers, np.maximum(close, 200)
        bars["open"] = bars["close"] + random.integers(0, 5, len(numbers), dtype="u4")
        bars["high"], bars["low"] = bars["open"] + 3, bars["close"] - 3
        bars["volume"] = random.integers(10**5, 5 * 10**7, len(numbers), dtype="u4")
        bars["amount"] = bars["volume"] * (bars["close"] / 100)
        file = folder / "vipdoc" / code[:2] / "lday" / f"{code}.day"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bars.tobytes())
    return stocks
