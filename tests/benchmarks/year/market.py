"""Made-up files of the desktop client: day bars of ten years that fit their newest minutes."""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from loaders.tdx.files.vipdoc import _MINUTE as MINUTE
from loaders.tdx.files.vipdoc import DAY
from loaders.trading_time import published_days
from tests.client_folder import LAST, codes_of

YEARS, MINUTES = 2_500, 240
FIRST, MORE, NIGHTS = 12, 36, 3  # days of minutes: at once, then four times as many, then nights
DAYS_OF_MINUTES = FIRST + MORE + NIGHTS
LABELS = np.array([*range(571, 691), *range(781, 901)], "<u2")
FIVE = 5
INDEX = "sh000001"


@cache
def all_days() -> tuple[date, ...]:
    before = published_days(date(1990, 12, 19), LAST)[-YEARS:]
    after = published_days(LAST + timedelta(1), LAST + timedelta(90))
    return (*before, *after[: DAYS_OF_MINUTES - FIRST])


def day_number(count: int) -> int:
    """The place among all days of the last one of so many days of minutes."""
    return YEARS - FIRST + count


def write_days(folder: Path, codes: int, *, before: int, count: int) -> None:
    """Append the days of minutes from `before` to `count`; the years of days before the first."""
    since = 0 if before == 0 else day_number(before)
    until = day_number(count)
    for code, days, minutes in _bars(codes):
        _append(folder, code, "lday", ".day", days[since:until])
        if code != INDEX:
            part = minutes[before * MINUTES : count * MINUTES]
            _append(folder, code, "minline", ".lc1", part)


def write_fives(folder: Path, codes: int, *, before: int, count: int) -> None:
    """Write the five-minute bars of some days into new files."""
    for code, _, minutes in _bars(codes):
        if code != INDEX:
            part = minutes[before * MINUTES : count * MINUTES].reshape(-1, FIVE)
            fives = part[:, -1].copy()
            fives["open"], fives["high"] = part["open"][:, 0], part["high"].max(axis=1)
            fives["low"], fives["volume"] = part["low"].min(axis=1), part["volume"].sum(axis=1)
            fives["amount"] = part["amount"].sum(axis=1)
            _append(folder, code, "fzline", ".lc5", fives)


def correct_minute(folder: Path, code: str) -> None:
    """Change the price of the first minute of a code's first day."""
    file = folder / "vipdoc" / code[:2] / "minline" / f"{code}.lc1"
    bars = np.fromfile(file, MINUTE)
    bars["open"][0] = bars["low"][0] if bars["open"][0] > bars["low"][0] else bars["high"][0]
    file.write_bytes(bars.tobytes())


def _append(folder: Path, code: str, place: str, suffix: str, records: Any) -> None:
    file = folder / "vipdoc" / code[:2] / place / f"{code}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as target:
        target.write(records.tobytes())


def _bars(codes: int) -> Iterator[tuple[str, Any, Any]]:
    """Each code with its day bars and its minutes, the same in each call."""
    days = all_days()
    numbers = np.array([day.year * 10_000 + day.month * 100 + day.day for day in days], "<u4")
    packed = np.array([(d.year - 2004) * 2048 + d.month * 100 + d.day for d in days], "<u2")
    for seed, code in enumerate((INDEX, *codes_of(codes))):
        yield code, *_code_bars(np.random.default_rng(seed), numbers, packed)


def _code_bars(random: Any, numbers: Any, packed: Any) -> tuple[Any, Any]:
    count, old = DAYS_OF_MINUTES * MINUTES, len(numbers) - DAYS_OF_MINUTES
    steps = np.cumsum(random.integers(-9, 10, old))
    cents = _prices(steps[-1] + np.cumsum(random.integers(-1, 2, count)))
    opened = np.concatenate([cents[:1], cents[:-1]])
    minutes = np.zeros(count, MINUTE)
    minutes["day"] = np.repeat(packed[-DAYS_OF_MINUTES:], MINUTES)
    minutes["label"] = np.tile(LABELS, DAYS_OF_MINUTES)
    minutes["open"], minutes["close"] = opened / 100, cents / 100
    high, low = np.maximum(opened, cents) + 1, np.minimum(opened, cents) - 1
    minutes["high"], minutes["low"] = high / 100, low / 100
    minutes["volume"] = random.integers(10, 5_000, count) * 100
    minutes["amount"] = minutes["volume"] * ((high + low) / 200)

    days = np.zeros(len(numbers), DAY)
    days["day"] = numbers
    days["close"][:old] = _prices(steps)
    days["open"][:old] = days["close"][:old] + random.integers(0, 5, old)
    days["high"][:old], days["low"][:old] = days["open"][:old] + 3, days["close"][:old] - 3
    days["volume"][:old] = random.integers(10**5, 5 * 10**7, old)
    days["amount"][:old] = days["volume"][:old] * (days["close"][:old] / 100.0)
    shape = (DAYS_OF_MINUTES, MINUTES)
    days["open"][old:] = opened.reshape(shape)[:, 0]
    days["close"][old:] = cents.reshape(shape)[:, -1]
    days["high"][old:], days["low"][old:] = (
        high.reshape(shape).max(axis=1),
        low.reshape(shape).min(axis=1),
    )
    days["volume"][old:] = minutes["volume"].reshape(shape).sum(axis=1)
    days["amount"][old:] = minutes["amount"].astype("f8").reshape(shape).sum(axis=1)
    return days, minutes


def _prices(steps: Any) -> Any:
    """Cents between 10 and 15 yuan, without a jump."""
    return 1_000 + np.abs(steps % 1_000 - 500)


def read_newest(folder: Path, suffix: str, records: int) -> int:
    """Read the last records of each file once; the number of bytes."""
    read = 0
    for file in sorted((folder / "vipdoc").glob(f"*/*/*{suffix}")):
        with file.open("rb") as source:
            source.seek(-records * MINUTE.itemsize, 2)
            read += len(source.read())
    return read
