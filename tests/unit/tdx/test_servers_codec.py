"""Answers of the quote servers, byte by byte."""

import struct
import zlib
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.tdx.servers import codec
from loaders.tdx.servers.codec import Event, WrongAnswer
from loaders.tdx.servers.frames import unpack

# ten days of sz000001, as a public server sent them in June 2017
TEN_DAYS = bytes.fromhex(
    "0a006ec73301b28c011e3254a081ad4816d6984d6fc7330154ae0182024ab0a51d4978090c4e70c7330154142"
    "85e8003bb488b59a64d71c73301140086015ec059274945cb154e74c73301006828724060f648ae0edc4d75c7"
    "3301000a1e7c40f6da48a37dc24d76c7330100680ad0018052b748ad68a24d77c7330100680072a0f0a448f8b"
    "9914d78c733010054285ee0a48b48c294764d7bc733010aa401b8014a001def4874abd44d"
)
READERS: dict[str, Callable[[bytes], Any]] = {
    "day": lambda body: codec.read_bars(body, "day", is_index=False),
    "index": lambda body: codec.read_bars(body, "day", is_index=True),
    "minute": lambda body: codec.read_bars(body, "minute1", is_index=False),
    "past minutes": codec.read_past_minutes,
    "past ticks": lambda body: codec.read_ticks(body, is_past=True),
    "ticks": lambda body: codec.read_ticks(body, is_past=False),
    "list": codec.read_list,
    "count": codec.read_count,
    "events": lambda body: codec.read_events(body, ["sh600000"]),
    "quotes": codec.read_quotes,
}


def number(value: int) -> bytes:
    """A number of the protocol: six bits and the sign, then seven bits a byte."""
    sign, rest = (0x40 if value < 0 else 0), abs(value)
    out = bytearray([sign | rest & 0x3F])
    rest >>= 6
    while rest:
        out[-1] |= 0x80
        out.append(rest & 0x7F)
        rest >>= 7
    return bytes(out)


def bar(stamp: bytes, steps: tuple[int, ...], volume: float, amount: float) -> bytes:
    return stamp + b"".join(map(number, steps)) + struct.pack("<ff", volume, amount)


def day(text: int) -> bytes:
    return struct.pack("<I", text)


def counted(*rows: bytes) -> bytes:
    return struct.pack("<H", len(rows)) + b"".join(rows)


def test_recorded_days_are_read_to_their_last_byte() -> None:
    bars = codec.read_bars(TEN_DAYS, "day", is_index=False)
    assert (bars.times[0], bars.times[-1]) == ("2017-06-06T15:00:00", "2017-06-19T15:00:00")
    first = [int(column[0]) for column in (bars.open, bars.high, bars.low, bars.close)]
    assert first == [9010, 9060, 8990, 9040]
    assert (bars.close[-1], bars.volume[0], bars.amount[0]) == (9130, 355341, 320520896)


@pytest.mark.parametrize("price", [1, 63, 64, 8191, 8192, 1_048_575, 1_048_576, 9_999_999_999])
def test_numbers_of_every_length_and_sign_are_read(price: int) -> None:
    rows = [
        bar(day(20241108), (price, 0, 0, 0), 1, 2),
        bar(day(20241111), (-price, 0, 0, 0), 1, 2),
        bar(day(20241112), (-price, price, -price, 0), 1, 2),
    ]
    bars = codec.read_bars(counted(*rows), "day", is_index=False)
    assert bars.close.tolist() == [price, 0, 0]
    assert [bars.open[2], bars.high[2], bars.low[2]] == [-price, -2 * price, -price]


def test_an_index_has_members_and_a_minute_its_label() -> None:
    tiny = 5.877471754111438e-39  # what servers send for a volume of 0
    row = bar(day(20241108), (3_000_000, 5, 9, -9), tiny, 1e11) + struct.pack("<HH", 7, 9)
    index = codec.read_bars(counted(row), "day", is_index=True)
    assert (index.up.tolist(), index.down.tolist()) == ([7], [9])
    assert int(index.volume[0]) == 0
    stamp = struct.pack("<HH", (2024 - 2004 << 11) + 1108, 13 * 60 + 1)
    minutes = codec.read_bars(counted(bar(stamp, (10, 0, 0, 0), 100, 1)), "minute1", is_index=False)
    assert minutes.times == ["2024-11-08T13:01:00"]


