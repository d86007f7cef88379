"""Day bars from a quote server: by the product and by pytdx, without latency and with 70 ms."""

import asyncio
import math
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median
from typing import NamedTuple

import httpx

from loaders.sandbox.tdx.quote_answers import Answer, answer_request
from loaders.sandbox.tdx.quote_server import Address, QuoteServer
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.servers import codec
from loaders.tdx.servers.transport import QuoteTransport
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI
from tests.benchmarks.page import Aim, at_most, paragraph, table

TITLE = "Day bars from quote servers"
LATENCIES = (0, 70)
DAYS = 2_400
NOW = datetime(2025, 6, 30, 18, tzinfo=SHANGHAI)
MARKET_CODES = 5_500
PER_SECOND = 15
NAMED = {"product": "quotemill, 4 connections", "pytdx": "pytdx, 1 connection"}
Say = Callable[[str], None]


class Run(NamedTuple):
    """One way to fetch bars: of rows, seconds, seconds of processor, and requests."""

    rows: int
    seconds: float
    processor: float
    requests: int


def compare_clients(codes: int, *, rounds: int, say: Say) -> dict[tuple[str, int], Run]:
    results = {}
    for latency in LATENCIES:
        with _serving(latency) as (address, names):
            wanted = [name for _, name in zip(range(codes), _repeat(names), strict=False)]
            for name, fetch in (("product", _by_product), ("pytdx", _by_pytdx)):
                fetch(address, names)  # the server's answers are made, the modules are read
                runs = []
                for _ in range(rounds):
                    begun, processor = time.perf_counter(), time.process_time()
                    rows, requests = fetch(address, wanted)
                    spent = time.process_time() - processor
                    runs.append(Run(rows, time.perf_counter() - begun, spent, requests))
                results[name, latency] = Run(
                    runs[0].rows,
                    median(run.seconds for run in runs),
                    median(run.processor for run in runs),
                    runs[0].requests,
                )
                say(f"{name}, {latency} ms: {results[name, latency]}")
    results["codec", 0], results["pytdx's parser", 0] = _read_only(codes * DAYS // 800, say)
    return results


def _read_only(pages: int, say: Say) -> tuple[Run, Run]:
    """Reading a page of bytes again and again: by the product's codec and by pytdx."""
    from pytdx.hq import GetSecurityBarsCmd

    state = TdxSandbox(SyntheticMarket(codes=12, days=DAYS)).state
    asked = codec.ask_bars("sh600000", "day", 0, codec.BARS_PAGE)
    body = answer_request(state, struct.pack("<H", codec.BARS) + asked).body
    assert body is not None
    parser = GetSecurityBarsCmd(None)
    parser.category = codec.PERIODS["day"]
    runs = []
    for read in (partial(codec.read_bars, period="day", is_index=False), parser.parseResponse):
        read(body)
        begun, processor = time.perf_counter(), time.process_time()
        for _ in range(pages):
            read(body)
        spent, passed = time.process_time() - processor, time.perf_counter() - begun
        runs.append(Run(pages * codec.BARS_PAGE, passed, spent, pages))
        say(f"reading: {runs[-1]}")
    return runs[0], runs[1]


def section(results: dict[tuple[str, int], Run]) -> tuple[str, list[Aim]]:
    rows = [
        (
            f"{NAMED[name]}, {latency} ms" if name in NAMED else f"bytes only, {name}",
            f"{run.rows / run.seconds:,.0f}",
            f"{run.requests / run.seconds:,.0f}",
            f"{run.processor / run.rows * 1e6:.2f}",
        )
        for (name, latency), run in results.items()
    ]
    mine, other = results["codec", 0], results["pytdx's parser", 0]
    share = mine.processor / other.processor
    pages = DAYS // codec.BARS_PAGE + 1  # the last one says that there is no more
    events = math.ceil(MARKET_CODES / codec.EVENTS_PAGE)
    loads = {"first load": MARKET_CODES * pages + events, "night": MARKET_CODES + events}
    text = "\n\n".join(
        [
            paragraph(
                f"Bars of {DAYS:,} days a code from a quote server on loopback, packed and unpacked"
                " as on the wire. The latency is added to each answer. quotemill's time includes"
                " converting the bytes into service-style responses."
            ),
            table(("client", "rows a second", "requests a second", "processor µs a bar"), rows),
            paragraph(
                f"The market of {MARKET_CODES:,} codes by computation, at the default of"
                f" {PER_SECOND} requests a second:"
            ),
            table(
                ("", "requests", "minutes"),
                [(n, f"{r:,}", f"{r / PER_SECOND / 60:.0f}") for n, r in loads.items()],
            ),
        ]
    )
    return text, [at_most("reading a bar beside pytdx", share, 0.25)]


def _repeat(names: Sequence[str]) -> Iterator[str]:
    while True:
        yield from names


@contextmanager
def _serving(latency: int) -> Iterator[tuple[Address, list[str]]]:
    """A server in another process that makes each answer once, and the codes that it has."""
    context = get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=_serve, args=(other, latency / 1000), daemon=True)
    process.start()
    try:
        yield mine.recv()
    finally:
        mine.send("end")
        process.join()


def _serve(pipe: Connection, latency: float) -> None:
    market = SyntheticMarket(codes=20, days=DAYS)
    state = TdxSandbox(market).state

    @cache
    def answer(request: bytes) -> Answer:
        return answer_request(state, request)._replace(delay=latency)

    names = [s.code for s in market.securities if s.kind == "stock" and s.listed == market.days[0]]
    with QuoteServer(answer) as server:
        pipe.send((server.address, names))
        pipe.recv()


def _by_product(address: Address, codes: Sequence[str]) -> tuple[int, int]:
    settings = TdxSettings(servers=[f"{address[0]}:{address[1]}"], requests_per_second=100_000)

    async def fetch() -> int:
        transport = QuoteTransport(settings, lambda: NOW)
        async with httpx.AsyncClient(transport=transport, base_url="http://servers") as client:

            async def fetch_code(code: str) -> int:
                params = {"code": code, "type": "day"}
                answer = await client.get("/api/kline-all", params=params, timeout=None)
                count: int = answer.json()["data"]["count"]
                return count

            return sum(await asyncio.gather(*map(fetch_code, codes)))

    rows = asyncio.run(fetch())
    return rows, rows // codec.BARS_PAGE + len(codes)


def _by_pytdx(address: Address, codes: Sequence[str]) -> tuple[int, int]:
    from pytdx.hq import TdxHq_API

    rows = requests = 0
    with TdxHq_API().connect(*address) as api:
        for code in codes:
            had = 0
            while True:
                market, digits = codec.MARKETS[code[:2]], code[2:]
                page = api.get_security_bars(9, market, digits, had, codec.BARS_PAGE)
                requests += 1
                had += len(page)
                if len(page) < codec.BARS_PAGE:
                    break
            rows += had
    return rows, requests
