"""The rate limit, on an event loop whose clock jumps to where the next timer is."""

import asyncio
import itertools
import selectors
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
from fake_tdx import Service, bar, days, failing, good, kline_data, quote

from loaders.tdx.client.client import TdxClient

LOST = failing("write tcp a->b: use of closed network connection")


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


class Timed(Service):
    """Records when each request began."""

    def __init__(self, answer: Any) -> None:
        super().__init__(answer)
        self.times: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.times.append(asyncio.get_running_loop().time())
        return await super().__call__(request)


def answer(route: str, params: dict[str, Any], _n: int) -> httpx.Response:
    if route == "batch-quote":
        return good([quote(code) for code in params["codes"]])
    return good(kline_data([bar(d) for d in days(3)]))


def times_of(service: Timed, call: Any, **settings: Any) -> list[float]:
    async def scenario() -> None:
        async with service.client(**settings) as client:
            await call(client)

    _run(scenario())
    return service.times


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(work)


async def twenty(client: TdxClient) -> None:
    await asyncio.gather(
        *(client.kline_all(f"sh6{i:05}") for i in range(15)),
        *(client.quotes([f"sz0{i:05}"]) for i in range(5)),
    )


@pytest.mark.parametrize("rate", [0.5, 4, 20])
def test_no_second_sees_more_requests_than_the_limit_whatever_their_route(rate: float) -> None:
    times = times_of(Timed(answer), twenty, requests_per_second=rate)
    assert len(times) == 20
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) > 0.99 / rate
    assert times[-1] == pytest.approx(19 / rate, rel=0.01)


def test_retries_wait_for_the_limit_too() -> None:
    service = Timed(lambda _r, _p, n: failing("EOF") if n <= 3 else answer("kline-all", {}, n))
    times = times_of(service, lambda c: c.kline_all("sh600000"), requests_per_second=2)
    assert times == pytest.approx([0, 0.5, 1, 1.5], abs=0.01)


def test_probes_of_an_outage_wait_for_the_limit_too() -> None:
    service = Timed(
        lambda route, _p, n: (
            LOST
            if n <= 3
            else answer(route, _p, n)
            if route == "kline-all"
            else good({"Count": 0, "List": None})
        )
    )
    times = times_of(service, lambda c: c.kline_all("sh600000"), requests_per_second=0.1)
    assert service.routes() == {"kline-all": 2, "kline-history": 3}
    assert min(b - a for a, b in itertools.pairwise(times)) > 9.9


def test_without_a_limit_nothing_waits() -> None:
    assert max(times_of(Timed(answer), twenty)) < 0.01


def test_waiting_for_the_limit_is_not_counted_as_the_services_time() -> None:
    times = times_of(Timed(answer), twenty, requests_per_second=0.5, timeout=1.0, bulk_timeout=1.0)
    assert len(times) == 20