def test_minutes_and_ticks_of_a_day_are_steps_of_price() -> None:
    steps = [number(1_000) + number(3) + number(5), number(-1) + number(0) + number(6)]
    price, volume = codec.read_past_minutes(struct.pack("<H4x", 2) + b"".join(steps))
    assert (price.tolist(), volume.tolist()) == ([1000, 999], [5, 6])

    def tick(minute: int, *numbers: int) -> bytes:
        return struct.pack("<H", minute) + b"".join(map(number, numbers))

    past = tick(565, 1200, 7, 2, 0) + tick(900, -3, 8, 1, 0)
    ticks = codec.read_ticks(struct.pack("<H4x", 2) + past, is_past=True)
    assert [c.tolist() for c in ticks] == [[565, 900], [1200, 1197], [7, 8], [0, 0], [2, 1]]
    today = codec.read_ticks(counted(tick(565, 1200, 7, 4, 2, 0)), is_past=False)
    assert (today.orders.tolist(), today.side.tolist()) == ([4], [2])


def test_a_list_has_digits_and_names_in_gbk() -> None:
    name = "浦发银行".encode("gbk").ljust(16, b"\0")
    row = struct.pack("<6sH16s4xBf4x", b"600000", 100, name, 2, 9.5)
    assert codec.read_list(counted(row)) == [("600000", "浦发银行")]
    assert codec.read_count(b"\x07\x80") == 0x8007


EVENT = struct.pack("<B6sxIB4f", 1, b"600000", 20110603, 1, 1.5, 0, 3, 0)
OF_CODE = struct.pack("<B6s", 1, b"600000")


def test_events_come_for_several_codes_at_once() -> None:
    body = struct.pack("<H", 2) + OF_CODE + counted(EVENT, EVENT)
    body += struct.pack("<B6sH", 0, b"000001", 0)
    event = Event(20110603, 1, (1.5, 0, 3, 0))
    assert codec.read_events(body, ["sh600000", "sz000001"]) == [[event, event], []]
    assert codec.ask_events(["sz000001"]) == bytes.fromhex("0100 00 303030303031")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x20\x03",  # what servers answer to clients that they refuse
        struct.pack("<H", 1) + OF_CODE,
        struct.pack("<H", 1) + OF_CODE + counted(EVENT)[:-1],
        struct.pack("<H", 1) + OF_CODE + counted(EVENT) + b"\0",
        struct.pack("<H", 1) + struct.pack("<B6s", 1, b"600001") + counted(EVENT),
        struct.pack("<H", 2) + OF_CODE + counted(EVENT),
    ],
)
def test_events_without_their_count_or_of_another_code_are_refused(body: bytes) -> None:
    with pytest.raises(WrongAnswer, match="600000"):
        codec.read_events(body, ["sh600000"])


def test_a_quote_has_levels_around_its_price() -> None:
    head = struct.pack("<HH", 0, 1) + struct.pack("<B6sH", 0, b"000001", 100)
    steps = b"".join(map(number, (1190, 10, 5, 20, -20, 15000000, -1190, 800_000, 9)))
    tail = b"".join(map(number, (1, 2, 0, 0)))
    for level in range(5):
        tail += b"".join(map(number, (-1 - level, level, 10 + level, 20 + level)))
    tail += struct.pack("<H", 0) + bytes(4) + struct.pack("<HH", 0, 77)
    (quote,) = codec.read_quotes(head + steps + struct.pack("<f", 9.5e8) + tail)
    prices = (quote.close, quote.previous, quote.open, quote.high, quote.low)
    assert prices == (1190, 1200, 1195, 1210, 1170)
    assert (quote.volume, quote.amount, quote.active2) == (800_000, 9.5e8, 77)
    assert (quote.bids[0], quote.asks[4]) == ((1189, 10), (1194, 24))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("rest", [b"\0", b"\x80", b"\1\2\3"])
