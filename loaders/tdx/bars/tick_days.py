"""Ticks of one day: whether they are that day's, complete and in scale; rows.

The service decodes tick prices as if every instrument had two decimals, so those of funds and B
shares come out ten times too large. The day bar is not affected and proves both scale and
completeness: every tick lies between its low and high, and the ticks sum to its volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from loaders.landing.rejects import Rejected
from loaders.tdx.bars.decoded_volume import decoded_volume
from loaders.tdx.bars.records import HAND
from loaders.tdx.client.answers_trades import Ticks
from loaders.trading_time import SHANGHAI

# share of a day's volume; ticks miss less than that, a lost page is more
TOLERANCE = 0.02
# each can lose up to a hand to the division by 100; on boards of single shares each tick can
MINUTES = 240
ODD_LOT_PREFIXES = ("sh68", "bj")
B_SHARE_PREFIXES = ("sh9", "sz2")
# no fund moves further from the bar of the day before; a running day has no bar yet
DAILY_MOVE = 0.3

_EPOCH = date(1970, 1, 1)
_SHANGHAI_MINUTES = 8 * 60
_STAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class DayBar:
    """A day bar.

    low, high: prices in li
    volume: as reported
    unit: shares per unit of volume
    """

    low: int
    high: int
    volume: int
    unit: int = HAND

    @property
    def shares(self) -> int:
        return self.volume * self.unit

    @property
    def hands(self) -> int:
        return self.shares // HAND

    @property
    def small_volume(self) -> int | None:
        """The small number of hands that the service may have reported so, or None."""
        return decoded_volume(self.volume) if self.unit == HAND else None


@dataclass(frozen=True, slots=True)
class TickDay:
    """All ticks of a day as columns, in the order of the day.

    minute: minutes from midnight on the exchange's clock
    price: li, correctly scaled
    volume: hands
    """

    day: date
    minute: npt.NDArray[np.int16]
    price: npt.NDArray[np.int32]
    volume: npt.NDArray[np.int32]
    side: npt.NDArray[np.int32]
    order_count: npt.NDArray[np.int32]
    source_route: str
    fetched_at: datetime
    is_final: bool = False

    def __len__(self) -> int:
        return len(self.minute)

    @property
    def hands(self) -> int:
        return int(self.volume.sum(dtype=np.int64))


@dataclass(frozen=True, slots=True)
class TickDays:
    """Days of one code, ascending; the length is the number of ticks."""

    days: tuple[TickDay, ...]

    def __len__(self) -> int:
        return sum(map(len, self.days))


class BrokenRule(Exception):
    """The ticks of a day break a rule."""

    def __init__(self, field: str, rule: str, value: str) -> None:
        super().__init__(f"{rule} ({value})")
        self.field, self.rule, self.value = field, rule, value

    def rejected(self, code: str, day: date, ticks: Ticks) -> Rejected:
        what = {"code": code, "trade_date": day.isoformat(), "ticks": len(ticks)}
        what["digest"] = compute_digest(ticks)
        return Rejected(
            f"{code} {day}", self.field, self.rule, self.value, orjson.dumps(what).decode()
        )


def compute_digest(ticks: Ticks) -> str:
    """A digest of the ticks that does not depend on their route."""
    columns = (ticks.stamps, ticks.price, ticks.volume, ticks.side)
    return sha256(orjson.dumps(columns)).hexdigest()[:16]


def is_tenfold(code: str, instrument_type: str) -> bool:
    """Whether prices of ticks and minute points are ten times too large."""
    return instrument_type == "fund" or code.startswith(B_SHARE_PREFIXES)


def find_divisor(
    low: int, high: int, bar: DayBar | None, *, tenfold: bool, slack: float = 0
) -> int:
    """The divisor by which prices from `low` to `high` fit `bar`; 0 if none does.

    slack: share by which to widen a bar that is not of the same day
    """
    if bar is None:
        return 10 if tenfold else 1
    lowest, highest = bar.low * (1 - slack), bar.high * (1 + slack)
    for by in (1, 10) if tenfold else (1,):
        if lowest * by <= low and high <= highest * by:
            return by
    return 0


def to_tick_day(day: date, ticks: Ticks) -> TickDay:
    """At least one tick of `day` as columns, unscaled. Raises BrokenRule."""
    shown = np.frombuffer("".join(ticks.stamps).encode(), np.uint8).reshape(-1, 19)
    digits = shown[:, [11, 12, 14, 15]].astype(np.int16) - ord("0")
    return TickDay(
        day,
        (digits @ np.array([600, 60, 10, 1], np.int16)).astype(np.int16),
        price=_small("price", ticks.price),
        volume=_small("volume", ticks.volume),
        side=_small("side", ticks.side),
        order_count=_small("order_count", ticks.order_count),
        source_route=f"/api/{ticks.source_route}",
        fetched_at=ticks.fetched_at,
    )


def _small(name: str, values: Sequence[int]) -> npt.NDArray[np.int32]:
    try:
        return np.array(values, np.int32)
    except OverflowError:
        raise BrokenRule(name, f"{name} must fit a 32-bit number", str(max(values))) from None


def divide_prices(ticks: TickDay, by: int) -> TickDay:
    """The day with its prices divided. Raises BrokenRule if a division is not exact."""
    if by == 1:
        return ticks
    if (rest := ticks.price % by).any():
        rule = "a price ten times too large must be a multiple of 10"
        raise BrokenRule("price", rule, str(ticks.price[int(rest.argmax())]))
    return replace(ticks, price=ticks.price // np.int32(by))


def scale_to_bar(ticks: TickDay, bar: DayBar, *, tenfold: bool, near: bool = False) -> TickDay:
    """The day with its prices scaled to fit its own day bar.

    Raises BrokenRule if a tick lies outside the bar; with `near`, only if the prices are so far
    from it that they can only be another security's.
    """
    low, high = int(ticks.price.min()), int(ticks.price.max())
    by = find_divisor(low, high, bar, tenfold=tenfold, slack=DAILY_MOVE if near else 0)
    if not by:
        rule = "every tick must lie between low and high of the day bar"
        if near:
            rule = "the ticks must be near the day bar"
        raise BrokenRule("price", rule, f"ticks {low} to {high}, bar {bar.low} to {bar.high}")
    return divide_prices(ticks, by)


def mark_final(ticks: TickDay) -> TickDay:
    """The complete day, final if it was fetched on a later day of the exchange."""
    later = ticks.fetched_at.astimezone(SHANGHAI).date() > ticks.day
    return replace(ticks, is_final=later)


def misfit(hands: int, bar: DayBar) -> int:
    """By how many hands a day's ticks miss the volume of its bar."""
    return min(abs(hands - volume) for volume in _volumes(bar))


