"""What only a real connection shows: an answer without an end, TLS, a proxy."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from loaders.requests.http import NoAnswerInTime
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from quotemill.errors import UpstreamError

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no single read ever times out."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    writer.close()


def ask(answer: Answer, scheme: str, patience: float) -> None:
    """Ask a server that answers so."""

    async def once() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = TdxSettings(base_url=address, timeout=patience / 3, retries=0)
        try:
            async with TdxClient(settings) as client:
                await client.kline_all("sh600000")
        finally:
            server.close()

    asyncio.run(once())


def test_an_answer_that_does_not_end_is_given_up_in_time() -> None:
    with pytest.raises(NoAnswerInTime):
        ask(drip, "http", 0.1)


def test_tls_spoken_to_a_plain_service_is_named_at_once() -> None:
    with pytest.raises(UpstreamError, match="no TLS") as caught:
        ask(refuse, "https", 30)
    assert "http://" in caught.value.hint


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def count_bars(url: str) -> int:
        async with TdxClient(TdxSettings(base_url=url)) as client:
            return len(await client.kline_all("sh600000"))

    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with TdxSandbox(SyntheticMarket(codes=6, days=40, seed=3)) as sandbox:
        assert asyncio.run(count_bars(sandbox.url))
