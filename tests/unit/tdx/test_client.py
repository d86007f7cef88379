"""The client: retries, limits, second looks, and the connection test."""

import asyncio
from datetime import date
from typing import Any

import httpx
import pytest
from fake_tdx import Service, asked, bar, days, envelope, failing, good, kline_data

from loaders.requests.http import NoAnswerInTime, RetryableAnswer
from loaders.tdx.client.answers import RESTART, EmptyAnswer, PermanentAnswer
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.reply import WrongShape
from loaders.tdx.settings import TdxSettings
from quotemill.errors import SettingsError, UpstreamError, UsageError

ROWS = [bar(d) for d in days(3)]


def always(response: Any) -> Service:
    return Service(lambda *_: response if isinstance(response, httpx.Response) else response())


def after(failures: int, response: httpx.Response, last: httpx.Response) -> Service:
    """`failures` times the first answer, then the last one."""
    return Service(lambda _r, _p, n: response if n <= failures else last)


def test_day_bars_are_asked_for_raw_and_newest_first_only_with_a_limit() -> None:
    service = always(good(kline_data(ROWS)))
    bars = asked(service, lambda c: c.kline_all("sh600000", limit=12))
    assert service.requests == [("kline-all", {"code": "sh600000", "type": "day", "limit": "12"})]
    assert (len(bars), bars.source_route) == (3, "kline-all")
    asked(service, lambda c: c.kline_all("sh600000"))
    assert service.requests[-1][1] == {"code": "sh600000", "type": "day"}


def test_an_index_is_asked_through_the_index_routes_only() -> None:
    service = Service(
        lambda route, *_: good(
            {"Count": 1, "List": ROWS[:1]} if route == "index" else {"count": 1, "list": ROWS[:1]}
        )
    )
    asked(service, lambda c: c.index_all("sh000001"))
    asked(service, lambda c: c.index("sh000001", limit=10))
    assert list(service.routes()) == ["index/all", "index"]


@pytest.mark.parametrize("code", ["600000", "SH600000", "sh60000", "sh600000 ", "hk000001"])
def test_a_code_without_its_exchange_is_never_sent(code: str) -> None:
    service = always(good(kline_data(ROWS)))
    with pytest.raises(UsageError):
        asked(service, lambda c: c.kline_all(code))
    assert not service.requests


@pytest.mark.parametrize(
    "response",
    [
        failing("获取K线失败: 超时"),
        failing("获取K线失败: EOF"),
        httpx.Response(503, content=b"<html></html>"),
        httpx.Response(200, content=envelope(kline_data(ROWS))[:-40]),
        good(kline_data(None)),
    ],
    ids=["upstream timeout", "generic failure", "5xx", "cut JSON", "empty success"],
)
def test_failures_that_may_pass_are_retried_three_times(response: httpx.Response) -> None:
    service = after(3, response, good(kline_data(ROWS)))
    assert len(asked(service, lambda c: c.kline_all("sh600000"))) == 3
    service = after(4, response, good(kline_data(ROWS)))
    with pytest.raises(RetryableAnswer):
        asked(service, lambda c: c.kline_all("sh600000"))
    assert len(service.requests) == 4


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (failing("获取K线失败: 不支持的K线类型: x"), PermanentAnswer),
        (httpx.Response(404, content=b"404 page not found"), PermanentAnswer),
        (httpx.Response(200, content=b""), PermanentAnswer),
        (good({"count": 0}), WrongShape),
    ],
    ids=["format text", "404", "empty body", "wrong shape"],
)
def test_what_would_come_again_is_asked_once(response: httpx.Response, kind: type) -> None:
    service = always(response)
    with pytest.raises(kind):
        asked(service, lambda c: c.kline_all("sh600000"))
    assert len(service.requests) == 1


def test_emptiness_is_taken_where_no_rows_are_due() -> None:
    service = always(good(kline_data(None)))
    assert len(asked(service, lambda c: c.kline_all("sh600000", expect_rows=False))) == 0
    with pytest.raises(EmptyAnswer, match="sh600000"):
        asked(service, lambda c: c.kline_all("sh600000"))


def test_a_broken_connection_is_retried() -> None:
    def answer(_route: str, _params: dict[str, str], n: int) -> httpx.Response:
        if n == 1:
            raise httpx.ReadError("reset")
        if n == 2:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return good(kline_data(ROWS))

    service = Service(answer)
    assert len(asked(service, lambda c: c.kline_all("sh600000"))) == 3
    assert len(service.requests) == 3


