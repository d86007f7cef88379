"""Requests and answers of the TDX quote servers as bytes, below their frames; pure functions.

An answer that is cut, has bytes left over, or holds an impossible number or day is a WrongAnswer.
Integers are little-endian. A price or volume is a number of one to six bytes: bit 7 of a byte says
that another follows, bit 6 of the first is the sign, the other bits are the value, lowest first.
Volumes of bars are single floats, in hands for a day or longer (category 9, not 4), in shares for
minutes; of an index in 100 hands, for minutes in 100 yuan of turnover.
"""

import struct
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loaders.requests.http import RetryableAnswer
from loaders.trading_time import number_to_date

GREETING, HEARTBEAT, COUNT, LIST, EVENTS = 0x000D, 0x0004, 0x044E, 0x044D, 0x000F
QUOTES, BARS, TICKS, PAST_TICKS, PAST_MINUTES = 0x053E, 0x052D, 0x0FC5, 0x0FB5, 0x0FB4
MARKETS = {"sz": 0, "sh": 1, "bj": 2}
PERIODS = {"minute5": 0, "minute15": 1, "minute30": 2, "hour": 3, "minute1": 7}
TIMED = tuple(PERIODS)
PERIODS |= {"day": 9, "week": 5, "month": 6}
# the most rows of one answer
BARS_PAGE, PAST_TICKS_PAGE, TICKS_PAGE, LIST_PAGE, EVENTS_PAGE = 800, 2000, 1800, 1600, 75
LEVELS = 5

Ints = NDArray[np.int64]
_MOST = 2.0**53  # of a float that is a whole number of shares or yuan
_MINUTES = 24 * 60
_LONGEST = 6  # bytes of a number
_U16, _LISTED = struct.Struct("<H"), struct.Struct("<6sH16s4xB8x")
_CODE, _WIDE_CODE = struct.Struct("<B6s"), struct.Struct("<H6s")
_EVENT, _EVENTS_OF = struct.Struct("<8xIB4f"), struct.Struct("<B6sH")


class WrongAnswer(RetryableAnswer):
    """Bytes that are no answer to what was asked; another server may have a good one."""


class Bars(NamedTuple):
    """Bars, ascending: prices in thousandths, turnover in yuan, members of an index up and down.

    times: ends, '2024-11-08T15:00:00'
    """

    times: list[str]
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: NDArray[np.float64]
    amount: NDArray[np.float64]
    up: Ints
    down: Ints


class Ticks(NamedTuple):
    """Trades, ascending: minutes of the day, prices in the smallest unit, hands."""

    minute: Ints
    price: Ints
    volume: Ints
    orders: Ints
    side: Ints


class Listed(NamedTuple):
    """A row of a market's list."""

    digits: str
    name: str


class Event(NamedTuple):
    """A corporate action or a change of share capital.

    day: YYYYMMDD, as sent
    values: four numbers; docs/datasets/capital_events.md has their meaning by category
    """

    day: int
    category: int
    values: tuple[float, ...]


class Quote(NamedTuple):
    """A quote: prices in the smallest unit, volumes in hands, turnover in yuan.

    bids, asks: price and volume, the best first
    """

    market: int
    digits: str
    active1: int
    close: int
    previous: int
    open: int
    high: int
    low: int
    time: int
    volume: int
    current: int
    amount: float
    inside: int
    outside: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    active2: int


def ask_bars(code: str, period: str, start: int, count: int) -> bytes:
    """The request of `count` bars before the newest `start` ones."""
    return _WIDE_CODE.pack(*_split(code)) + struct.pack(
        "<HHHH10x", PERIODS[period], 1, start, count
    )


def read_bars(body: bytes, period: str, *, is_index: bool) -> Bars:
    """The bars of one answer."""
    what = f"{period} bars"
    count = _count(body, what)
    data, starts, last, numbers = _rows(body, 2, count, what, 4, 4, 12 if is_index else 8)
    opened, closed, high, low = numbers.T
    close = np.cumsum(opened + closed)
    opens = close - closed
    stamps = _gather(data, starts, "<u2" if period in TIMED else "<u4", 4)
    if period in TIMED:
        times = [f"{_zipped_day(day)}T{_clock(m, what)}:00" for day, m in stamps.tolist()]
    else:
        times = [f"{_day(number)}T15:00:00" for (number,) in stamps.tolist()]
    tails = last[:, -1] + 1
    with np.errstate(invalid="ignore"):  # a NaN that signals
        floats = _gather(data, tails, "<f4", 8).astype(np.float64)
    if not ((floats >= 0) & (floats < _MOST)).all():  # NaN is in no range
        raise WrongAnswer(f"{what}: an impossible volume or turnover")
    members = np.zeros((count, 2), np.int64)
    if is_index:
        members = _gather(data, tails + 8, "<u2", 4).astype(np.int64)
    return Bars(times, opens, opens + high, opens + low, close, *floats.T, *members.T)


