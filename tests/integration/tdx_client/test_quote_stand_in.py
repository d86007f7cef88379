"""The stand-in for a quote server, read by an independent client and byte by byte."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pytest

from loaders.sandbox.tdx import quote_answers as commands
from loaders.sandbox.tdx.quote_answers import answer_request
from loaders.sandbox.tdx.quote_server import Address, QuoteServer
from loaders.sandbox.tdx.quote_wire import REFUSAL
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import DIVIDEND
from loaders.sandbox.world.bars import Bars
from loaders.sandbox.world.market import SyntheticMarket

WORLD = SyntheticMarket(codes=12, days=900)
SUSPENDED = "sz000002"
EXACT = 128  # pytdx misreads volumes below
NUMBERS = {"sz": 0, "sh": 1, "bj": 2}


@pytest.fixture(scope="module")
def sandbox() -> TdxSandbox:
    return TdxSandbox(WORLD)


@pytest.fixture(scope="module")
def address(sandbox: TdxSandbox) -> Iterator[Address]:
    with QuoteServer(partial(answer_request, sandbox.state)) as server:
        yield server.address


@pytest.fixture(scope="module")
def pytdx(address: Address) -> Iterator[Any]:
    from pytdx.hq import TdxHq_API

    api = TdxHq_API()
    with api.connect(*address, time_out=60):
        yield api


def known_days(code: str) -> Bars:
    bars = WORLD.day_bars(code)
    return bars.slice(0, sum(stamp <= WORLD.end.isoformat() for stamp in bars.stamps))


def pages(ask: Any, period: int, code: str, page: int = 800) -> list[Any]:
    rows: list[Any] = []
    while part := ask(period, NUMBERS[code[:2]], code[2:], len(rows), page):
        rows = part + rows
    return rows


def compare(rows: list[Any], bars: Bars, volumes: list[int]) -> None:
    assert [row["datetime"].replace(" ", "T") + ":00" for row in rows] == bars.stamps
    for name in ("open", "high", "low", "close"):
        assert [round(row[name] * 1000) for row in rows] == getattr(bars, name).tolist()
    assert [int(row["amount"] * 1000) for row in rows] == bars.amount.tolist()
    for row, volume in zip(rows, volumes, strict=True):
        assert volume < EXACT or row["vol"] == np.float32(volume)


@pytest.mark.parametrize("code", [s.code for s in WORLD.securities if s.kind != "index"])
def test_day_bars_of_all_pages_are_those_of_the_market_in_hands(pytdx: Any, code: str) -> None:
    bars = known_days(code)
    rows = pages(pytdx.get_security_bars, 9, code)
    traded = [row for row in rows if row["vol"] >= 1]
    compare(traded, bars, bars.volume.tolist())
    flat = [row for row in rows if row["vol"] < 1]
    assert all(row["open"] == row["high"] == row["low"] == row["close"] for row in flat)
    assert bool(flat) == (code == SUSPENDED)
    shares = [row for row in pages(pytdx.get_security_bars, 4, code) if row["vol"] >= 1]
    compare(shares, bars, (bars.volume * 100 + bars.odd).tolist())


@pytest.mark.parametrize("code", ["sh000001", "sz399001"])
def test_index_bars_have_hundreds_of_hands_and_counts(pytdx: Any, code: str) -> None:
    bars = known_days(code)
    rows = pages(pytdx.get_index_bars, 9, code)
    compare(rows, bars, (bars.volume // 100).tolist())
    counts = [(row["up_count"], row["down_count"]) for row in rows]
    assert counts == list(zip(bars.up.tolist(), bars.down.tolist(), strict=True))


@pytest.mark.parametrize(
    ("period", "key"),
    [
        (5, lambda day: day.isocalendar()[:2]),
        (6, lambda day: (day.year, day.month)),
        (10, lambda day: (day.year, (day.month + 2) // 3)),
        (11, lambda day: day.year),
    ],
)
def test_longer_bars_cover_the_days(pytdx: Any, period: int, key: Callable[[date], object]) -> None:
    days = known_days("sh600000")
    count = len({key(date.fromisoformat(stamp[:10])) for stamp in days.stamps})
    rows = pages(pytdx.get_security_bars, period, "sh600000")
    assert len(rows) == count
    assert sum(row["vol"] for row in rows) == pytest.approx(days.volume.sum(), rel=1e-6)
    assert max(round(row["high"] * 1000) for row in rows) == days.high.max()
    assert round(rows[0]["open"] * 1000) == days.open[0]
    assert round(rows[-1]["close"] * 1000) == days.close[-1]


@pytest.mark.parametrize(("period", "minutes"), [(8, 1), (7, 1), (0, 5), (1, 15), (2, 30), (3, 60)])
def test_minutes_of_a_page_add_up_to_their_day(pytdx: Any, period: int, minutes: int) -> None:
    days, size = known_days("sh600000"), 240 // minutes
    both = pytdx.get_security_bars(period, 1, "600000", 0, 2 * size)
    for back, rows in ((1, both[size:]), (2, both[:size])):
        assert rows[-1]["datetime"] == f"{days.day(-back)} 15:00"
        assert sum(row["vol"] for row in rows) == days.volume[-back] * 100 + days.odd[-back]
        assert round(rows[0]["open"] * 1000) == days.open[-back]
        assert round(rows[-1]["close"] * 1000) == days.close[-back]


def test_minutes_reach_back_for_a_hundred_days(pytdx: Any) -> None:
    rows = pytdx.get_security_bars(8, 1, "600000", 23_900, 800)
    assert (len(rows), rows[0]["datetime"][11:]) == (100, "09:31")


def test_a_running_session_is_seen_up_to_its_clock(sandbox: TdxSandbox, pytdx: Any) -> None:
    sandbox.set_clock(WORLD.end.replace(hour=10, minute=15))
    try:
        (bar,) = pytdx.get_security_bars(9, 1, "600000", 0, 1)
        minutes = pytdx.get_security_bars(8, 1, "600000", 0, 45)
        points = pytdx.get_minute_time_data(1, "600000")
        ticks = pytdx.get_transaction_data(1, "600000", 0, 1800)
    finally:
        sandbox.set_clock(WORLD.end)
    assert (bar["day"], len(points), minutes[0]["datetime"][11:]) == (WORLD.end.day, 45, "09:31")
    assert round(bar["close"] * 100) == round(points[-1]["price"] * 100)
    assert {tick["time"] for tick in ticks} <= {
        f"{h:02d}:{m:02d}" for h in (9, 10) for m in range(60)
    }
    assert ticks[-1]["time"] == "10:15"


@pytest.mark.parametrize("code", ["sh600000", "sz159915"])
def test_minutes_and_ticks_of_a_day_are_those_of_the_market(pytdx: Any, code: str) -> None:
    day, market = date.fromisoformat(known_days(code).day(-30)), NUMBERS[code[:2]]
    security = WORLD.find(code)
    assert security is not None
    unit = 10 if security.kind == "stock" else 1  # cents, or li of a fund
    number = int(f"{day:%Y%m%d}")
    points = pytdx.get_history_minute_time_data(market, code[2:], number)
    assert [(round(p["price"] * 100) * unit, p["vol"]) for p in points] == [
        (p.price, p.number) for p in WORLD.minute_points(code, day)
    ]
    ticks = pytdx.get_history_transaction_data(market, code[2:], 0, 2000, number)
    assert [
        (t["time"], round(t["price"] * 100) * unit, t["vol"], t["buyorsell"]) for t in ticks
    ] == [tick[:4] for tick in WORLD.ticks(code, day)]


def test_quotes_leave_out_unknown_codes(pytdx: Any) -> None:
    (quote,) = pytdx.get_security_quotes([(1, "600000"), (1, "699999")])
    bar = known_days("sh600000")
    assert round(quote["price"] * 1000) == bar.close[-1]
    assert [round(quote[n] * 1000) for n in ("open", "high", "low")] == [
        bar.open[-1],
        bar.high[-1],
        bar.low[-1],
    ]
    assert (quote["vol"], quote["bid1"] < quote["ask1"]) == (bar.volume[-1], True)


@pytest.mark.parametrize("exchange", ["sz", "sh"])
def test_lists_and_counts_are_those_of_an_exchange(pytdx: Any, exchange: str) -> None:
    mine = {s.digits: s.name for s in WORLD.securities if s.exchange == exchange}
    rows = pytdx.get_security_list(NUMBERS[exchange], 0)
    assert {row["code"]: row["name"] for row in rows} == mine
    assert pytdx.get_security_count(NUMBERS[exchange]) == len(mine)


def test_events_have_their_amounts(pytdx: Any) -> None:
    rows = [row for row in pytdx.get_xdxr_info(1, "600000") if row["category"] == DIVIDEND]
    assert [
        (date(r["year"], r["month"], r["day"]), f"{r['fenhong']:.2f}", f"{r['songzhuangu']:.2f}")
        for r in rows
    ] == [
        (a.ex_date, f"{a.cash:.2f}", f"{a.bonus + a.transfer:.2f}")
        for a in WORLD.actions("sh600000")
        if a.category == DIVIDEND
    ]


def request(message: int, command: int, content: bytes = b"") -> bytes:
    size = len(content) + 2
    return struct.pack("<BIBHHH", 0x0C, message, 1, size, size, command) + content


def read(connection: socket.socket) -> tuple[int, int, int, bytes]:
    """Message, announced sizes and body as sent of an answer; b"" of one that is cut."""
    head = connection.recv(16, socket.MSG_WAITALL)
    if len(head) < 16:
        return 0, 0, 0, b""
    message, sent, unpacked = struct.unpack("<5xI3xHH", head)
    body = connection.recv(sent, socket.MSG_WAITALL)
    return message, sent, unpacked, body if len(body) == sent else b""


XDXR = struct.pack("<H", 3) + b"\x01600000" + b"\x00000001" + b"\x01699999"


def test_a_list_and_events_of_several_codes_have_a_part_each(address: Address) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(request(1, commands.OLD_LIST, struct.pack("<HH", 2, 0)))  # never comes
        connection.sendall(request(2, commands.LIST, struct.pack("<HII", 2, 0, 1)))
        message, _, size, body = read(connection)
        assert (message, size, body[:2]) == (2, 2 + 37, b"\1\0")
        connection.sendall(request(3, commands.XDXR, XDXR))
        _, _, size, _ = read(connection)
        connection.sendall(request(4, commands.XDXR, struct.pack("<H", 1) + b"\x01699999"))
        _, _, none, body = read(connection)
        events = [row for code in ("sh600000", "sz000001") for row in WORLD.actions(code)]
        assert (none, body) == (11, b"\1\0\x01699999\0\0")
        assert size - 2 - 3 * 9 >= 29 * len(events)


FAULTS = {
    "leftover:xdxr:bytes=3": (14, 14),
    "wrong-length:xdxr": (11, 12),
    "empty-body:xdxr": (0, 0),
    "error:xdxr": (2, 2),
    "empty:kline-all": (11, 11),
    "cut:xdxr:at=0.7": (11, 11),
    "reset:xdxr": (0, 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_spoils_an_answer(sandbox: TdxSandbox, address: Address, fault: str) -> None:
    sandbox.faults.add(fault)
    try:
        with socket.create_connection(address) as connection:
            for message in (1, 2):
                connection.sendall(
                    request(message, commands.XDXR, struct.pack("<H", 1) + b"\x01699999")
                )
            _, sent, unpacked, body = read(connection)
    finally:
        sandbox.faults.clear()
    assert (sent, unpacked) == FAULTS[fault]
    assert len(body) == (0 if "cut" in fault else sent)
    assert (body == REFUSAL) == (sent == 2)
    assert sandbox.log[-1].codes == ("sh699999",)


def test_a_hanging_answer_never_comes_and_a_restart_ends_every_connection(
    sandbox: TdxSandbox, address: Address
) -> None:
    with socket.create_connection(address) as first, socket.create_connection(address) as second:
        sandbox.faults.add("hang:market-count:nth=1")
        sandbox.faults.add("restart:market-count:nth=3:seconds=0")
        for message in (1, 2):
            first.sendall(request(message, commands.COUNT, b"\1\0"))
        assert read(first)[0] == 2
        second.sendall(request(3, commands.COUNT, b"\1\0"))
        assert (read(second)[3], read(first)[3]) == (b"", b"")
        sandbox.faults.clear()
    with reopened(address) as again:
        again.sendall(request(4, commands.HEARTBEAT))
        assert read(again)[0] == 4


def reopened(address: Address) -> socket.socket:
    while True:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(address)