def test_a_silent_service_is_left_after_the_time_limit_of_its_route() -> None:
    class Silent(Service):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            self.requests.append((request.url.path, {}))
            return await asyncio.Future()

    service = Silent(lambda *_: good(None))
    with pytest.raises(NoAnswerInTime, match=r"kline-all sh600000 day: .*0\.06 s"):
        asked(service, lambda c: c.kline_all("sh600000"), timeout=0.02, retries=1)
    with pytest.raises(NoAnswerInTime, match=r"0\.01 s"):
        asked(service, lambda c: c.codes(), timeout=0.01, retries=0)
    assert len(service.requests) == 3


def test_a_history_that_ends_on_a_page_border_is_read_twice_the_wider_wins() -> None:
    full = [bar(d) for d in days(1700)]
    service = after(1, good(kline_data(full[-800:])), good(kline_data(full)))
    assert len(asked(service, lambda c: c.kline_all("sh600000"))) == 1700
    service = after(1, good(kline_data(full[-1600:])), good(kline_data(full[-800:])))
    assert len(asked(service, lambda c: c.kline_all("sh600000"))) == 1600
    assert len(service.requests) == 2


def test_the_newest_800_bars_asked_for_need_no_second_look() -> None:
    service = always(good(kline_data([bar(d) for d in days(800)])))
    asked(service, lambda c: c.kline_all("sh600000", limit=800))
    assert len(service.requests) == 1


def test_no_more_requests_run_at_once_than_the_setting_allows() -> None:
    running = peak = 0

    class Counting(Service):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            for _ in range(5):
                await asyncio.sleep(0)
            running -= 1
            return await super().__call__(request)

    service = Counting(lambda *_: good(kline_data(ROWS)))

    async def many(client: TdxClient) -> None:
        await asyncio.gather(*(client.kline_all(f"sh6{i:05}") for i in range(40)))

    asked(service, many, concurrency=4)
    assert peak == 4
    assert len(service.requests) == 40


def test_a_cancelled_request_frees_its_place() -> None:
    class FirstHangs(Service):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            if not self.requests:
                self.requests.append(("", {}))
                return await asyncio.Future()
            return await super().__call__(request)

    service = FirstHangs(lambda *_: good(kline_data(ROWS)))

    async def cancel_then_ask(client: TdxClient) -> int:
        first = asyncio.create_task(client.kline_all("sh600000"))
        while not service.requests:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return len(await client.kline_all("sh600001"))

    assert asked(service, cancel_then_ask, concurrency=1) == 3


def test_an_empty_code_list_is_a_failure() -> None:
    service = always(good({"total": 0, "exchanges": {"sh": 0, "sz": 0, "bj": 0}, "codes": []}))
    with pytest.raises(EmptyAnswer, match="codes"):
        asked(service, lambda c: c.codes())


def test_an_empty_calendar_is_a_failure_only_where_days_are_expected() -> None:
    service = always(good({"count": 0, "list": []}))
    weekend = date(2019, 2, 2), date(2019, 2, 3)
    assert asked(service, lambda c: c.workdays(*weekend)) == []
    with pytest.raises(EmptyAnswer, match=r"2019-02-02 .* 2019-02-03") as caught:
        asked(service, lambda c: c.workdays(*weekend, expect_days=True))
    assert "TZ=Asia/Shanghai" in caught.value.hint


def test_without_an_address_the_setting_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        TdxClient(TdxSettings(base_url=None))
    assert "QUOTEMILL_TDX__BASE_URL" in caught.value.hint