def test_bytes_left_over_are_refused(name: str, rest: bytes) -> None:
    body = {
        "day": TEN_DAYS,
        "index": counted(bar(day(20241108), (1, 0, 0, 0), 1, 1) + bytes(4)),
        "events": struct.pack("<H", 1) + OF_CODE + counted(EVENT),
        "past minutes": struct.pack("<H4x", 1) + bytes(3),
        "past ticks": struct.pack("<H4x", 1) + bytes(6),
        "ticks": struct.pack("<H", 1) + bytes(7),
        "list": counted(bytes(37)),
        "quotes": bytes(4),
    }.get(name, bytes(2))
    READERS[name](body)
    with pytest.raises(WrongAnswer, match="left over"):
        READERS[name](body + rest)
    with pytest.raises(WrongAnswer):
        READERS[name](body[:-1])


@pytest.mark.parametrize(
    "row",
    [
        bar(day(20241301), (1, 0, 0, 0), 1, 1),
        bar(day(20230229), (1, 0, 0, 0), 1, 1),
        bar(day(2**32 - 1), (1, 0, 0, 0), 1, 1),
        bar(day(20241108), (1, 0, 0, 0), float("nan"), 1),
        bar(day(20241108), (1, 0, 0, 0), 1, float("inf")),
        bar(day(20241108), (1, 0, 0, 0), -1, 1),
        bar(day(20241108), (1, 0, 0, 0), 1, 1e30),
        bar(day(20241108), (1 << 50, 0, 0, 0), 1, 1),
    ],
)
def test_impossible_days_and_numbers_are_refused(row: bytes) -> None:
    with pytest.raises(WrongAnswer):
        codec.read_bars(counted(row), "day", is_index=False)


@pytest.mark.parametrize("minutes", [1440, 65535])
def test_impossible_minutes_are_refused(minutes: int) -> None:
    stamp = struct.pack("<HH", (20 << 11) + 1108, minutes)
    with pytest.raises(WrongAnswer):
        codec.read_bars(counted(bar(stamp, (1, 0, 0, 0), 1, 1)), "minute1", is_index=False)
    with pytest.raises(WrongAnswer):
        codec.read_ticks(counted(stamp[2:] + bytes(5)), is_past=False)


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_a_refusal(name: str, body: bytes) -> None:
    refusals = []
    for content in (body, struct.pack("<H", len(body) % 7) + body):
        try:
            READERS[name](content)
        except WrongAnswer as refusal:
            refusals.append(str(refusal))
    assert all(refusals)


@given(st.integers(0, len(TEN_DAYS) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_ten_days_or_a_refusal(at: int, byte: int) -> None:
    changed = TEN_DAYS[:at] + bytes([byte]) + TEN_DAYS[at + 1 :]
    try:
        bars = codec.read_bars(changed, "day", is_index=False)
    except WrongAnswer:
        return
    assert len(bars.times) == len(bars.close) == 10
    assert np.isfinite(bars.volume).all()


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_packed_answer_has_its_size_or_is_refused(body: bytes, size: int) -> None:
    packed = zlib.compress(body)
    assert unpack(packed, len(body)) == body
    for content, wanted in ((packed, size), (packed[:-1], len(body)), (packed + b"x", len(body))):
        if wanted != len(body) or content != packed:
            with pytest.raises(WrongAnswer):
                unpack(content, wanted)
    if body[:1] != b"\x78":
        with pytest.raises(WrongAnswer):
            unpack(body, size)


def test_requests_have_the_bytes_that_servers_know() -> None:
    assert codec.ask_bars("sh600000", "day", 0, 1) == bytes.fromhex(
        "0100363030303030090001000000010000000000000000000000"
    )
    assert codec.ask_count(1, date(2017, 6, 13)) == bytes.fromhex("010075c73301")
    assert codec.ask_ticks("sz000001", 0, 10, date(2017, 8, 11)) == struct.pack(
        "<IH6sHH", 20170811, 0, b"000001", 0, 10
    )
    assert codec.ask_past_minutes("sh600300", date(2016, 12, 1)) == struct.pack(
        "<IB6s", 20161201, 1, b"600300"
    )
    assert codec.ask_quotes(["sz000001"]) == bytes.fromhex("0500000000000000010000303030303031")
    assert codec.ask_list(2, 1600) == struct.pack("<HIII", 2, 1600, 1600, 0)
