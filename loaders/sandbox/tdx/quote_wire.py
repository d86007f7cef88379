"""Answers of a quote server as bytes: frames, bars, minutes, ticks, quotes, lists and events.

A number of variable length has six bits and a sign (0x40) in its first byte and seven bits in the
following ones; 0x80 says that one follows. Prices are differences: of a bar to the close before it,
of a minute or a tick to the one before.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from loaders.sandbox.tdx.client_files import EXCHANGES
from loaders.sandbox.world.bars import Bars
from loaders.sandbox.world.world import MinutePoint, Security, Tick

LONG = 100  # bytes; longer answers come packed
REFUSAL = b"\x20\x03"  # what the servers of 2026 answer to clients that they refuse
MINUTE_PERIODS = {7: "minute1", 8: "minute1", 0: "minute5", 1: "minute15", 2: "minute30", 3: "hour"}
DAY_PERIODS = {4: "day", 9: "day", 5: "week", 6: "month", 10: "quarter", 11: "year"}
PERIODS = DAY_PERIODS | MINUTE_PERIODS
IN_SHARES = 4  # the period of days whose volumes are shares
_EVENT = struct.Struct("<B6sxIB4f")


def frame(request: bytes, message: int, body: bytes, *, surplus: int = 0) -> bytes:
    """An answer; equal sizes in its head say that it is not packed.

    surplus: what the size of the unpacked body is wrong by
    """
    packed = zlib.compress(body) if len(body) > LONG else body
    sent = packed if len(packed) < len(body) else body
    head = struct.pack("<IBIB2s", 0x74CBB1, 0x1C, message, 0, request[:2])
    return head + struct.pack("<HH", len(sent), len(body) + surplus) + sent


def number(value: int) -> bytes:
    """A number of variable length."""
    rest = abs(value)
    parts = [rest & 0x3F | (0x40 if value < 0 else 0)]
    rest >>= 6
    while rest:
        parts[-1] |= 0x80
        parts.append(rest & 0x7F)
        rest >>= 7
    return bytes(parts)


def numbers(*values: int) -> bytes:
    return b"".join(map(number, values))


def counted(rows: Sequence[bytes], gap: int = 0) -> bytes:
    """The number of rows, empty bytes, and the rows."""
    return struct.pack("<H", len(rows)) + bytes(gap) + b"".join(rows)


def _single(value: float, scale: int = 1) -> float:
    """The single float that is `value` again once it is multiplied by `scale` and cut."""
    near = np.float32(value / scale)
    return float(near if float(near) * scale >= value else np.nextafter(near, np.float32(np.inf)))


def bars_body(bars: Bars, period: int, *, is_index: bool) -> bytes:
    """Day bars in hands (of an index in hundreds of them), minutes in shares or as they are."""
    volumes = bars.volume.astype(float)
    if period in DAY_PERIODS and is_index:
        volumes /= 100
    elif not is_index and (period in MINUTE_PERIODS or period == IN_SHARES):
        volumes = volumes * 100 + bars.odd
    elif is_index:
        volumes = np.array([_single(volume) for volume in volumes])
    rows, before = [], 0
    columns = [column.tolist() for column in bars.columns()]
    for stamp, volume, o, h, low, c, _, amount, up, down, _ in zip(
        bars.stamps, volumes.tolist(), *columns, strict=True
    ):
        row = _time(stamp, period) + numbers(o - before, c - o, h - o, low - o)
        row += struct.pack("<ff", volume, _single(amount, 1000))
        rows.append(row + struct.pack("<HH", up, down) if is_index else row)
        before = c
    return counted(rows)


def _time(stamp: str, period: int) -> bytes:
    year, month, day = int(stamp[:4]), int(stamp[5:7]), int(stamp[8:10])
    if period in DAY_PERIODS:
        return struct.pack("<I", year * 10000 + month * 100 + day)
    days = (year - 2004 << 11) + month * 100 + day
    return struct.pack("<HH", days, _minute(stamp[11:16]))


def _minute(label: str) -> int:
    return int(label[:2]) * 60 + int(label[3:5])


def minutes_body(points: Iterable[MinutePoint], gap: int) -> bytes:
    rows, before = [], 0
    for _, price, volume in points:
        rows.append(numbers(price // 10 - before, 0, volume))
        before = price // 10
    return counted(rows, gap)


def ticks_body(ticks: Iterable[Tick], *, is_today: bool) -> bytes:
    """Only today's have the number of their orders."""
    rows, before = [], 0
    for minute, price, volume, status, orders in ticks:
        counts = (volume, orders, status) if is_today else (volume, status)
        row = struct.pack("<H", _minute(minute)) + numbers(price // 10 - before, *counts, 0)
        rows.append(row)
        before = price // 10
    return counted(rows, 0 if is_today else 4)


def quote_row(quote: Mapping[str, Any], unit: int) -> bytes:
    """A quote from the service's, whose prices are li; `unit` li are one on the wire."""
    k = {name: price // unit for name, price in quote["K"].items()}
    close = k["Close"]
    row = struct.pack("<B6sH", quote["Exchange"], quote["Code"].encode(), quote["Active1"])
    row += numbers(close, *(k[name] - close for name in ("Last", "Open", "High", "Low")))
    row += numbers(int(quote["ServerTime"]), -close, quote["TotalHand"], quote["Intuition"])
    row += struct.pack("<f", quote["Amount"])
    row += numbers(quote["InsideDish"], quote["OuterDisc"], 0, 0)
    for levels in zip(quote["BuyLevel"], quote["SellLevel"], strict=True):
        row += numbers(*(level["Price"] // unit - close for level in levels))
        row += numbers(*(level["Number"] for level in levels))
    return row + bytes(2) + numbers(0, 0, 0, 0) + struct.pack("<hH", 0, quote["Active2"])


def list_row(security: Security, decimals: int, close: float, name_size: int) -> bytes:
    name = security.name.encode("gbk")[:name_size].ljust(name_size, b"\0")
    head = struct.pack("<6sH", security.digits.encode(), 100) + name
    return head + struct.pack("<4xBf4x", decimals, close)


def event_row(code: str, day: int, category: int, values: tuple[float, ...]) -> bytes:
    return _EVENT.pack(EXCHANGES[code[:2]], code[2:].encode(), day, category, *values)