@pytest.mark.parametrize("address", ["http://", "http://tdx:123456", "http://[tdx"])
def test_an_address_that_cannot_be_one_is_a_settings_error(address: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        TdxClient(TdxSettings(base_url=address))


def test_an_address_below_a_path_keeps_the_path() -> None:
    service = always(
        good({"total": 1, "codes": [{"code": "600000", "exchange": "sh", "name": "a"}]})
    )
    asked(service, lambda c: c.codes(), base_url="http://gate:80/tdx")
    assert service.requests[0][0] == "/tdx/api/codes"


def ready(calendar: list[date], minutes: httpx.Response | None = None) -> Service:
    def answer(route: str, _params: dict[str, str], _n: int) -> httpx.Response:
        if route == "kline-history":
            return minutes or good({"Count": 1, "List": [{}]})
        objects = [{"iso": str(d), "numeric": f"{d:%Y%m%d}"} for d in calendar]
        return good({"count": len(calendar), "list": objects})

    return Service(answer)


AS_OF = date(2019, 3, 1)


def test_a_ready_service_tells_the_ends_of_its_calendar() -> None:
    result = asked(ready([date(1990, 12, 19), date(2019, 2, 1)]), lambda c: c.probe(AS_OF))
    assert (result.first_day, result.last_day) == (date(1990, 12, 19), date(2019, 2, 1))
    assert result.warnings == ()


def test_a_calendar_without_a_known_trading_day_fails_the_connection_test() -> None:
    with pytest.raises(UpstreamError, match="2019-02-01"):
        asked(ready([date(1990, 12, 19), date(2019, 2, 11)]), lambda c: c.probe(AS_OF))
    with pytest.raises(EmptyAnswer, match=f"1990-12-19 .* {AS_OF}"):
        asked(ready([]), lambda c: c.probe(AS_OF))


def test_a_calendar_with_its_beginning_missing_is_a_warning() -> None:
    result = asked(ready([date(2019, 2, 11)]), lambda c: c.probe(AS_OF))
    assert "2019-02-11" in result.warnings[0]


def test_a_service_whose_clock_stands_in_the_past_is_ready() -> None:
    result = asked(ready([date(1990, 12, 19), date(2011, 12, 6)]), lambda c: c.probe(AS_OF))
    assert result.last_day == date(2011, 12, 6)


def test_the_connection_test_does_not_wait_for_a_service_that_is_down() -> None:
    def answer(*_: Any) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused")

    service = Service(answer)
    with pytest.raises(UpstreamError, match="tdx:8080") as caught:
        asked(service, lambda c: c.probe(AS_OF))
    assert service.time < 1
    assert "tdx.base_url" in caught.value.hint


def test_the_connection_test_tells_a_lost_quote_server_from_a_dead_service() -> None:
    lost = failing("获取K线失败: write tcp a->b: use of closed network connection")
    with pytest.raises(UpstreamError, match="write tcp a->b") as caught:
        asked(ready([AS_OF], lost), lambda c: c.probe(AS_OF))
    assert RESTART in caught.value.hint


def test_the_services_funds_are_those_that_trade_by_their_ranges() -> None:
    codes = ("510300", "519001", "551030", "521099", "560000")
    funds = [{"code": c, "name": "x", "exchange": "sh", "last_price": 1.0} for c in codes]
    service = always(good({"total": len(funds), "list": funds}))
    listed = asked(service, lambda c: c.etfs())
    assert [x.code for x in listed] == ["sh510300", "sh551030", "sh560000"]


def test_a_refused_year_comes_from_index_bars_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    last, first = date(2026, 12, 31), date(2027, 1, 4)

    def answer(route: str, params: dict[str, Any], _: int) -> httpx.Response:
        if route == "index":
            return good({"Count": 2, "List": [bar(last), bar(first)]})
        if params["end"] > "20261231":
            return failing("交易日历仅覆盖至 2026-12-31，且未配置 2027 年官方休市安排")
        return good({"count": 1, "list": [{"iso": str(last), "numeric": f"{last:%Y%m%d}"}]})

    async def twice(client: TdxClient) -> list[date]:
        assert await client.workdays(first, first) == [first]
        return await client.workdays(last, first)

    assert asked(Service(answer), twice) == [last, first]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_minutes_are_cut_from_the_whole_series_once_a_build_refuses_the_short_route() -> None:
    data = kline_data([bar(date(2019, 1, 2), Time="2019-01-02T09:31:00+08:00")])
    data["meta"]["type"] = "minute1"
    service = Service(
        lambda route, *_: failing("full_code 为必填参数") if "history" in route else good(data)
    )

    async def twice(client: TdxClient) -> list[str]:
        await client.intraday("sh600000", limit=9)
        return (await client.intraday("sh600000", limit=9)).stamps

    assert asked(service, twice) == ["2019-01-02T09:31:00"]
    assert [route for route, _ in service.requests] == ["kline-history", "kline-all", "kline-all"]
