"""A service that is down: retries in growing steps, one probe, then the load ends."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from fake_tdx import Service, asked, bar, days, failing, good, kline_data

from loaders.cli import shell
from loaders.engine.outcome import SourceGone
from loaders.tdx.client.answers import RESTART, Outage
from loaders.tdx.client.client import TdxClient
from quotemill.errors import UpstreamError

CODES = [f"sh6{i:05}" for i in range(20)]
BARS = good(kline_data([bar(d) for d in days(3)]))
LOST = failing("获取K线失败: write tcp a->b: use of closed network connection")
TIMED_OUT = failing("获取K线失败: 超时")


class Failing(Service):
    """Down while `down(service)` holds; probes and requests alike."""

    def __init__(self, down: Any, how: httpx.Response | None = LOST) -> None:
        super().__init__(self.respond)
        self.down, self.how = down, how

    def respond(self, route: str, _params: dict[str, str], _n: int) -> httpx.Response:
        if self.down(self):
            if self.how is None:
                raise httpx.ConnectError("[Errno 111] Connection refused")
            return self.how
        return good({"Count": 1, "List": [{}]}) if route == "kline-history" else BARS


async def ask_all(client: TdxClient) -> list[Any]:
    return await asyncio.gather(*map(client.kline_all, CODES), return_exceptions=True)


@pytest.mark.parametrize("how", [LOST, None], ids=["quote server lost", "connection refused"])
def test_a_load_asks_again_in_growing_steps_and_then_loses_nothing(
    how: httpx.Response | None,
) -> None:
    service = Failing(lambda s: s.time < 55, how)
    results = asked(service, ask_all)
    assert [len(r) for r in results] == [3] * 20
    first, second, third, fourth = [
        at
        for (_, params), at in zip(service.requests, service.times, strict=True)
        if params["code"] == CODES[0]
    ]
    assert 10 <= second - first <= 20 <= third - second <= 30
    assert fourth - third == pytest.approx(30, abs=0.1)


def test_by_default_a_request_is_repeated_for_about_a_minute() -> None:
    service = Failing(lambda s: True)
    with pytest.raises(SourceGone):
        asked(service, lambda client: client.kline_all(CODES[0]))
    assert 60 <= service.times[-1] <= 81
    assert service.routes() == {"kline-all": 4, "kline-history": 1}


def test_after_the_retries_all_that_is_left_fails_at_once() -> None:
    service = Failing(lambda s: True)

    async def all_then_one_more(client: TdxClient) -> list[Any]:
        results = await ask_all(client)
        before = len(service.requests)
        with pytest.raises(SourceGone):
            await client.codes()
        assert len(service.requests) == before
        return results

    results = asked(service, all_then_one_more)
    assert {type(r) for r in results} == {SourceGone}
    assert service.routes()["kline-all"] <= 4 * len(CODES)
    assert re.search("TDX .* 3 retries", str(results[0]))
    assert "retry`" in results[0].hint


def test_without_retries_nothing_is_waited_for() -> None:
    service = Failing(lambda s: True)
    results = asked(service, ask_all, retries=0)
    assert {type(r) for r in results} == {SourceGone}
    assert service.time < 1


def test_a_service_that_answers_only_probes_fails_each_request_by_itself() -> None:
    service = Service(
        lambda route, *_: good({"Count": 0, "List": None}) if route == "kline-history" else LOST
    )
    results = asked(service, ask_all)
    assert {type(r) for r in results} == {Outage}
    assert service.time <= 81


def test_a_route_with_an_outage_of_its_own_is_waited_for_once() -> None:
    service = Service(lambda route, *_: LOST if route == "kline-all" else BARS)
    took: list[float] = []

    async def twice(client: TdxClient) -> list[Any]:
        results = []
        for _ in range(2):
            began = service.time
            results += await ask_all(client)
            took.append(service.time - began)
        return results

    results = asked(service, twice)
    assert {type(r) for r in results} == {Outage}
    assert took[0] >= 60
    assert took[1] < 5


def test_a_route_that_answered_again_is_waited_for_again() -> None:
    lost = [(0, 100), (200, 210)]

    def answer(route: str, *_: Any) -> httpx.Response:
        is_lost = any(first <= service.time < end for first, end in lost)
        return LOST if is_lost and route == "kline-all" else BARS

    service = Service(answer)

    async def thrice(client: TdxClient) -> list[Any]:
        results = []
        for at in (0, 150, 201):
            await asyncio.sleep(at - service.time)
            results += await asyncio.gather(client.kline_all(CODES[0]), return_exceptions=True)
        return results

    first, *others = asked(service, thrice)
    assert isinstance(first, Outage)
    assert [len(r) for r in others] == [3, 3]


def test_one_code_that_always_reports_an_outage_fails_alone() -> None:
    def answer(route: str, params: dict[str, str], _n: int) -> httpx.Response:
        if route == "kline-history":
            return good({"Count": 0, "List": None})
        return LOST if params["code"] == CODES[0] else BARS

    service = Service(answer)

    async def one_by_one(client: TdxClient) -> list[Any]:
        return [await asyncio.gather(client.kline_all(c), return_exceptions=True) for c in CODES]

    results = [r[0] for r in asked(service, one_by_one)]
    assert isinstance(results[0], Outage)
    assert [len(r) for r in results[1:]] == [3] * 19


def test_a_bad_answer_is_asked_for_again_in_seconds() -> None:
    service = Service(lambda *_: failing("EOF"))
    with pytest.raises(UpstreamError, match="EOF"):
        asked(service, lambda client: client.kline_all(CODES[0]), backoff=0.5)
    assert 3.5 <= service.time <= 5.1


def test_ten_timeouts_in_a_row_over_different_codes_stop_the_load() -> None:
    service = Service(lambda *_: TIMED_OUT)
    results = asked(service, ask_all, retries=0, concurrency=1)
    assert [type(r).__name__ for r in results] == ["UpstreamTimeout"] * 10 + ["SourceGone"] * 10
    assert results[-1].hint.startswith("Restart the TDX service")


def test_the_first_time_out_of_a_route_is_logged_at_once_with_its_fix() -> None:
    heard: list[int] = []

    def mute(*_: Any) -> httpx.Response:
        heard.append(len(said))
        raise httpx.ReadTimeout("")

    said: list[str] = []
    shell.route_logs(said.append)
    service = Service(mute)
    asked(service, lambda c: asyncio.gather(c.codes(), c.codes(), return_exceptions=True))
    assert heard[:2] == [0, 1]
    assert len(heard) > 4
    (line,) = said
    assert "/api/codes" in line
    assert RESTART in line


def test_timeouts_of_one_code_do_not_stop_the_load() -> None:
    service = Service(lambda *_: TIMED_OUT)

    async def one_code(client: TdxClient) -> None:
        for _ in range(15):
            with pytest.raises(UpstreamError, match="超时"):
                await client.kline_all(CODES[0])

    asked(service, one_code, retries=0)


def test_a_success_between_them_ends_the_row_of_timeouts() -> None:
    service = Service(lambda _r, p, _n: BARS if p["code"] == CODES[9] else TIMED_OUT)
    results = asked(service, ask_all, retries=0, concurrency=1)
    assert "SourceGone" not in {type(r).__name__ for r in results[:19]}


def test_an_answer_of_the_third_party_does_not_end_it() -> None:
    adjusted = good({**kline_data([bar(d) for d in days(3)]), "meta": {"source": "ths"}})
    service = Service(lambda route, *_: adjusted if route == "kline-all/ths" else TIMED_OUT)

    async def in_turns(client: TdxClient) -> list[Any]:
        result: list[Any] = []
        for code in CODES:
            result += await asyncio.gather(client.kline_all(code), return_exceptions=True)
            await asyncio.gather(client.kline_adjusted(code), return_exceptions=True)
        return result

    results = asked(service, in_turns, retries=0, concurrency=1)
    assert [type(r).__name__ for r in results] == ["UpstreamTimeout"] * 10 + ["SourceGone"] * 10


def test_a_service_that_is_down_is_named_at_once_and_once_per_outage() -> None:
    said: list[tuple[float, str]] = []
    service = Failing(lambda s: s.time < 15 or 1000 < s.time < 1015, None)
    shell.route_logs(lambda line: said.append((service.time, line)))

    async def twice(client: TdxClient) -> None:
        await ask_all(client)
        await asyncio.sleep(1001 - service.time)
        await ask_all(client)

    asked(service, twice)
    (first, line), (second, again) = said
    assert first < 1
    assert second == pytest.approx(1001, abs=1)
    assert re.search("tdx:8080.*: 3", line)
    assert again == line
