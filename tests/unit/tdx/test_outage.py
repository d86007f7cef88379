"""Outages: one gate for all requests, one probe, a bounded wait."""

import asyncio
import re
from datetime import datetime
from typing import Any

import httpx
import pytest
from fake_tdx import Service, asked, bar, days, failing, good, kline_data

from loaders.cli import shell
from loaders.engine.outcome import SourceGone
from loaders.tdx.client.answers import Outage
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.outage import OutageGate
from loaders.trading_time import SHANGHAI
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
def test_a_load_waits_in_growing_steps_and_then_loses_nothing(how: httpx.Response | None) -> None:
    service = Failing(lambda s: s.time < 40, how)
    results = asked(service, ask_all)
    assert [len(r) for r in results] == [3] * 20
    assert service.pauses == [1, 2, 4, 8, 16, 30]
    assert service.routes()["kline-history"] == 6


def test_all_requests_wait_behind_one_probe() -> None:
    service = Failing(lambda s: s.time < 40)
    asked(service, ask_all)
    # those in the air when it began, then each code once more
    assert service.routes()["kline-all"] <= 6 + 20


def test_after_the_longest_wait_all_that_is_left_fails_at_once() -> None:
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
    assert sum(service.pauses) == 180
    assert "outage: waited 180 s" in str(results[0])
    assert "quotemill retry" in results[0].hint


def test_no_wait_is_a_setting_too() -> None:
    service = Failing(lambda s: True)
    results = asked(service, ask_all, outage_wait=0)
    assert {type(r) for r in results} == {SourceGone}
    assert service.pauses == []


def test_a_service_that_answers_only_probes_cannot_hold_a_load_for_ever() -> None:
    service = Service(
        lambda route, *_: good({"Count": 0, "List": None}) if route == "kline-history" else LOST
    )
    results = asked(service, ask_all, outage_wait=20)
    assert all(isinstance(r, UpstreamError) for r in results)
    assert sum(service.pauses) <= 20


def test_one_code_that_always_reports_an_outage_fails_alone() -> None:
    def answer(route: str, params: dict[str, str], _n: int) -> httpx.Response:
        if route == "kline-history":
            return good({"Count": 0, "List": None})
        return LOST if params["code"] == CODES[0] else BARS

    service = Service(answer)

    async def one_by_one(client: TdxClient) -> list[Any]:
        return [await asyncio.gather(client.kline_all(c), return_exceptions=True) for c in CODES]

    results = [r[0] for r in asked(service, one_by_one)]
    assert isinstance(results[0], UpstreamError)
    assert [len(r) for r in results[1:]] == [3] * 19


def test_a_second_outage_has_the_whole_wait_again() -> None:
    service = Failing(lambda s: s.time < 100 or 1000 < s.time < 1100)

    async def twice(client: TdxClient) -> None:
        await client.kline_all(CODES[0])
        service.time = 1001.0
        await client.kline_all(CODES[1])

    asked(service, twice, outage_wait=150)
    assert service.time > 1100


def test_the_probe_goes_on_after_the_request_that_noticed_is_cancelled() -> None:
    service = Failing(lambda s: s.time < 40)

    async def cancel_the_first(client: TdxClient) -> int:
        first = asyncio.create_task(client.kline_all(CODES[0]))
        while not service.pauses:
            await asyncio.sleep(0)
        second = asyncio.create_task(client.kline_all(CODES[1]))
        await asyncio.sleep(0)
        first.cancel()
        return len(await second)

    assert asked(service, cancel_the_first) == 3


def test_leaving_the_client_ends_the_probe() -> None:
    service = Failing(lambda s: True)

    async def leave(client: TdxClient) -> None:
        request = asyncio.create_task(client.kline_all(CODES[0]))
        while not service.pauses:
            await asyncio.sleep(0)
        request.cancel()

    async def scenario() -> None:
        async with service.client() as client:
            await leave(client)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)
        seen = len(service.requests)
        await asyncio.sleep(0)
        assert len(service.requests) == seen

    asyncio.run(scenario())


def test_ten_timeouts_in_a_row_over_different_codes_stop_the_load() -> None:
    service = Service(lambda *_: TIMED_OUT)
    results = asked(service, ask_all, retries=0, concurrency=1)
    assert [type(r).__name__ for r in results] == ["UpstreamTimeout"] * 10 + ["SourceGone"] * 10
    assert "restart the TDX service" in results[-1].hint


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
    assert "restart the TDX service" in line


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


def test_a_request_that_failed_in_an_outage_now_over_begins_no_new_one() -> None:
    pauses: list[float] = []
    reported: list[str] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def back() -> None:
        """The probe finds the service."""

    async def scenario() -> None:
        gate = OutageGate(back, budget=180, sleep=sleep, clock=lambda: 0.0, report=reported.append)
        episode = await gate.passage()
        await gate.wait_out(episode, Outage("seen first"))
        await gate.wait_out(episode, Outage("sent before the outage, seen after it"))

    asyncio.run(scenario())
    assert pauses == [1]
    first, last = reported
    assert re.fullmatch("waits for the TDX service since [0-9:]{8} Shanghai", first)
    assert last == ""


def test_a_refused_connection_says_at_once_until_when_it_is_tried_again() -> None:
    said: list[tuple[float, str]] = []
    service = Failing(lambda s: True, None)
    shell.route_logs(lambda line: said.append((service.time, line)))
    began = datetime.now(SHANGHAI).replace(tzinfo=None)
    asked(service, ask_all)
    (time, first), *_ = said
    before, _, after = first.partition(" until ")
    shown = datetime.combine(began, datetime.strptime(after.partition(" ")[0], "%X").time())
    wait = round((shown - began).total_seconds()) % 86_400
    assert (time, 179 <= wait <= 240) == (0, True)
    assert before.endswith("no answer at tdx:8080): trying again")
    assert after.endswith("; Ctrl-C ends")