def ask_past_minutes(code: str, day: date) -> bytes:
    return struct.pack("<I", int(f"{day:%Y%m%d}")) + _CODE.pack(*_split(code))


def read_past_minutes(body: bytes) -> tuple[Ints, Ints]:
    """Prices in the smallest unit and volumes in hands of a day's minutes."""
    count = _count(body, "minutes")
    _, _, _, numbers = _rows(body, _skip(body, count), count, "minutes", 0, 3, 0)
    steps, _, volume = numbers.T
    return np.cumsum(steps), volume


def ask_ticks(code: str, start: int, count: int, day: date | None = None) -> bytes:
    """The request of `count` ticks before the last `start` ones, of today or a day before."""
    past = struct.pack("<I", int(f"{day:%Y%m%d}")) if day else b""
    return past + _WIDE_CODE.pack(*_split(code)) + struct.pack("<HH", start, count)


def read_ticks(body: bytes, *, is_past: bool) -> Ticks:
    """Ticks of a day before today, which have no counts of orders, or of today."""
    count = _count(body, "ticks")
    start, size = (_skip(body, count), 4) if is_past else (2, 5)
    data, starts, _, numbers = _rows(body, start, count, "ticks", 2, size, 0)
    minute = _gather(data, starts, "<u2", 2)[:, 0].astype(np.int64)
    if (minute >= _MINUTES).any():
        raise WrongAnswer(f"ticks: {minute.max()} is not a minute of a day")
    steps, volume, *orders, side, _ = numbers.T
    return Ticks(minute, np.cumsum(steps), volume, orders[0] if orders else volume * 0, side)


def ask_list(market: int, start: int) -> bytes:
    return struct.pack("<HIII", market, start, LIST_PAGE, 0)


def read_list(body: bytes) -> list[Listed]:
    """A page of a market's list."""
    _refuse_rest(body, 2 + _count(body, "list") * _LISTED.size, "list")
    return [
        Listed(digits.decode("latin-1"), name.partition(b"\0")[0].decode("gbk", "replace").strip())
        for digits, _, name, _ in _LISTED.iter_unpack(body[2:])
    ]


def ask_count(market: int, day: date) -> bytes:
    return struct.pack("<HI", market, int(f"{day:%Y%m%d}"))


def read_count(body: bytes) -> int:
    """The number of all securities of a market."""
    count = _count(body, "count")
    _refuse_rest(body, 2, "count")
    return count


def ask_events(codes: Sequence[str]) -> bytes:
    """The request of the events of up to EVENTS_PAGE codes."""
    return _pack_codes(codes)


def read_events(body: bytes, codes: Sequence[str]) -> list[list[Event]]:
    """The events of the codes that were asked for, in their order, one list for each.

    The last codes may be missing if their events do not fit an answer. An answer without the count
    of a code is a refusal: of a code without events it is 0.
    """
    what = f"events of {codes[0]}"
    answered = _count(body, what)
    if not 1 <= answered <= len(codes):
        raise WrongAnswer(f"{what}: response has {answered} codes, not {len(codes)}")
    at, events = 2, list[list[Event]]()
    for code in codes[:answered]:
        if len(body) < at + _EVENTS_OF.size:
            raise WrongAnswer(f"events of {code}: cut off before their count")
        market, digits, count = _EVENTS_OF.unpack_from(body, at)
        if (market, digits) != _split(code):
            raise WrongAnswer(f"events of {code}: events of another code")
        at += _EVENTS_OF.size
        if len(body) < at + count * _EVENT.size:
            raise WrongAnswer(f"events of {code}: cut off")
        rows = _EVENT.iter_unpack(body[at : at + count * _EVENT.size])
        events.append([Event(day, category, tuple(values)) for day, category, *values in rows])
        at += count * _EVENT.size
    _refuse_rest(body, at, what)
    return events


def ask_quotes(codes: Sequence[str]) -> bytes:
    return struct.pack("<HIH", 5, 0, 0) + _pack_codes(codes)


def read_quotes(body: bytes) -> list[Quote]:
    """Quotes of the codes that the server knows."""
    reader = _Reader(body, "quotes")
    reader.fixed("<H")
    (count,) = reader.fixed("<H")
    quotes = [_read_quote(reader) for _ in range(count)]
    _refuse_rest(body, reader.at, "quotes")
    return quotes


def _read_quote(reader: "_Reader") -> Quote:
    market, digits, active1 = reader.fixed("<B6sH")
    close, *steps, time, _, volume, current = reader.numbers(9)
    previous, opened, high, low = (close + step for step in steps)
    (amount,) = reader.fixed("<f")
    if not 0 <= amount < _MOST:
        raise WrongAnswer("quotes: an impossible turnover")
    inside, outside, _, _ = reader.numbers(4)
    levels = [reader.numbers(4) for _ in range(LEVELS)]
    reader.fixed("<H")
    reader.numbers(4)
    _, active2 = reader.fixed("<HH")
    return Quote(
        market,
        digits.decode("latin-1"),
        active1,
        close,
        previous,
        opened,
        high,
        low,
        time,
        volume,
        current,
        amount,
        inside,
        outside,
        [(close + bid, hands) for bid, _, hands, _ in levels],
        [(close + ask, hands) for _, ask, _, hands in levels],
        active2,
    )


