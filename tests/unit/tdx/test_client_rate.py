"""The rate limit, on an event loop whose clock jumps to where the next timer is."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest
from fake_tdx import Service, asked, bar, days, failing, good, kline_data, quote

from loaders.tdx.client.client import TdxClient
from quotemill.errors import UpstreamError

LOST = failing("write tcp a->b: use of closed network connection")


def answer(route: str, params: dict[str, Any], _n: int) -> httpx.Response:
    if route == "batch-quote":
        return good([quote(code) for code in params["codes"]])
    return good(kline_data([bar(d) for d in days(3)]))


def times_of(service: Service, call: Any, **settings: Any) -> list[float]:
    asked(service, call, **settings)
    return service.times


async def twenty(client: TdxClient) -> None:
    await asyncio.gather(
        *(client.kline_all(f"sh6{i:05}") for i in range(15)),
        *(client.quotes([f"sz0{i:05}"]) for i in range(5)),
    )


@pytest.mark.parametrize("rate", [0.5, 4, 20])
def test_no_second_sees_more_requests_than_the_limit_whatever_their_route(rate: float) -> None:
    times = times_of(Service(answer), twenty, requests_per_second=rate)
    assert len(times) == 20
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) > 0.99 / rate
    assert times[-1] == pytest.approx(19 / rate, rel=0.01)


def test_retries_wait_for_the_limit_too() -> None:
    service = Service(lambda _r, _p, n: failing("EOF") if n <= 3 else answer("kline-all", {}, n))
    times = times_of(service, lambda c: c.kline_all("sh600000"), requests_per_second=2)
    assert times == pytest.approx([0, 0.5, 1, 1.5], abs=0.01)


def test_retries_of_a_service_that_is_down_wait_for_the_limit_too() -> None:
    service = Service(lambda route, *_: LOST if route == "kline-all" else answer(route, {}, 0))
    with pytest.raises(UpstreamError):
        times_of(service, lambda c: c.kline_all("sh600000"), requests_per_second=0.01)
    assert service.routes() == {"kline-all": 4, "kline-history": 1}
    assert min(b - a for a, b in itertools.pairwise(service.times)) > 99


def test_without_a_limit_nothing_waits() -> None:
    assert max(times_of(Service(answer), twenty)) < 0.01


def test_waiting_for_the_limit_is_not_counted_as_the_services_time() -> None:
    times = times_of(Service(answer), twenty, requests_per_second=0.5, timeout=1.0)
    assert len(times) == 20
