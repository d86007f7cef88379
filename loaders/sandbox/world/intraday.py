"""Minutes and ticks that fit a day bar.

Open, high, low and close of the minutes of a day, and of its ticks, are those of the day; their
shares and turnover add up to the day's; the ticks of a minute add up to the minute's hands. As in
real data the bars labelled 14:58 and 14:59 are empty: the closing auction trades at 15:00.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loaders.sandbox.world.bars import Bars, Ints, period_starts
from loaders.sandbox.world.world import Tick

MINUTES = 240
THIN = 6_000  # hands a day below which single trades are made
LEAST = 4  # hands that a minute of a busier day has at least
Floats = NDArray[np.float64]

MINUTE_STARTS = (*range(570, 690), *range(780, 900))
LABELS = [f"{(m + 1) // 60:02d}:{(m + 1) % 60:02d}" for m in MINUTE_STARTS]
# minute of the ticks of a bar: the one before its label, except for the closing auction
STARTS = dict(zip(LABELS, (f"{m // 60:02d}:{m % 60:02d}" for m in MINUTE_STARTS), strict=True))
STARTS["15:00"] = "15:00"


@lru_cache(maxsize=1)
def _weights() -> Floats:
    """Weights of the minutes: busy at the open and the close, quiet around noon."""
    position = np.linspace(-1, 1, MINUTES)
    weights = 0.4 + position**2
    weights[0] *= 3
    weights[-3:] = (0.0, 0.0, 6.0)
    return weights


@lru_cache(maxsize=1024)
def _stamps(day: str) -> list[str]:
    return [f"{day}T{label}:00" for label in LABELS]


def make_minutes(
    day: str,
    bar: tuple[int, ...],
    tick: int,
    seed: list[int],
    *,
    index: bool,
    odd: int,
    odd_lots: bool,
) -> Bars:
    """240 bars of the day whose (open, high, low, close, volume, amount) is `bar`.

    The turnover of a bar is between its low and its high times its shares. `odd` are the shares of
    the day beyond its hands. With `odd_lots` all minutes trade single shares, else one minute has
    these. Volumes of index minutes are turnover in units of 100 yuan, as the real ones are.
    """
    opened, high, low, close, volume, amount = bar
    rng = np.random.default_rng(seed)
    if not index and volume < THIN:
        return _thin_day(day, bar, tick, odd, rng)
    total = volume * 100 + odd
    steps = rng.normal(0, 1, MINUTES)
    walk = np.concatenate([[0.0], np.cumsum(steps)])
    bridge = walk - np.linspace(0, 1, MINUTES + 1) * walk[-1]
    scale = (high - low) / max(float(np.ptp(bridge)), 1e-9) * 0.8
    path = np.linspace(opened, close, MINUTES + 1) + bridge * scale
    if not index:  # towards the average price of the day
        arch = np.sin(np.linspace(0, np.pi, MINUTES + 1))
        path += arch * (amount / total - path.mean()) / arch.mean()
    points = np.clip(np.rint(path / tick) * tick, low, high).astype(np.int64)
    points[0], points[-1] = opened, close
    points[-3:-1] = points[-4]  # nothing trades in the two minutes of the closing auction
    opens, closes = points[:-1].copy(), points[1:]
    highs, lows = np.maximum(opens, closes), np.minimum(opens, closes)
    opens[-1] = highs[-1] = lows[-1] = close
    highs[int(np.argmax(highs[:-3]))] = high
    lows[int(np.argmin(lows[:-3]))] = low

    weights = _weights() * rng.uniform(0.3, 1.7, MINUTES)
    nothing = np.zeros(MINUTES, dtype=np.int64)
    if index:
        amounts = _divide(weights, amount, 1)
        volumes, rest = amounts // 100_000 // 100 * 100, nothing
    else:
        price = (highs + lows + closes).astype(np.float64) / 3
        weights = _tilt(weights, price, amount / total)
        shares = _divide(weights, total, 1 if odd_lots else 100)
        money = price * shares
        amounts = np.rint(money * (amount / money.sum())).astype(np.int64)
        amounts[0] += amount - int(amounts.sum())
        volumes, rest = np.divmod(shares, 100)
    return Bars(_stamps(day), opens, highs, lows, closes, volumes, amounts, nothing, nothing, rest)


def _divide(weights: Floats, total: int, unit: int) -> Ints:
    """Parts of `total` in multiples of `unit`, by weight; at least `LEAST` hands each.

    The largest has the rest too.
    """
    parts = np.floor(weights / weights.sum() * (total // unit)).astype(np.int64) * unit
    parts = np.where(weights > 0, np.maximum(parts, LEAST * 100), 0)
    parts[int(np.argmax(parts))] += total - int(parts.sum())
    return parts


def _tilt(weights: Floats, price: Floats, average: float) -> Floats:
    """Weights tilted to high or low prices, so that their average price is `average`."""
    span = float(np.ptp(price))
    if span == 0:
        return weights
    away = (price - average) / span
    bend = 0.0
    for _ in range(6):
        bent = weights * np.exp(bend * away)
        share = bent / bent.sum()
        mean = float((share * away).sum())
        spread = float((share * away**2).sum()) - mean**2
        bend = min(max(bend - mean / max(spread, 1e-6), -12.0), 12.0)
    return weights * np.exp(bend * away)


def _thin_day(
    day: str, bar: tuple[int, ...], tick: int, odd: int, rng: np.random.Generator
) -> Bars:
    """A day of few trades: a minute without one repeats the price."""
    opened, high, low, close, volume, amount = bar
    count = min(volume, MINUTES)
    hands = 1 + rng.multinomial(volume - count, np.full(count, 1 / count))
    prices = rng.integers(low // tick, high // tick + 1, count) * tick
    free = np.ones(count, dtype=bool)
    if count >= 4:
        middle = rng.permutation(np.arange(1, count - 1))[:2]
        prices[middle] = high, low
        free[middle] = False
    free[[0, -1]] = False
    prices[0], prices[-1] = opened, close
    if free.any():
        lacking = amount * volume / (volume * 100 + odd) - float((prices * hands).sum())
        shifted = np.rint((prices + lacking / hands[free].sum()) / tick) * tick
        prices = np.where(free, np.clip(shifted, low, high), prices).astype(np.int64)
    tradable = np.delete(np.arange(MINUTES), [MINUTES - 3, MINUTES - 2])
    minutes = np.sort(rng.choice(tradable, count))

    columns = np.full((4, MINUTES), opened, dtype=np.int64)
    volumes = np.zeros(MINUTES, dtype=np.int64)
    money = np.zeros(MINUTES)
    last = opened
    for minute in range(MINUTES):
        traded = minutes == minute
        if traded.any():
            seen = prices[traded]
            columns[:, minute] = seen[0], seen.max(), seen.min(), seen[-1]
            volumes[minute] = hands[traded].sum()
            money[minute] = float((seen * hands[traded]).sum()) * 100
            last = int(seen[-1])
        else:
            columns[:, minute] = last
    rest = np.zeros(MINUTES, dtype=np.int64)
    busiest = int(np.argmax(volumes))
    rest[busiest] = odd
    money[busiest] += odd * columns[3, busiest]
    amounts = np.rint(money * (amount / money.sum())).astype(np.int64)
    amounts[int(np.argmax(amounts))] += amount - int(amounts.sum())
    nothing = np.zeros(MINUTES, dtype=np.int64)
    o, h, low_, c = columns
    return Bars(_stamps(day), o, h, low_, c, volumes, amounts, nothing, nothing, rest)


def group_minutes(bars: Bars, size: int) -> Ints:
    """Starts of groups of `size` minutes, counted from the start of each day."""
    keys = []
    for stamp in bars.stamps:
        minute = int(stamp[11:13]) * 60 + int(stamp[14:16])
        # 13:01 follows 11:30: the lunch break does not count
        passed = minute - 571 if minute <= 690 else minute - 661
        keys.append((stamp[:10], passed // size))
    return period_starts(keys)


def make_ticks(minutes: Bars, seed: list[int]) -> list[Tick]:
    """Ticks stamped with the minute they happened in: the one before the bar's label.

    They have open, high, low and close of their minute; the first is the opening auction's.
    """
    side = int(np.random.default_rng([*seed, 1]).integers(0, 2))
    ticks: list[Tick] = []
    rows = zip(
        minutes.stamps,
        minutes.open.tolist(),
        minutes.high.tolist(),
        minutes.low.tolist(),
        minutes.close.tolist(),
        minutes.volume.tolist(),
        strict=True,
    )
    for stamp, opened, high, low, close, volume in rows:
        if volume <= 0:
            continue
        minute = STARTS[stamp[11:16]]
        prices = [opened, *(p for p in (high, low) if p not in (opened, close))]
        if len(prices) > 1 or close != opened:
            prices.append(close)
        share, rest = divmod(volume, len(prices))
        for price in prices:
            part, rest = share + rest, 0
            side = 1 - side
            if not ticks:
                ticks.append(Tick("09:25", price, part, 2, 1 + part % 7))
            else:
                status = 2 if minute == "15:00" else side
                ticks.append(Tick(minute, price, part, status, 1 + part % 7))
    return ticks
