"""Minutes and ticks that fit a day bar.

The minutes of a day open, close, peak and bottom where the day does; their share counts and turnover
add up to the day's; the ticks of a minute add up to the minute's hands. As in real data the bars
labelled 14:58 and 14:59 are empty: the closing auction trades at 15:00.
"""

from functools import lru_cache

import numpy as np

from loaders.sandbox.world import Bars, Ints, Tick

MINUTES = 240


def _labels() -> list[str]:
    marks = [570 + i for i in range(1, 121)] + [780 + i for i in range(1, 121)]
    return [f"{m // 60:02d}:{m % 60:02d}" for m in marks]


LABELS = _labels()


@lru_cache(maxsize=1)
def _shape() -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Busy at the open and the close, quiet around noon."""
    position = np.linspace(-1, 1, MINUTES)
    weights = 0.4 + position**2
    weights[0] *= 3
    weights[-3:] = (0.0, 0.0, 6.0)
    return weights


def minute_bars(day: str, bar: tuple[int, ...], tick: int, index: bool, seed: list[int]) -> Bars:
    """240 bars of the day whose (open, high, low, close, volume, amount) is `bar`.

    Index minutes carry no share volume but turnover, in units of 100 yuan, as the real ones do.
    """
    opened, high, low, close, volume, amount = bar
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1, MINUTES)
    walk = np.concatenate([[0.0], np.cumsum(steps)])
    bridge = walk - np.linspace(0, 1, MINUTES + 1) * walk[-1]
    scale = (high - low) / max(float(np.ptp(bridge)), 1e-9) * 0.8
    path = np.linspace(opened, close, MINUTES + 1) + bridge * scale
    points = np.clip(np.rint(path / tick) * tick, low, high).astype(np.int64)
    points[0], points[-1] = opened, close
    points[-3:-1] = points[-4]  # nothing trades in the two minutes of the closing auction
    opens, closes = points[:-1].copy(), points[1:]
    highs, lows = np.maximum(opens, closes), np.minimum(opens, closes)
    opens[-1] = highs[-1] = lows[-1] = close
    highs[int(np.argmax(highs[:-3]))] = high
    lows[int(np.argmin(lows[:-3]))] = low

    weights = _shape() * rng.uniform(0.3, 1.7, MINUTES)
    shares = np.floor(weights / weights.sum() * volume * 100).astype(np.int64)
    shares[0] += volume * 100 - int(shares.sum())
    price = (highs + lows + closes).astype(np.float64) / 3
    money = price * shares if not index else weights
    money = money * (amount / money.sum()) if money.sum() > 0 else money
    amounts = np.rint(money).astype(np.int64)
    amounts[0] += amount - int(amounts.sum())
    volumes = amounts // 100_000 // 100 * 100 if index else shares // 100
    nothing = np.zeros(MINUTES, dtype=np.int64)
    stamps = [f"{day}T{label}:00" for label in LABELS]
    return Bars(stamps, opens, highs, lows, closes, volumes, amounts, nothing, nothing)


def group_minutes(bars: Bars, size: int) -> Ints:
    """Group starts for bars of `size` minutes; every day begins anew."""
    starts, last = [], ""
    for i, stamp in enumerate(bars.stamps):
        minute = int(stamp[11:13]) * 60 + int(stamp[14:16])
        # 13:01 follows 11:30: the lunch break is no part of the count
        passed = minute - 571 if minute <= 690 else minute - 661
        key = f"{stamp[:10]} {passed // size}"
        if key != last:
            starts.append(i)
            last = key
    return np.array(starts, dtype=np.int64)


def ticks_of(minutes: Bars, seed: list[int]) -> list[Tick]:
    """Ticks stamped with the minute they happened in: the one before the bar's label."""
    rng = np.random.default_rng([*seed, 1])
    counts = rng.integers(1, 5, len(minutes))
    found: list[Tick] = []
    rows = zip(
        minutes.stamps,
        minutes.high.tolist(),
        minutes.low.tolist(),
        minutes.close.tolist(),
        minutes.volume.tolist(),
        counts.tolist(),
        strict=True,
    )
    for i, (stamp, high, low, close, volume, count) in enumerate(rows):
        if volume <= 0:
            continue
        label = int(stamp[11:13]) * 60 + int(stamp[14:16])
        at = label if label == 900 else label - 1
        prices = [high, low, close][-min(count, 3) :]
        parts = _split(volume, len(prices))
        for j, (price, part) in enumerate(zip(prices, parts, strict=True)):
            minute, status = f"{at // 60:02d}:{at % 60:02d}", (i + j) % 2
            if i == 0 and j == 0:
                minute, status = "09:25", 2
            elif label == 900:
                status = 2
            if part:
                found.append(Tick(minute, price, part, status, 1 + part % 7))
    return found


def _split(volume: int, parts: int) -> list[int]:
    share = volume // parts
    return [volume - share * (parts - 1)] + [share] * (parts - 1)
