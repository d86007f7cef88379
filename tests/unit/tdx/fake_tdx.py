"""A TDX service made of a function, and answers as the service writes them."""

import asyncio
import csv
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson

from loaders.tdx.client.answers import COLUMNS, Bars
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.reply import Reply
from loaders.tdx.settings import TdxSettings

T = TypeVar("T")
FETCHED_AT = datetime(2024, 11, 8, 8, 0, tzinfo=UTC)


def bar(day: date, close: int = 10_000, **changes: Any) -> dict[str, Any]:
    """One bar in the service's spelling."""
    return {
        "Last": 0,
        "Open": close,
        "High": close + 100,
        "Low": close - 100,
        "Close": close,
        "Volume": 1000,
        "Amount": close * 100_000,
        "Time": f"{day}T15:00:00+08:00",
        "UpCount": 0,
        "DownCount": 0,
    } | changes


def days(count: int, start: date = date(2019, 1, 2)) -> list[date]:
    return [start + timedelta(days=i) for i in range(count)]


def bars_of(rows: list[dict[str, Any]]) -> Bars:
    """Columns out of service bars, by the shortest way."""
    names = ("Open", "High", "Low", "Close", "Volume", "Amount", "UpCount", "DownCount")
    columns = ([row[name] for row in rows] for name in names)
    return Bars(
        [date.fromisoformat(r["Time"][:10]) for r in rows],
        **dict(zip(COLUMNS, columns, strict=True)),
        source_route="kline-all",
        fetched_at=FETCHED_AT,
    )


def reply(route: str, data: Any, **counters: Counter[str]) -> Reply:
    """Answer of a route; a test that checks `unknown` or `oddities` passes them."""
    return Reply(
        route, data, FETCHED_AT, **{"unknown": Counter(), "oddities": Counter()} | counters
    )


def envelope(data: Any, code: int = 0, message: str = "success") -> bytes:
    return orjson.dumps({"code": code, "message": message, "data": data}) + b"\n"


def kline_data(rows: list[dict[str, Any]] | None) -> dict[str, Any]:
    meta = {"batch_limit": 800, "notes": ["…"], "source": "tdx", "type": "day"}
    return {"count": len(rows or []), "list": rows, "meta": meta}


def minute_bar(stamp: str, close: int = 10_000, **changes: Any) -> dict[str, Any]:
    """One bar labelled with a minute like 2024-11-08T09:31."""
    return bar(date.fromisoformat(stamp[:10]), close, Time=f"{stamp}:00+08:00") | changes


def tick(stamp: str, price: int = 10_000, **changes: Any) -> dict[str, Any]:
    """One tick of a minute like 2024-11-08T09:31."""
    return {
        "Time": f"{stamp}:00+08:00",
        "Price": price,
        "Volume": 5,
        "Status": 0,
        "Number": 0,
    } | changes


def upper(rows: list[dict[str, Any]] | None, **more: Any) -> dict[str, Any]:
    return {"Count": len(rows or []), "List": rows} | more


def quote(code: str = "sz000001", **changes: Any) -> dict[str, Any]:
    """A quote in the service's spelling."""
    levels = {
        name: [{"Buy": buy, "Price": 12_500 + i * step, "Number": i + 1} for i in range(5)]
        for name, buy, step in (("BuyLevel", True, -10), ("SellLevel", False, 10))
    }
    return {
        "Exchange": {"sz": 0, "sh": 1, "bj": 2}[code[:2]],
        "Code": code[2:],
        "Active1": 2843,
        "K": {"Last": 12_250, "Open": 12_300, "High": 12_600, "Low": 12_280, "Close": 12_500},
        "ServerTime": "14585643",
        "ReversedBytes0": 14585643,
        "ReversedBytes1": -1250,
        "TotalHand": 1_235_000,
        "Intuition": 100,
        "Amount": 1560000000,
        "InsideDish": 520_000,
        "OuterDisc": 715_000,
        **levels,
        "ReversedBytes9": 0,
        "Rate": 0,
        "Active2": 2843,
    } | changes


def good(data: Any) -> httpx.Response:
    return httpx.Response(200, content=envelope(data))


def failing(message: str) -> httpx.Response:
    return httpx.Response(200, content=envelope(None, -1, message))


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: the time that would have been waited is added to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        # a clock that can stand still would leave timers due by a rounding error for ever in wait
        self.now += max(timeout or 0, 1e-6)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class Service:
    """Answers come from `answer(route, params, n)`, n counting the requests; all are recorded.

    A document that was posted stands among the parameters.
    """

    def __init__(self, answer: Callable[[str, dict[str, Any], int], httpx.Response]) -> None:
        self.answer = answer
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.times: list[float] = []  # of the requests, on a clock that jumps
        self.time = 0.0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        route = request.url.path.removeprefix("/api/")
        params = dict(request.url.params) | orjson.loads(request.content or b"{}")
        self.requests.append((route, params))
        self.time = asyncio.get_running_loop().time()
        self.times.append(self.time)
        await asyncio.sleep(0)
        return self.answer(route, params, len(self.requests))

    def client(self, **changes: Any) -> TdxClient:
        settings = TdxSettings(**{"base_url": "http://tdx:8080", "backoff": 0.0} | changes)
        return TdxClient(
            settings,
            transport=httpx.MockTransport(self),
            now=lambda: FETCHED_AT,
        )

    def routes(self) -> Counter[str]:
        return Counter(route for route, _ in self.requests)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def asked(
    service: Service, call: Callable[[TdxClient], Coroutine[Any, Any, T]], **settings: Any
) -> T:
    """The result of one call of a fresh client."""

    async def once() -> T:
        async with service.client(**settings) as client:
            return await call(client)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(once())


def read_real_bars(path: Path) -> Bars:
    """Recorded bars in li, hands and li, as the service would send them."""
    with path.open(encoding="utf-8") as file:
        rows = [
            bar(
                date.fromisoformat(r["date"]),
                Open=_li(r["open"]),
                High=_li(r["high"]),
                Low=_li(r["low"]),
                Close=_li(r["close"]),
                Volume=int(r["volume_hands"]),
                Amount=int(r["amount_yuan"]) * 1000,
            )
            for r in csv.DictReader(file)
        ]
    return bars_of(rows)


def _li(text: str) -> int:
    value = Decimal(text) * 1000
    assert value == int(value)
    return int(value)
