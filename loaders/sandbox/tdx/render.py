"""Bars and ticks as the JSON that the service writes.

A series of bars is one text with the offset of every bar, so that an answer is a slice of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from loaders.sandbox.world.bars import Bars
from loaders.sandbox.world.world import Tick

# China's last daylight saving time, which a server in Asia/Shanghai prints
SUMMER_1991 = ("1991-04-14", "1991-09-15")


@dataclass(frozen=True)
class Series:
    """Rendered bars, ascending; `offsets[i]:offsets[i + 1]` holds bar i and a comma."""

    text: bytes
    offsets: list[int]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def newest(self, limit: int | None, *, first_last_zero: bool = False) -> tuple[int, bytes]:
        start = 0 if limit is None else max(0, len(self) - limit)
        return self.part(start, len(self), first_last_zero=first_last_zero)

    def oldest(self, limit: int) -> tuple[int, bytes]:
        return self.part(0, min(limit, len(self)))

    def part(self, start: int, stop: int, *, first_last_zero: bool = False) -> tuple[int, bytes]:
        """(number of bars, JSON list); `null` without bars."""
        if stop <= start:
            return 0, b"null"
        text = self.text[self.offsets[start] : self.offsets[stop] - 1]
        if first_last_zero:
            text = b'{"Last":0' + text[text.index(b",") :]
        return stop - start, b"[" + text + b"]"


def zone_offset(day: str, zone: str) -> str:
    if zone == "utc":
        return "Z"
    return "+09:00" if SUMMER_1991[0] <= day < SUMMER_1991[1] else "+08:00"


def render(bars: Bars, zone: str) -> Series:
    columns = [column.tolist() for column in bars.columns()[:8]]
    fixed = zone_offset("2000-01-01", zone)
    offsets = [fixed] * len(bars)
    if len(bars) and bars.stamps[0] < SUMMER_1991[1]:
        offsets = [zone_offset(stamp[:10], zone) for stamp in bars.stamps]
    pieces = [
        f'{{"Last":{before},"Open":{o},"High":{h},"Low":{low},"Close":{c},'
        f'"Volume":{v},"Amount":{a},'
        f'"Time":"{stamp}{offset}","UpCount":{up},"DownCount":{down}}},'
        for before, stamp, offset, o, h, low, c, v, a, up, down in zip(
            [0, *columns[3][:-1]], bars.stamps, offsets, *columns, strict=False
        )
    ]
    return Series("".join(pieces).encode(), [0, *accumulate(map(len, pieces))])


def tick_rows(day: date, ticks: Sequence[Tick], *, in_yuan: bool = False) -> list[bytes]:
    """One JSON row a tick.

    The service writes the same offset in every zone; trade-history/full has lower-case keys and
    prices `in_yuan`, floats without needless decimals.
    """
    names = ("Time", "Price", "Volume", "Status", "Number")
    at, paid, size, kind, orders = map(str.lower, names) if in_yuan else names
    return [
        (
            f'{{"{at}":"{day}T{minute}:00+08:00",'
            f'"{paid}":{f"{price / 1000:.10g}" if in_yuan else price},'
            f'"{size}":{volume},"{kind}":{status},"{orders}":{number}}}'
        ).encode()
        for minute, price, volume, status, number in ticks
    ]
