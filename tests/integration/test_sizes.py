"""Answers and files beyond their limit: refused while they come, by name, size and limit."""

import asyncio
import io
import re
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loaders.ib.client.ib_client import Connection
from loaders.ib.errors import GatewayGone
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from orchestration.run.seed_files import check_seeds
from quotemill import foreign
from quotemill.errors import DataQualityError, QuotemillError, SettingsError, UpstreamError
from quotemill.foreign import HTTP_ANSWER, Limit
from quotemill.ticks import questdb_http
from quotemill.ticks.questdb_http import Address, QuestdbHttp, StoreError
from quotemill.warehouse.dbt_project import find_project
from tests.integration.foreign_bytes.test_files import FILES
from tests.integration.foreign_bytes.test_tdx_service import CALLS

HUGE = 300 * 2**30
PROGRAM = "loaders.tq.client.program.__main__"
SMALL = Limit("a small answer", 1000)
GOOD = b'{"code":0,"message":"","data":{"Count":0,"List":null}}'


@asynccontextmanager
async def endless_zeros(packing: str) -> AsyncIterator[str]:
    """A service that answers sz000001 well, and anything else with zeros until nobody listens."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"code=sz000001" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + GOOD)
            writer.close()
            return
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Encoding: {packing}\r\n\r\n".encode())
        packed = zlib.compressobj(wbits=31)
        try:
            while not writer.is_closing():
                block = bytes(2**22)
                writer.write(packed.compress(block) if "gzip" in packing else block)
                await writer.drain()
                await asyncio.sleep(0)  # the client is on the same loop
        except ConnectionError:
            pass

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def ask(name: str, packing: str) -> tuple[QuotemillError, int]:
    """The error of a call, and the bars of another code that is asked at the same time."""

    async def once() -> Any:
        async with endless_zeros(packing) as url:
            given = TdxSettings(base_url=url, retries=0)
            async with TdxClient(given) as client:
                return await asyncio.gather(
                    CALLS[name](client),
                    client.intraday("sz000001", expect_rows=False),
                    return_exceptions=True,
                )

    error, bars = asyncio.run(once())
    return error, len(bars)


@pytest.mark.parametrize("name", CALLS)
def test_a_bomb_of_gzip_costs_its_request_alone(name: str) -> None:
    error, _ = ask(name, "gzip")
    assert isinstance(error, UpstreamError)
    assert re.match(rf"/api/\S+ .* [0-9,]+ bytes .* {HTTP_ANSWER.most:,}$", str(error))


def test_what_is_not_packed_has_the_same_limit() -> None:
    assert "large: 33," in str(ask("codes", "identity")[0])


def test_gzip_within_gzip_is_refused_unread() -> None:
    assert "'gzip, gzip'" in str(ask("codes", "gzip, gzip")[0])


@pytest.mark.parametrize("name", [name for name in FILES if name != "sh600001.day"])
def test_a_sparse_file_of_300_gb_is_refused_unread(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(HUGE)
    if name == "sh600001.lc1":
        assert FILES[name](path) == (None, None)
        return
    with pytest.raises(QuotemillError) as refused:
        FILES[name](path)
    assert re.search(r"is too large: [0-9,]+ bytes or more, .* at most [0-9,]+", str(refused.value))
    assert str(path) in str(refused.value)


def test_a_device_without_an_end_is_read_to_the_limit_alone() -> None:
    with pytest.raises(DataQualityError, match=r"/dev/zero .*large: 1,001 bytes"):
        foreign.read_file(Path("/dev/zero"), SMALL)


def test_a_sparse_seed_is_refused_unread(tmp_path: Path) -> None:
    seeds = find_project().root / "seeds"
    (tmp_path / "_seeds.yml").write_bytes((seeds / "_seeds.yml").read_bytes())
    with (tmp_path / "corporate_action_overrides.csv").open("wb") as file:
        file.truncate(HUGE)
    with pytest.raises(SettingsError, match=r"corporate_action_overrides\.csv .*large"):
        check_seeds(tmp_path)


def test_a_message_of_a_gateway_is_refused_by_its_length(caplog: pytest.LogCaptureFixture) -> None:
    async def announce(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x7f\xff\xff\xff" + bytes(100))
        await writer.drain()

    async def connect() -> None:
        server = await asyncio.start_server(announce, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            await Connection(lambda *_: None, 40).open("127.0.0.1", port, 1, 1)
        finally:
            server.close()

    with pytest.raises(GatewayGone):
        asyncio.run(connect())
    (record,) = caplog.records
    assert " 2,147,483,647 bytes" in record.getMessage()


# the futures client's library replaces the class of all loggers that come after it
EXCHANGE = """
import asyncio, websockets
from websockets.asyncio.server import serve
from loaders.tq.client.program import session
from quotemill.foreign import Limit

async def exchange():
    async def send(connection):
        await connection.send(" " * 2000)
    async with serve(send, "127.0.0.1", 0) as server:
        address = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with websockets.connect(address, max_size=None) as client:
            await client.recv()

session.TQ_MESSAGE = Limit("a message", 1000)
session.adapt_connections()
asyncio.run(exchange())
"""


def test_a_message_of_the_futures_servers_has_a_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXCHANGE], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert (done.returncode, " 1009 " in last) == (1, True), done.stderr


def test_the_futures_client_does_not_fill_the_machines_memory() -> None:
    fill = f"{PROGRAM}.limit_memory(2**30); bytearray(2**31)"
    done = subprocess.run(
        [sys.executable, "-c", f"import {PROGRAM}; {fill}"], stderr=subprocess.PIPE, check=False
    )
    assert done.stderr.splitlines()[-1] == b"MemoryError"


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_of_questdb_has_a_limit(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(questdb_http, "QUESTDB_ANSWER", SMALL)
    http = QuestdbHttp(Address("http://q:9000"))
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=bytes(2000)))
    http._client = httpx.Client(base_url="http://q:9000", transport=transport)
    for call in (http.rows, http.table):
        with pytest.raises(StoreError, match=r"http://q:9000 .*large: 2,000 bytes"):
            call("select 1")


def test_parts_are_counted_while_they_come() -> None:
    taken = io.BytesIO()

    def parts() -> Any:
        while True:
            taken.write(bytes(600))
            yield bytes(600)

    with pytest.raises(UpstreamError, match=r"^it .*large: 1,200 bytes"):
        foreign.collect(parts(), "it", SMALL, UpstreamError)
    assert len(taken.getvalue()) == 1200
