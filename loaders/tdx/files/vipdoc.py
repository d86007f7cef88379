"""Day, one-minute and five-minute bars in the client's `vipdoc/{sh,sz,bj}/…`.

All files have little-endian records of 32 bytes and no header. The client appends to them: a file
whose size is no multiple of 32 is being written, and its tail is ignored. A file holds what was
known when it was last written; that time is the rows' `fetched_at`. Day prices have the decimals of
the code's range (quotemill.instrument_ranges). Volumes are single shares. A day with more shares
than 32 bits can count has hands (100 shares) as its volume, and in its last field a mark with the
odd shares.

    lday/sh600000.day       u32 day, 4 × u32 price, f32 turnover in yuan, u32 volume
    minline/sh600000.lc1    u16 day, u16 minute of the bar's end, 4 × f32 price in yuan, f32, u32
    fzline/sh600000.lc5     the same
    fzline/sh600000.5       the same with u32 prices, of older clients
"""

import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from loaders.engine.window import Window
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import plausibility, records
from loaders.tdx.bars.records import PRICES, RECORD, Ints, Mask, Records
from loaders.tdx.files.folder import FOLDERS, SUFFIXES
from loaders.tdx.files.record_order import sort_records
from loaders.tdx.files.written import State, read_content
from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError
from quotemill.foreign import reading, reads_file
from quotemill.instrument_ranges import price_decimals

SIZE = 32
TAIL = 10  # records; the newest day of a file is among its last ones
UNFINISHED = "are cut or being written"
UNTRADED = "has no traded share"
DISORDERED = "repeat records, or have them out of order"
_END = [("amount", "<f4"), ("volume", "<u4"), ("reserved", "<u4")]
DAY = np.dtype([("day", "<u4"), *((name, "<u4") for name in PRICES), *_END])
_LABEL = [("day", "<u2"), ("label", "<u2")]
_MINUTE = np.dtype([*_LABEL, *((name, "<f4") for name in PRICES), *_END])
_OLD_MINUTE = np.dtype([*_LABEL, *((name, "<u4") for name in PRICES), *_END])
# their first days: looked up, as numpy computes a calendar for each day that it converts
_MONTHS = np.arange("1990-01", "10000-02", dtype="M8[M]").astype("M8[D]")
FIRST_MINUTE_YEAR = 2004
IN_HANDS = 0xC36400  # the upper bytes of a last field that has odd shares in its lowest
SATURDAY = 5


class File(NamedTuple):
    """Content of a file of bars.

    bars: minute bars have noon repaired.
    rejected: records that were refused.
    warning: a sentence about an ignored tail, or None.
    state: the file's state before it was read.
    disorder: a sentence about records that were sorted or repeat others, or None.
    noise: refused records that speak against the file; minutes that repeat others do not.
    known: records before these, which an earlier reading took.
    """

    bars: Records
    rejected: list[Rejected]
    warning: str | None
    state: State
    disorder: str | None = None
    noise: int = 0
    known: int = 0

    @property
    def nonsense(self) -> str | None:
        """The reason to skip the whole file: too many refused records; else None."""
        count, size = self.noise, self.known + len(self.bars) + len(self.rejected)
        if not plausibility.is_nonsense(count, size):
            return None
        return f"{count:,} of {size:,} records are refused: download it again"