class _Reader:
    """Reads an answer from its start on."""

    def __init__(self, body: bytes, what: str) -> None:
        self._body, self._what, self.at = body, what, 0

    def fixed(self, form: str) -> tuple[Any, ...]:
        start, size = self.at, struct.calcsize(form)
        self.at += size
        if self.at > len(self._body):
            raise WrongAnswer(f"{self._what}: cut off")
        return struct.unpack_from(form, self._body, start)

    def numbers(self, count: int) -> list[int]:
        return [self._number() for _ in range(count)]

    def _number(self) -> int:
        byte: int = self.fixed("<B")[0]
        value, shift, is_negative = byte & 0x3F, 6, byte & 0x40
        while byte & 0x80:
            (byte,) = self.fixed("<B")
            value += (byte & 0x7F) << shift
            shift += 7
            if shift > 7 * _LONGEST:
                raise WrongAnswer(f"{self._what}: a number without end")
        return -value if is_negative else value


def _rows(
    body: bytes, at: int, count: int, what: str, prefix: int, numbers: int, suffix: int
) -> tuple[NDArray[np.uint8], Ints, Ints, Ints]:
    """The bytes, the start of each row, the ends of its numbers, and these.

    A row has `prefix` bytes, then numbers, then `suffix` bytes; `count` rows fill the answer.
    """
    data = np.frombuffer(body, np.uint8)
    is_end = data < 0x80
    ends = np.flatnonzero(is_end)
    before: Ints = np.cumsum(is_end) - is_end  # ends of numbers before each byte
    all_ends: list[int] = ends.tolist()
    rank: list[int] = before.tolist()
    starts, position = list[int](), at
    try:
        for _ in range(count):
            starts.append(position)
            position = all_ends[rank[position + prefix] + numbers - 1] + 1 + suffix
    except IndexError:
        raise WrongAnswer(f"{what}: cut off after {len(starts) - 1} of {count} rows") from None
    _refuse_rest(body, position, what)
    first = np.array(starts, np.int64)
    if not count:
        return data, first, np.zeros((0, numbers), np.int64), np.zeros((0, numbers), np.int64)
    last = ends[before[first + prefix][:, None] + np.arange(numbers)]
    begin = np.concatenate([(first + prefix)[:, None], last[:, :-1] + 1], axis=1)
    size = last - begin + 1
    if size.max() > _LONGEST:
        raise WrongAnswer(f"{what}: a number without end")
    head = data[begin]
    value = (head & 0x3F).astype(np.int64)
    for i in range(1, size.max()):
        longer = size > i
        value[longer] += (data[begin[longer] + i] & 0x7F).astype(np.int64) << (7 * i - 1)
    return data, first, last, np.where(head & 0x40, -value, value)


def _gather(data: NDArray[np.uint8], starts: Ints, kind: str, size: int) -> NDArray[Any]:
    """`size` bytes from each start, read as numbers of a kind."""
    return np.ascontiguousarray(data[starts[:, None] + np.arange(size)]).view(kind)


def _split(code: str) -> tuple[int, bytes]:
    return MARKETS[code[:2]], code[2:].encode()


def _pack_codes(codes: Sequence[str]) -> bytes:
    return _U16.pack(len(codes)) + b"".join(_CODE.pack(*_split(code)) for code in codes)


def _count(body: bytes, what: str) -> int:
    if len(body) < _U16.size:
        raise WrongAnswer(f"{what}: {len(body)} bytes are too few for a count")
    count: int = _U16.unpack_from(body)[0]
    return count


def _skip(body: bytes, count: int) -> int:
    """Where the rows start behind a count and four bytes that nobody knows."""
    return 6 if count or len(body) > _U16.size else 2


def _refuse_rest(body: bytes, end: int, what: str) -> None:
    if end != len(body):
        fault = "cut" if end > len(body) else f"{len(body) - end} bytes left over"
        raise WrongAnswer(f"{what}: {fault}")


@lru_cache(20_000)
def _day(number: int) -> date:
    try:
        return number_to_date(number)
    except ValueError:
        raise WrongAnswer(f"{number} is not a day") from None


def _zipped_day(number: int) -> date:
    return _day((2004 + (number >> 11)) * 10000 + number % 2048)


def _clock(minute: int, what: str) -> str:
    if minute >= _MINUTES:
        raise WrongAnswer(f"{what}: {minute} is not a minute of a day")
    return f"{minute // 60:02}:{minute % 60:02}"
