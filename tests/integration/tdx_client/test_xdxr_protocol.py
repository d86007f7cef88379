"""Pools of quote servers, by their xdxr request, against the stand-in."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from loaders.engine.outcome import SourceGone
from loaders.sandbox.tdx.quote_server import LOGIN, Address, Temper, serve_quotes
from loaders.sandbox.tdx.quote_wire import LONG
from loaders.tdx.servers import codec
from loaders.tdx.servers.codec import Event
from loaders.tdx.servers.frames import Server
from loaders.tdx.servers.pool import Pool
from loaders.tdx.servers.xdxr import build_actions
from loaders.tdx.settings import TdxSettings
from quotemill.errors import UpstreamError


def packed(*rows: tuple[int, date, int, tuple[float, ...]]) -> bytes:
    """An xdxr body: market, date, category and four single floats of each row."""
    body = b"\0" * 9 + struct.pack("<H", len(rows))
    for market, day, category, values in rows:
        number = day.year * 10000 + day.month * 100 + day.day
        body += struct.pack("<B6sBIB4f", market, b"600000", 0, number, category, *values)
    return body


SH600000 = (1, b"600000")
ONE_ROW = packed((1, date(2011, 6, 3), 1, (1.6, 0.0, 3.0, 0.0)))
Answer = list[Event] | UpstreamError


def ask(
    *addresses: Address, codes: Sequence[str] = ("sh600000",), quiet: float = 5
) -> list[Answer]:
    """What these servers answer for each code; `quiet` seconds are too many for an answer."""

    async def run() -> list[Answer]:
        named = [f"{host}:{port}" for host, port in addresses]
        async with Pool(TdxSettings(servers=named, timeout=quiet, concurrency=1)) as pool:
            answers = list[Answer]()
            for code in codes:
                answers += (await pool.events([code])).values()
                await pool.close()  # the next code needs a new connection
            return answers

    return asyncio.run(run())


def count(*addresses: Address, **options: float) -> int:
    (answer,) = ask(*addresses, **options)
    assert isinstance(answer, list)
    return len(answer)


def refusing() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address: Address = gone.getsockname()
        return address


def test_the_servers_answer_becomes_actions() -> None:
    codes = ("sh600000", "sz000002")
    with serve_quotes({SH600000: ONE_ROW}) as server:
        some, none = ask(server.address, codes=codes)
    assert isinstance(some, list)
    assert isinstance(none, list)
    actions, nothing = build_actions("sh600000", some), build_actions("sz000002", none)
    (row,) = actions.rows
    assert (row.cash_per10_yuan, row.bonus_total_per10) == (Decimal("1.6"), Decimal(3))
    # an empty answer is a loss of what is stored
    assert (nothing.rows, nothing.covers) == ([], {"sz000002"})
    assert actions.covers == {"sh600000"}


def test_a_packed_answer_has_every_count_of_shares_as_it_was_sent() -> None:
    counts = [0.5, 1.25, 3.0, 100.5, 255.0, 16777215.0]
    events = packed(*((1, date(2011, 6, 3 + n), 5, (0, 0, 0, c)) for n, c in enumerate(counts)))
    assert len(events) > LONG
    with serve_quotes({SH600000: events}) as server:
        (answer,) = ask(server.address)
    assert isinstance(answer, list)
    rows = build_actions("sh600000", answer).rows
    assert [row.total_shares_10k for row in rows] == counts


@pytest.mark.parametrize("logs_in", [False, True])
def test_a_server_that_punishes_old_clients_answers_after_one_packet_only(*, logs_in: bool) -> None:
    async def run(address: Address) -> int:
        server = await Server.open(address, asyncio.Semaphore(1), 5)
        try:
            if logs_in:
                await server.ask(LOGIN, bytes(42))
            body = await server.ask(codec.EVENTS, codec.ask_events(["sh600000"]))
            return len(codec.read_events(body, ["sh600000"])[0])
        finally:
            server.close()

    with serve_quotes({SH600000: ONE_ROW}, Temper.PUNISHING) as server:
        if logs_in:
            with pytest.raises(codec.WrongAnswer):
                asyncio.run(run(server.address))
        else:
            assert asyncio.run(run(server.address)) == 1


@pytest.mark.parametrize("body", [ONE_ROW[:-1], ONE_ROW[:-29], b"", b"\0\0", b"\0" * 10])
def test_an_answer_without_all_events_or_their_count_is_left_for_the_next(body: bytes) -> None:
    with (
        serve_quotes({SH600000: body}) as cutting,
        serve_quotes({SH600000: ONE_ROW}) as good,
    ):
        assert count(cutting.address, good.address) == 1
        assert cutting.commands[-1] == good.commands[-1]


def test_a_server_without_bars_of_a_known_code_is_asked_for_no_event() -> None:
    with (
        serve_quotes({SH600000: packed()}, Temper.BARLESS) as barless,
        serve_quotes({SH600000: ONE_ROW}) as good,
    ):
        answers = ask(barless.address, good.address, codes=("sh600000", "sh600000"))
        assert [isinstance(answer, list) and len(answer) for answer in answers] == [1, 1]
        assert (barless.came, len(barless.commands)) == (1, 2)


def test_a_server_that_refuses_is_left_for_the_next() -> None:
    with serve_quotes({SH600000: ONE_ROW}) as server:
        assert count(refusing(), server.address) == 1


def test_a_server_that_breaks_off_is_left_for_the_next() -> None:
    with (
        serve_quotes({SH600000: None}) as breaking,
        serve_quotes({SH600000: ONE_ROW}) as good,
    ):
        assert count(breaking.address, good.address) == 1


def test_a_code_that_no_server_answers_fails_alone() -> None:
    async def run(address: Address) -> dict[str, Answer]:
        named = ["{}:{}".format(*address)]
        async with Pool(TdxSettings(servers=named)) as pool:
            return await pool.events(["sz000001", "sz000002", "sh600000"])

    with serve_quotes({SH600000: ONE_ROW, (0, b"000002"): None}) as server:
        answers = asyncio.run(run(server.address))
    refused = answers.pop("sz000002")
    assert isinstance(refused, UpstreamError)
    assert not isinstance(refused, SourceGone)
    assert [isinstance(a, list) and len(a) for a in answers.values()] == [0, 1]


def test_a_server_that_is_mute_is_asked_once_in_a_load() -> None:
    codes = ("sh600000", "sz000002", "sz000001")
    with serve_quotes(temper=Temper.MUTE) as mute, serve_quotes() as good:
        answers = ask(mute.address, good.address, codes=codes, quiet=0.2)
        assert answers == [[]] * 3
        assert mute.came == 1


@pytest.mark.parametrize("temper", [Temper.MUTE, Temper.BARLESS])
def test_without_a_server_that_answers_there_is_no_waiting_for_each_code(temper: Temper) -> None:
    codes = ("sh600000", "sz000002", "sz000001")
    with serve_quotes(temper=temper) as first, serve_quotes(temper=temper) as second:
        answers = ask(first.address, second.address, codes=codes, quiet=0.2)
        assert [type(answer) for answer in answers] == [SourceGone] * 3
        assert (first.came, second.came) == (1, 1)


def test_no_server_at_all_is_an_upstream_failure() -> None:
    (answer,) = ask(refusing())
    assert isinstance(answer, SourceGone)