@reads_file
def read_bars(
    file: Path,
    code: str,
    instrument_type: str,
    period: str,
    now: datetime,
    newest: int | None = None,
    before: State | None = None,
    start: int = 0,
) -> File:
    """Read the bars of a file (day, minute1, minute5), in li and shares.

    newest: read only that many of the last records.
    before: the state at the last reading; of a part its checksum is continued.
    start: read only the records from this one on, the first being 0.

    The last field of an index's day is its members that rose and fell, 16 bits each. Volumes of
    an index are hands in day bars, no number of shares in minute bars. Sorts the records
    and refuses those with an impossible day, and all but one of those that differ and have the same
    time. The caller checks plausibility, such as days after `now`. Raises DataQualityError for an
    unreadable file.
    """
    is_days = period == "day"
    layout = DAY if is_days else _OLD_MINUTE if file.suffix.lower() == ".5" else _MINUTE
    raw, first, state, warning = _records(file, layout, newest, before, start)
    written_at = min(state.written_at, now)
    written = _unpack_days(raw["day"])
    labels = np.full(len(raw), records.CLOSE) if is_days else raw["label"]
    days, is_day = read_days(written)
    times = days.astype(np.int64) * records.DAY_MINUTES + labels
    order = sort_records(raw, days.astype(np.int64), times, is_day)
    differs = f"records of one {'day' if is_days else 'minute'} must not differ"
    rejected = []
    for i in np.flatnonzero(order.is_refused):
        place = str(written[i]) if is_days else f"{written[i]} {labels[i]}"
        rule = differs if is_day[i] else "must be a day of the calendar"
        row = {name: raw[name][i].item() for name in raw.dtype.names or ()}
        where = {"code": code, "file": file.name, "record": first + int(i) + 1}
        payload = orjson.dumps(where | row).decode()
        field = "trade_date" if is_days else "bar_end"
        rejected.append(Rejected(f"{code} {place}", field, rule, place, payload))
    noise = len(rejected) if is_days else int((~is_day).sum())
    good = raw[order.taken]
    decimals = price_decimals(code, instrument_type)
    bars = np.zeros(len(good), RECORD)
    bars["day"], bars["label"] = days[order.taken].astype(np.int64), labels[order.taken]
    for name in PRICES:
        is_exact = good[name].dtype.kind == "u"
        whole = good[name].astype(np.int64) if is_exact else _li(good[name], decimals)
        bars[name] = whole * 10 ** (3 - decimals)
    bars["amount"] = _li(good["amount"], 3)
    bars["volume"] = good["volume"]
    if not is_days:
        come = bars[bars["day"] <= records.to_number(now.astimezone(SHANGHAI).date())]
        if len(come):
            # the file's time may be wrong, but a file is not written before its last bar ends
            written_at = min(max(written_at, records.end_time(come[-1])), now)
    bars = records.set_source(bars, f"vipdoc/{FOLDERS[period]}", written_at)
    if is_days and instrument_type == "index":
        bars["up"], bars["down"] = good["reserved"] & 0xFFFF, good["reserved"] >> 16
    if instrument_type != "index":
        bars["unit"] = 1
        if is_days:
            is_marked, odd = good["reserved"] >> 8 == IN_HANDS, good["reserved"] & 0xFF
            bars["volume"] = np.where(is_marked, bars["volume"] * 100 + odd, bars["volume"])
    bars = bars if is_days else records.repair_noon(bars)
    disorder = f"{file.name}: {order.sentence}" if order.sentence else None
    return File(bars, rejected, warning, state, disorder, noise, start)


def has_trade(file: Path) -> bool:
    """Whether a share was traded on any day of a file; of one that cannot be read that is open."""
    if _peek_days(file, TAIL)["volume"].any():  # as of most files
        return True
    days = _peek_days(file)
    return not len(days) or bool(days["volume"].any())


def list_days(file: Path) -> Ints:
    """Days of a file of day bars, counted from 1970-01-01; none of one that cannot be read."""
    days, is_day = read_days(_unpack_days(_peek_days(file)["day"]))
    return days[is_day].astype(np.int64)