def is_whole(code: str, hands: int, ticks: int, bar: DayBar) -> bool:
    """Whether the ticks of a day sum to the volume of its bar, up to cut-off hands."""
    lost = max(MINUTES, ticks if code.startswith(ODD_LOT_PREFIXES) else 0)
    return any(
        volume - min(TOLERANCE * volume + lost, volume) <= hands <= volume + TOLERANCE * volume + 1
        for volume in _volumes(bar)
    )


def _volumes(bar: DayBar) -> Sequence[int]:
    """Possible volumes of a day bar, in hands, which is what ticks have."""
    small = bar.small_volume
    return (bar.hands,) if small is None else (bar.hands, small)


def build_table(days: Sequence[tuple[str, TickDay]]) -> pa.Table:
    """Days of some codes as one Arrow table; ordinals start at 1 in each day."""
    sizes = np.array([len(tick_day) for _, tick_day in days])
    at = np.repeat(np.arange(len(days), dtype=np.int32), sizes)
    since_epoch = np.array([(tick_day.day - _EPOCH).days for _, tick_day in days], np.int32)[at]
    minute = np.concatenate([tick_day.minute for _, tick_day in days]).astype(np.int64)
    seconds = (since_epoch * np.int64(1440) + minute - _SHANGHAI_MINUTES) * 60
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)

    def per_day(values: list[object], kind: pa.DataType) -> pa.Array:
        return pa.DictionaryArray.from_arrays(at, pa.array(values, kind)).dictionary_decode()

    def column(name: str) -> npt.NDArray[np.int32]:
        return np.concatenate([getattr(tick_day, name) for _, tick_day in days])

    return pa.table(
        {
            "code": per_day([code for code, _ in days], pa.string()),
            "trade_date": pa.array(since_epoch).view(pa.date32()),
            "ordinal": (np.arange(len(at)) - first + 1).astype(np.int32),
            "traded_at": pa.array(seconds * 1_000_000).view(_STAMP),
            **{n: column(n) for n in ("price", "volume", "side", "order_count")},
            "source_route": per_day([tick_day.source_route for _, tick_day in days], pa.string()),
            "fetched_at": per_day([tick_day.fetched_at for _, tick_day in days], _STAMP),
            "is_final": pa.array(np.array([tick_day.is_final for _, tick_day in days])[at]),
        }
    )
