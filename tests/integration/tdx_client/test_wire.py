"""What a real connection can do to a request: reset, cut off, hang, refuse."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson
import pytest

from loaders.requests.http import NoAnswerInTime, RetryableAnswer
from loaders.tdx.client.answers import Bars
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from quotemill.errors import UpstreamError

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BAR = {
    "Last": 0,
    "Open": 10,
    "High": 11,
    "Low": 9,
    "Close": 10,
    "Volume": 1,
    "Amount": 1,
    "Time": "2019-02-01T15:00:00+08:00",
    "UpCount": 0,
    "DownCount": 0,
}
META = {"source": "tdx", "type": "day", "batch_limit": 800, "notes": []}
BODY = orjson.dumps(
    {"code": 0, "message": "success", "data": {"count": 1, "list": [BAR], "meta": META}}
)
KNOCK = orjson.dumps({"code": 0, "message": "success", "data": {"Count": 0, "List": None}})
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


def plain(body: bytes) -> Behaviour:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


async def cut_chunk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    half = BODY[: len(BODY) // 2]
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    writer.write(start + f"{len(BODY):x}\r\n".encode() + half)
    await writer.drain()


async def drop(_: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Not one byte, as a handler that crashes."""


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no single read ever times out."""
    writer.write(HEAD + b"Content-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


class Wire:
    """Loopback server: connection n meets behaviour n, later ones the last."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours, self.seen = behaviours, 0
        self.server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        self.server = await asyncio.start_server(self._meet, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behaviour = self.behaviours[min(self.seen, len(self.behaviours) - 1)]
        self.seen += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def asked(wire: Wire, **settings: Any) -> Bars:
    async def once() -> Bars:
        port = await wire.start()
        address = f"http://127.0.0.1:{port}"
        options = {"base_url": address, "backoff": 0.0} | settings
        async with TdxClient(TdxSettings(**options)) as client:
            try:
                return await client.kline_all("sh600000")
            finally:
                assert wire.server is not None
                wire.server.close()

    return asyncio.run(once())


@pytest.mark.parametrize("behaviour", [cut_chunk, drop, reset, plain(BODY[:-30])])
def test_a_connection_that_breaks_is_tried_again(behaviour: Behaviour) -> None:
    wire = Wire(behaviour, behaviour, plain(BODY))
    assert len(asked(wire)) == 1
    assert wire.seen == 3


@pytest.mark.parametrize("behaviour", [cut_chunk, drop, reset])
def test_a_connection_that_breaks_every_time_fails_with_what_was_asked(
    behaviour: Behaviour,
) -> None:
    wire = Wire(behaviour)
    with pytest.raises(RetryableAnswer, match=r"kline-all sh600000 .*the connection broke"):
        asked(wire)
    assert wire.seen == 4


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_an_answer_that_does_not_end_is_given_up_in_time(behaviour: Behaviour) -> None:
    wire = Wire(behaviour)
    with pytest.raises(NoAnswerInTime):
        asked(wire, bulk_timeout=0.1, retries=0)


def test_tls_spoken_to_a_plain_service_is_named_at_once() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with TdxClient(TdxSettings(base_url=address)) as client:
                with pytest.raises(UpstreamError, match="no TLS") as caught:
                    await client.kline_all("sh600000")
        assert "http://" in caught.value.hint

    asyncio.run(scenario())


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert len(asked(Wire(plain(BODY)))) == 1


def test_a_service_that_starts_late_is_waited_for() -> None:
    """The port is closed until the first step of waiting is over."""
    wire = Wire(plain(KNOCK), plain(BODY))
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]

    async def start_when_waiting(_: float) -> None:
        if wire.server is None:
            await wire.start(port)

    async def scenario() -> int:
        settings = TdxSettings(base_url=f"http://127.0.0.1:{port}", backoff=0.0)
        async with TdxClient(settings, sleep=start_when_waiting) as client:
            bars: Coroutine[Any, Any, Bars] = client.kline_all("sh600000")
            return len(await bars)

    assert asyncio.run(scenario()) == 1
