"""Of arbitrary answers of the TDX service and its quote servers: a result or an error of ours.

HTTP headers; JSON of every route that a load asks, and of the self-test; corporate actions.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable
from datetime import date
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.requests.http import http_client, rate_limit
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.client.client import TdxClient
from loaders.tdx.selftest.checks import NotPassed
from loaders.tdx.selftest.run import ask as ask_once
from loaders.tdx.servers.codec import WrongAnswer, read_events
from loaders.tdx.servers.xdxr import build_actions
from loaders.tdx.settings import TdxSettings
from quotemill.errors import QuotemillError
from tests.integration.foreign_bytes.arbitrary import (
    TEXTS,
    VALUES,
    altered,
    damaged,
    fails_as_ours,
)

FIRST, LAST = date(2024, 1, 1), date(2025, 6, 30)


CALLS: dict[str, Callable[[TdxClient], Any]] = {
    "codes": lambda c: c.codes(),
    "etfs": lambda c: c.etfs(),
    "workdays": lambda c: c.workdays(FIRST, LAST),
    "kline_all": lambda c: c.kline_all("sh600000"),
    "index_all": lambda c: c.index_all("sh000001"),
    "index": lambda c: c.index("sh000001", limit=9),
    "kline_adjusted": lambda c: c.kline_adjusted("sh600000"),
    "intraday_all": lambda c: c.intraday_all("sh600000", limit=9),
    "intraday": lambda c: c.intraday("sh600000", limit=9),
    "index_intraday": lambda c: c.index_intraday("sh000001", limit=9),
    "minute_points": lambda c: c.minute_points("sh600000", LAST),
    "trades_of_day": lambda c: c.trades_of_day("sh600000", LAST),
    "trades_of_days": lambda c: c.trades_of_days("sh600000", LAST, LAST),
    "trades_of_today": lambda c: c.trades_of_today("sh600000", LAST),
    "quotes": lambda c: c.quotes(["sh600000"]),
    "quote": lambda c: c.quote(["sh600000"]),
    "stock_info": lambda c: c.stock_info("sh600000"),
    "market_stats": lambda c: c.market_stats(),
    "market_count": lambda c: c.market_count(),
    "probe": lambda c: c.probe(LAST),
}


def ask(call: Callable[[TdxClient], Any], transport: httpx.AsyncBaseTransport) -> None:
    async def once() -> None:
        given = TdxSettings(base_url="http://tdx:8080", retries=0, backoff=0)
        async with TdxClient(given, transport=transport) as client:
            await call(client)

    fails_as_ours(lambda: asyncio.run(once()))


@pytest.fixture(scope="module")
def good_answers(market: SyntheticMarket) -> dict[str, bytes]:
    """The first answer of the sandbox to each call."""
    good: dict[str, bytes] = {}
    with TdxSandbox(market) as sandbox:

        async def record(name: str) -> None:
            class Recorder(httpx.AsyncHTTPTransport):
                async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                    answer = await super().handle_async_request(request)
                    content = await answer.aread()
                    good.setdefault(name, content)
                    return httpx.Response(answer.status_code, content=content)

            given = TdxSettings(base_url=sandbox.url, retries=0)
            with contextlib.suppress(QuotemillError):  # such as of a day without minutes
                async with TdxClient(given, transport=Recorder()) as client:
                    await CALLS[name](client)

        for name in CALLS:
            asyncio.run(record(name))
    return good


@pytest.mark.parametrize("name", CALLS)
@given(data=st.data())
def test_json_of_the_service(
    name: str, good_answers: dict[str, bytes], data: st.DataObject
) -> None:
    good = good_answers[name]
    if data.draw(st.booleans()):
        content = data.draw(damaged(good[:3000]))
    else:
        content = json.dumps(data.draw(altered(json.loads(good)))).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    ask(CALLS[name], transport)


def raw_transport(answer: bytes) -> httpx.AsyncBaseTransport:
    """A transport over a socket that answers so to everything."""
    transport = httpx.AsyncHTTPTransport()
    backend = httpcore.AsyncMockBackend([answer])
    transport._pool = httpcore.AsyncConnectionPool(network_backend=backend)
    return transport


HEADERS = (
    "Date",
    "Content-Length",
    "Content-Encoding",
    "Content-Type",
    "Retry-After",
    "Location",
    "Transfer-Encoding",
    "Set-Cookie",
    "Connection",
    "Age",
    "Expires",
)


@given(
    st.lists(
        st.tuples(st.sampled_from(HEADERS), st.binary(max_size=30) | TEXTS.map(str)), max_size=4
    ),
    st.binary(max_size=60) | st.just(b'{"code":0,"message":"","data":{"Count":0,"List":null}}'),
    st.sampled_from([b"200 OK", b"503 Busy", b"429 Slow", b"301 Moved", b"999 \xff", b"1 x"]),
)
def test_headers_of_the_service(
    headers: list[tuple[str, bytes | str]], body: bytes, status: bytes
) -> None:
    lines = [b"HTTP/1.1 " + status]
    for name, value in headers:
        raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        lines.append(name.encode() + b": " + raw)
    ask(CALLS["intraday"], raw_transport(b"\r\n".join(lines) + b"\r\n\r\n" + body))


@pytest.mark.parametrize(
    "header",
    [
        "Date: Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Date: Fri, 31 Dec 9999 23:59:59 -1400",
        "Date: Thu, 01 Jan 0001 00:00:00 +1400",
        f"Date: {'9' * 5000}",
        f"Content-Length: {'9' * 5000}",
        f"Retry-After: {'9' * 5000}",
        "Set-Cookie: a=b; Max-Age=" + "9" * 5000,
        "Content-Encoding: gzip, gzip",
        "Content-Encoding: br",
    ],
)
def test_an_odd_header_of_the_service(header: str) -> None:
    body = b'{"code":0,"message":"","data":{"Count":0,"List":null}}'
    answer = f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode() + body
    ask(CALLS["intraday"], raw_transport(answer))


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_json_in_the_self_test(content: bytes) -> None:
    async def once() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
        async with http_client("http://tdx", connections=1, transport=transport) as client:
            with contextlib.suppress(NotPassed):
                row = {"method": "GET", "path": "/api/server-status", "params": {}}
                await ask_once(client, rate_limit(None), row, 5)

    fails_as_ours(lambda: asyncio.run(once()))


EVENT = struct.pack("<7xxIB4f", 20240628, 1, 1.5, 0, 0, 0)
SPLIT = struct.pack("<7xxIB4f", 20240628, 11, 0, 0, 2.5, 0)


@given(damaged(struct.pack("<HB6sH", 1, 1, b"600000", 2) + EVENT + SPLIT))
def test_actions_of_a_quote_server(body: bytes) -> None:
    with contextlib.suppress(WrongAnswer):  # the next server is asked
        for events in read_events(body, ["sh600000"]):
            build_actions("sh600000", events)