def read_day_records(file: Path, newest: int | None = None) -> Records:
    """The whole records of a file of day bars, or only the newest. Raises DataQualityError."""
    count = State.read_state(file).size // SIZE
    first = max(count - newest, 0) if newest is not None else 0
    content = read_content(file, first * SIZE)
    return np.frombuffer(content[: len(content) // SIZE * SIZE], DAY)


def _peek_days(file: Path, newest: int | None = None) -> Records:
    try:
        return read_day_records(file, newest)
    except DataQualityError:
        return np.zeros(0, DAY)


def first_day(file: Path) -> date | None:
    """The day of a file's first record; None without a readable one."""
    size = 4 if file.suffix.lower() == ".day" else 2
    with suppress(DataQualityError), reading(file):
        start = np.frombuffer(read_content(file, size=size), f"<u{size}")
        days, is_day = read_days(_unpack_days(start))
        return date.fromisoformat(str(days[0])) if is_day.any() else None
    return None


def find_needed(file: Path, since: date, known: int) -> int:
    """The place of the first record of a file of minutes from which on each day since `since` is.

    So is each day of the records after the first `known` ones. The last record, if none has one.
    """
    content = read_content(file)
    days = np.frombuffer(content[: len(content) // SIZE * SIZE], _MINUTE)["day"]
    packed = (since.year - FIRST_MINUTE_YEAR) * 2048 + since.month * 100 + since.day
    is_needed = days >= min(packed, int(days[known:].min(initial=2**16 - 1)))
    return int(np.argmax(is_needed)) if is_needed.any() else max(len(days) - 1, 0)


def last_day(file: Path, now: datetime) -> date | None:
    """The newest day that a load takes of a file's last records; None without one."""
    today = now.astimezone(SHANGHAI).date()
    window = Window([today], today, 0, lambda day: day.weekday() >= SATURDAY, today)
    period = next(p for p, suffixes in SUFFIXES.items() if file.suffix.lower() in suffixes)
    for newest in (TAIL, None):  # the whole file where its tail has none
        try:
            read = read_bars(file, file.stem, "stock", period, now, newest=newest)
            good, _ = plausibility.check(file.stem, read.bars, period, window)
        except DataQualityError:
            continue
        if len(good) and not read.nonsense:
            return records.to_date(good["day"][-1])
    return None


def _unpack_days(days: NDArray[Any]) -> Ints:
    """Days as YYYYMMDD; those of minutes are packed in two bytes."""
    written = days.astype(np.int64)
    if days.dtype == "<u4":
        return written
    return ((written >> 11) + FIRST_MINUTE_YEAR) * 10_000 + (written & 2047)


def _records(
    file: Path, layout: np.dtype[np.void], newest: int | None, before: State | None, start: int
) -> tuple[Records, int, State, str | None]:
    """Read the whole records of a file, or only the `newest` of them, or those from `start` on.

    Returns the records, the number before them, the state before reading and a warning about the
    tail. Raises DataQualityError.
    """
    state = State.read_state(file)
    first = max(state.size // SIZE - newest, 0) if newest is not None else start
    content = read_content(file, first * SIZE, max(state.size - first * SIZE, 0))
    tail = len(content) % SIZE
    count = first + len(content) // SIZE
    warning = f"{file.name}: record {count + 1:,} has only {tail} bytes" if tail else None
    if first * SIZE + len(content) < state.size:
        warning = f"{file.name} shrank while it was read"
    elif first == 0:
        state = replace(state, checksum=zlib.crc32(content))
    elif before and before.checksum is not None and first * SIZE <= before.size <= state.size:
        grown = content[before.size - first * SIZE :]
        state = replace(state, checksum=zlib.crc32(grown, before.checksum))
    return np.frombuffer(content[: len(content) - tail], layout), first, state, warning


def read_days(written: Ints) -> tuple[NDArray[np.datetime64], Mask]:
    """Convert YYYYMMDD numbers to days; an impossible day gives any day and False."""
    year, month, day = written // 10_000, written // 100 % 100, written % 100
    sound = (year >= 1990) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)
    at = np.where(sound, (year - 1990) * 12 + month - 1, 0)
    days = _MONTHS[at] + np.where(sound, day - 1, 0)
    # the 31st of a shorter month is a day of the next month here
    return days, sound & (days < _MONTHS[at + 1])


def _li(values: NDArray[np.float32], decimals: int) -> Ints:
    """Scale single floats by 10**decimals and round; what is no amount becomes 0."""
    with np.errstate(invalid="ignore"):  # noise can be a signalling NaN
        exact = values.astype(np.float64) * 10**decimals
    return np.rint(np.where(np.abs(exact) < 2**62, exact, 0)).astype(np.int64)
