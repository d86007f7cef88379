"""The minutes of a contract-day from its ticks, by the rules of the vendor's own minutes.

docs/datasets/futures.md states the rules.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from loaders.tq.tables import to_decimal
from loaders.tq.trading_day import nanoseconds

MINUTE = 60 * 10**9
# auctions end at most so long before a session, and last ticks come at most so long after it; a
# trade further away shows that the hours of that day were others than today's
EDGE = 6 * MINUTE
BARS = pa.schema(
    [
        ("start_at", pa.timestamp("us", "UTC")),
        ("session_start", pa.timestamp("us", "UTC")),
        *((name, pa.decimal128(24, 9)) for name in ("open", "high", "low", "close")),
        ("volume", pa.int64()),
        ("amount", pa.decimal128(24, 9)),
        ("close_oi", pa.int64()),
        ("tick_count", pa.int32()),
    ]
)
Span = tuple[int, int]


@dataclass(frozen=True)
class _Ticks:
    """Ticks by time: stamps (ns), prices, and figures of the day so far, which never fall.

    `lots`: what was traded since the tick before.
    """

    stamps: Any
    prices: Any
    volumes: Any
    amounts: Any
    interests: Any
    lots: Any


def make_minutes(ticks: pa.Table, hours: Sequence[tuple[datetime, datetime]]) -> pa.Table:
    """The minutes (BARS) of a day of ticks (TICKS); `hours`: its sessions as known today."""
    day = _read_ticks(ticks)
    spans = _held_spans(day, [(nanoseconds(start), nanoseconds(end)) for start, end in hours])
    starts, ends = (np.array(edge) for edge in zip(*spans, strict=True))
    place, is_inside = _assign(day.stamps, starts, ends)
    near = np.minimum(np.abs(day.stamps - starts[place]), np.abs(day.stamps - ends[place])) <= EDGE
    used = is_inside | near | (day.lots > 0)
    counts = (ends - starts) // MINUTE
    offsets = np.cumsum(counts) - counts
    within = -((starts[place] - day.stamps) // MINUTE) - 1  # a tick at :00 ends a minute
    minute = offsets[place] + np.clip(within, 0, counts[place] - 1)
    # before the first trade of a day the last price is another day's
    priced = (day.prices > 0) & (day.volumes > 0) & (is_inside | (day.lots > 0))
    first, last = _edges(minute, used & priced)
    _, end_of = _edges(minute, used)
    high, low = (_extremes(minute, day.prices, used & priced, how) for how in (np.fmax, np.fmin))
    tick_counts = np.bincount(minute[used], minlength=int(counts.sum()))

    def bars() -> Iterator[tuple[Any, ...]]:
        close: float | None = None
        interest: int | None = None
        volume, amount = 0, Decimal(0)
        for number, (start, session) in enumerate(_grid(spans)):
            at = end_of.get(number)
            lots, turnover = 0, Decimal(0)
            if at is not None:
                lots, volume = int(day.volumes[at]) - volume, int(day.volumes[at])
                so_far = to_decimal(day.amounts[at])
                turnover, amount = so_far - amount, so_far
                interest = int(day.interests[at]) if day.interests[at] >= 0 else interest
            prices: tuple[float | None, ...] = (close,) * 4
            if number in last:
                traded = float(day.prices[first[number]])
                opening = traded if close is None or start == session else close
                edges = (max(opening, high[number]), min(opening, low[number]))
                close = float(day.prices[last[number]])
                prices = (opening, *edges, close)
            exact = (None if price is None else to_decimal(price) for price in prices)
            yield (start // 1000, session // 1000, *exact, lots, turnover, interest)

    columns = list(zip(*bars(), strict=True))
    if not np.isfinite(day.amounts).any():
        columns[7] = (None,) * len(columns[7])
    arrays = [
        pa.array(column, pa.int64()).cast(field.type)
        if pa.types.is_timestamp(field.type)
        else pa.array(column, field.type)
        for column, field in zip([*columns, tick_counts], BARS, strict=True)
    ]
    return pa.table(arrays, schema=BARS)


def _read_ticks(ticks: pa.Table) -> _Ticks:
    def read(name: str) -> Any:
        return ticks[name].cast(pa.float64()).to_numpy(zero_copy_only=False)

    stamps = ticks["datetime_ns"].to_numpy()
    order = np.lexsort((ticks["seq"].to_numpy(), stamps))
    volumes = _hold_back(read("volume")[order]).astype(np.int64)
    amounts = read("amount")[order]
    if np.isfinite(amounts).any():
        amounts = _hold_back(amounts)
    return _Ticks(
        stamps[order],
        read("last_price")[order],
        volumes,
        amounts,
        np.nan_to_num(read("open_interest")[order], nan=-1).astype(np.int64),
        np.diff(volumes, prepend=0),
    )


def _hold_back(figures: Any) -> Any:
    """Figures of the day so far that never fall, from 0: what does not fit most others is left out.

    So is the first tick of a day that still has the volume of the day before, or a late tick.
    """
    known = np.flatnonzero(np.isfinite(figures))
    values = figures[known]
    if (np.diff(values) < 0).any():
        known = known[_longest_rise(values)]
    held = np.zeros(len(figures))
    held[known] = figures[known]
    return np.maximum.accumulate(held)


def _longest_rise(values: Any) -> list[int]:
    """The positions of the most values that never fall; of as many the greater ones."""
    falling = (-values[::-1]).tolist()
    least: list[float] = []  # the last value of the best choice of each length
    ends: list[int] = []
    before = []
    for number, value in enumerate(falling):
        length = bisect_right(least, value)
        before.append(ends[length - 1] if length else -1)
        least[length : length + 1] = [value]
        ends[length : length + 1] = [number]
    chosen, number = [], ends[-1]
    while number >= 0:
        chosen.append(len(falling) - 1 - number)
        number = before[number]
    return chosen


def _held_spans(day: _Ticks, hours: Sequence[Span]) -> list[Span]:
    """The sessions that were held, in whole minutes.

    One without a tick was not. Trades away from all of them widen the nearest, or make one.
    """
    spans = []
    for start, end in hours:
        inside = (day.stamps >= start) & (day.stamps <= end)
        if inside.any():
            spans.append((start // MINUTE * MINUTE, -(-end // MINUTE) * MINUTE))
    away = day.lots > 0
    for start, end in spans:
        away &= (day.stamps < start - EDGE) | (day.stamps > end + EDGE)
    stamps = day.stamps[away] if spans or away.any() else day.stamps[-1:]
    lone = np.unique((stamps - 1) // MINUTE) * MINUTE
    merged: list[Span] = []
    for start, end in sorted([*spans, *((int(at), int(at) + MINUTE) for at in lone)]):
        if merged and start - merged[-1][1] <= EDGE:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _assign(stamps: Any, starts: Any, ends: Any) -> tuple[Any, Any]:
    """The span of each stamp, or the nearest one; and whether it lies inside."""
    before = np.searchsorted(starts, stamps, side="right") - 1
    after = np.minimum(before + 1, len(starts) - 1)
    before = np.maximum(before, 0)
    is_inside = (stamps >= starts[before]) & (stamps <= ends[before])
    is_nearer = np.abs(starts[after] - stamps) < np.abs(stamps - ends[before])
    return np.where(~is_inside & is_nearer, after, before), is_inside


def _grid(spans: Sequence[Span]) -> Iterator[Span]:
    """The start of each minute, and of its session."""
    for start, end in spans:
        for at in range(start, end, MINUTE):
            yield at, start


def _edges(minute: Any, chosen: Any) -> tuple[dict[int, int], dict[int, int]]:
    """The positions of the first and of the last chosen tick of each minute."""
    positions = np.flatnonzero(chosen)
    numbers, first, count = np.unique(minute[positions], return_index=True, return_counts=True)
    keys = numbers.tolist()
    last = first + count - 1
    return (
        dict(zip(keys, positions[first].tolist(), strict=True)),
        dict(zip(keys, positions[last].tolist(), strict=True)),
    )


def _extremes(minute: Any, prices: Any, chosen: Any, extreme: Any) -> dict[int, float]:
    numbers, first = np.unique(minute[chosen], return_index=True)
    if not len(numbers):
        return {}
    return dict(
        zip(numbers.tolist(), extreme.reduceat(prices[chosen], first).tolist(), strict=True)
    )
