"""The desktop client's bar files: vipdoc/{sh,sz,bj}/{lday,minline,fzline}.

    lday/sh600000.day      days: u32 date YYYYMMDD, four u32 prices, f32 yuan, u32 volume, u32
    minline/sh600000.lc1   minutes: u16 date, u16 minutes since midnight of the bar's end,
    fzline/sh600000.lc5    five minutes: four f32 prices in yuan, f32 yuan, u32 volume, u32

Little-endian records of 32 bytes, ascending, without a header. A day's prices are yuan × 100 of
stocks, × 1000 of funds and of Shanghai's B shares, points × 100 of indices. Volumes are shares
(hands if 32 bits do not suffice: the last field of a day is a mark with the odd shares then), of
indices as the service has them, whose last field counts the members that rose and fell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loaders.sandbox.world.bars import Bars, Ints, group_bars
from loaders.sandbox.world.intraday import group_minutes
from loaders.sandbox.world.world import Kind, Security, World
from quotemill.errors import UsageError

FIRST_YEAR = 2004  # year 0 of the five bits in a minute's date
_PRICES = ("open", "high", "low", "close")
_TAIL = [("amount", "<f4"), ("volume", "<u4"), ("reserved", "<u4")]
DAY = np.dtype([("date", "<u4"), *[(name, "<u4") for name in _PRICES], *_TAIL])
_MINUTE = np.dtype(
    [("date", "<u2"), ("minute", "<u2"), *[(name, "<f4") for name in _PRICES], *_TAIL]
)
_MEANINGLESS = 65536
_IN_HANDS = 0xC36400
_MOST_SHARES = 2**32 - 1


@dataclass(frozen=True)
class VipdocFiles:
    """Numbers of written files and records."""

    files: int
    records: int


def write_vipdoc(
    world: World,
    folder: Path,
    *,
    until: datetime | None = None,
    days: int | None = None,
    codes: Iterable[str] | None = None,
) -> VipdocFiles:
    """Write the files of `codes` (all) below `folder`, which becomes vipdoc itself.

    Days go up to `until` (exchange time; default: the end of the market), minutes cover the newest
    `days` of them. A code without a bar has no file. Raises UsageError if it cannot write one.
    """
    until = until or world.end
    wanted = set(codes) if codes is not None else None
    files = records = 0
    for security in world.securities:
        if wanted is not None and security.code not in wanted:
            continue
        for path, content in _contents(world, security, until, days):
            try:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            except OSError as error:
                raise UsageError(f"cannot write {folder / path}: {error.strerror}") from error
            files += 1
            records += len(content) // 32
    return VipdocFiles(files, records)


def _contents(
    world: World, security: Security, until: datetime, days: int | None
) -> Iterable[tuple[str, bytes]]:
    bars = world.day_bars(security.code)
    count = sum(stamp <= until.isoformat() for stamp in bars.stamps)
    shown = bars.slice(0, count)
    files = [(f"lday/{security.code}.day", day_records(security, shown))]
    first = 0 if days is None else max(0, count - days)
    minute, five = [], []
    for i in range(first, count):
        minutes = world.minutes(security.code, date.fromisoformat(bars.day(i)))
        minute.append(minute_records(security, minutes))
        fives = group_bars(minutes, group_minutes(minutes, 5))
        five.append(minute_records(security, fives))
    files.append((f"minline/{security.code}.lc1", b"".join(minute)))
    files.append((f"fzline/{security.code}.lc5", b"".join(five)))
    return [(f"{security.exchange}/{path}", content) for path, content in files if content]


def price_scale(code: str, kind: Kind) -> int:
    """Li per unit of a day file: 1 for funds and Shanghai's B shares, else 10."""
    return 1 if kind == "fund" or code.startswith("sh900") else 10


def parse_day(number: int) -> date | None:
    """The date of YYYYMMDD; None for an impossible one."""
    try:
        return date(number // 10_000, number // 100 % 100, number % 100)
    except ValueError:
        return None


def read_day_file(file: Path, code: str, kind: Kind) -> Bars:
    """Bars of a .day file, without records of impossible days."""
    content = file.read_bytes()
    rows = np.frombuffer(content[: len(content) // 32 * 32], DAY)
    days = [parse_day(int(number)) for number in rows["date"]]
    rows = rows[[day is not None for day in days]]
    first, high, low, close = (
        rows[name].astype(np.int64) * price_scale(code, kind)
        for name in ("open", "high", "low", "close")
    )
    amount = np.rint(rows["amount"].astype(np.float64) * 1000).astype(np.int64)
    volume = rows["volume"].astype(np.int64)
    last = rows["reserved"].astype(np.int64)
    up, down = (last & 0xFFFF, last >> 16) if kind == "index" else (np.zeros_like(last),) * 2
    is_marked = (last >> 8 == _IN_HANDS) & (kind != "index")
    volume, odd = np.divmod(volume, np.where(is_marked | (kind == "index"), 1, 100))
    odd = np.where(is_marked, last & 0xFF, odd)
    stamps = [f"{day}T15:00:00" for day in days if day is not None]
    return Bars(stamps, first, high, low, close, volume, amount, up, down, odd)


def day_records(security: Security, bars: Bars) -> bytes:
    """The content of a .day file."""
    rows = _rows(DAY, security, bars, price_scale(security.code, security.kind))
    rows["date"] = [int(stamp[:10].replace("-", "")) for stamp in bars.stamps]
    counts, is_large = bars.up + (bars.down << 16), _shares(bars) > _MOST_SHARES
    marks = np.where(is_large, (_IN_HANDS << 8) + bars.odd, _MEANINGLESS)
    rows["reserved"] = counts if security.kind == "index" else marks
    return rows.tobytes()


def minute_records(security: Security, bars: Bars) -> bytes:
    """Records of an .lc1 or .lc5 file."""
    rows = _rows(_MINUTE, security, bars, 1000)
    rows["date"] = [
        (int(s[:4]) - FIRST_YEAR) * 2048 + int(s[5:7]) * 100 + int(s[8:10]) for s in bars.stamps
    ]
    rows["minute"] = [int(s[11:13]) * 60 + int(s[14:16]) for s in bars.stamps]
    return rows.tobytes()


def _rows(
    layout: np.dtype[np.void], security: Security, bars: Bars, scale: int
) -> NDArray[np.void]:
    """Columns of every file; prices are li divided by `scale`, cut to integers."""
    rows = np.zeros(len(bars), dtype=layout)
    for name in _PRICES:
        rows[name] = getattr(bars, name) / scale
    rows["amount"] = bars.amount / 1000
    shares = _shares(bars)
    in_hands = (shares > _MOST_SHARES) | (security.kind == "index")
    rows["volume"] = np.where(in_hands, bars.volume, shares)
    return rows


def _shares(bars: Bars) -> Ints:
    return bars.volume * 100 + bars.odd
