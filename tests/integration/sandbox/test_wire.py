"""Oddities of the TDX service that neither our client nor the self-test shows."""

from collections.abc import Iterator
from datetime import datetime, time
from fractions import Fraction
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import events
from loaders.sandbox.world.market import SyntheticMarket

LENGTH_ERROR = "获取K线失败: 股票代码长度错误,例如:SZ000001"
NESTED_ERROR = "获取前复权数据失败: 股票代码错误,例如:SZ000001或000001"
BAD_DAY = "参数格式错误，应为 YYYYMMDD 或 YYYY-MM-DD"
CODE = "sh600000"


@pytest.fixture(scope="module")
def running() -> Iterator[TdxSandbox]:
    world = SyntheticMarket(codes=30, days=300)
    with TdxSandbox(world, options=Options(timeout_delay=0)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: TdxSandbox) -> Iterator[TdxSandbox]:
    yield running
    running.set_clock(running.world.end)


@pytest.fixture
def client(sandbox: TdxSandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url + "/api/") as client:
        yield client


def data(client: httpx.Client, path: str) -> Any:
    document = client.get(path).json()
    assert (document["code"], document["message"]) == (0, "success")
    return document["data"]


@pytest.mark.parametrize("path", ["kline/", "nothing", "tasks/"])
def test_an_unknown_path_is_a_plain_404(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (404, b"404 page not found\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_answers_are_dated_by_the_virtual_clock(client: httpx.Client) -> None:
    assert client.get("health").headers["date"] == "Mon, 30 Jun 2025 10:00:00 GMT"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("quote", "股票代码不能为空"),
        ("kline", "股票代码不能为空"),
        ("kline-all", "code 为必填参数"),
        ("kline-all?code=sz00001", LENGTH_ERROR),
        ("kline-all?code=516000", LENGTH_ERROR),
        ("kline-all?code=xx000001", "获取K线失败: 股票代码错误,例如:SZ000001"),
        ("kline-all?code=sz000001&type=minute60", "获取K线失败: 不支持的K线类型: minute60"),
        ("kline?code=12345", f"获取K线失败: {NESTED_ERROR}"),
        ("kline-all/ths?code=12345", f"获取同花顺K线失败: {NESTED_ERROR}"),
        ("index", "指数代码不能为空"),
        ("index?code=sz000001", "获取指数数据失败: 超时"),
        ("index/all?code=sh600000", "获取指数历史数据失败: 超时"),
        ("search", "搜索关键词不能为空"),
        ("trade?code=sz000001&date=020250627", "获取分时成交失败: 超时"),
        ("trade-history?code=sz000001", "code 与 date 均为必填参数"),
        ("trade-history?code=sz000001&date=20250627&start=-1", "start 参数无效"),
        ("trade-history?code=sz000001&date=20250627&count=x", "count 参数无效"),
        ("workday/range?start=20250101", "start 与 end 均为必填参数"),
        ("workday/range?start=2025&end=20250101", f"start {BAD_DAY}"),
        ("workday/range?start=20250102&end=20250101", "end 必须大于或等于 start"),
        ("workday?date=x", f"date {BAD_DAY}"),
        ("income?code=sz000001", "start_date 为必填参数"),
        ("quote?code=SH510300", "获取行情失败: 未查询到代码[SH510300]相关信息"),
        ("batch-quote", "只支持POST请求"),
        ("tasks/pull-kline", "只支持POST请求"),
        ("tasks/none", "任务不存在"),
        ("tasks/none/cancel", "取消任务仅支持POST"),
    ],
)
def test_a_bad_request_gets_the_message_of_the_service(
    client: httpx.Client, path: str, message: str
) -> None:
    document = client.get(path).json()
    assert (document["code"], document["message"], document["data"]) == (-1, message, None)


@pytest.mark.parametrize(
    ("digits", "code"),
    [("600000", "sh600000"), ("510300", "sh510300"), ("159915", "sz159915"), ("Sz000001",) * 2],
)
def test_codes_get_the_exchange_that_the_service_guesses(
    client: httpx.Client, sandbox: TdxSandbox, digits: str, code: str
) -> None:
    path = "kline-all?limit=3&code="
    assert data(client, path + digits) == data(client, path + code)
    assert sandbox.log[-2].codes == (code.lower(),)
    assert sandbox.log[-2].params == {"limit": "3", "code": digits}


def test_the_third_party_reads_six_digits_only(client: httpx.Client) -> None:
    stock = data(client, "kline-all/ths?code=sz000001")["list"]
    for code in ("sh000001", "bj000001", "xx000001", "000001"):
        assert data(client, f"kline-all/ths?code={code}")["list"] == stock


def test_unknown_types_and_limits_fall_back_as_in_the_service(client: httpx.Client) -> None:
    days = data(client, "kline?code=sz000001")
    for period in ("day", "quarter", "MINUTE1", "minute60", "Day"):
        assert data(client, f"kline?code=sz000001&type={period}") == days
    for limit in ("0", "-3", "x", "%207"):
        assert data(client, f"kline-all?code=sz000001&limit={limit}")["count"] == 300
    history = "kline-history?code=sz000001&type=minute5&limit="
    assert [data(client, history + n)["Count"] for n in ("", "-1", "5000")] == [100, 100, 800]
    weeks = data(client, "index?code=sh000001&type=week&limit=3")["List"]
    assert weeks == data(client, "index/all?code=sh000001&type=week")["list"][:3]


def test_index_minutes_of_a_stock_route_are_garbage_but_the_first(client: httpx.Client) -> None:
    right = data(client, "index?code=sh000001&type=minute5&limit=800")["List"]
    wrong = data(client, "kline-all?code=sh000001&type=minute5")["list"]
    assert wrong[-800]["Close"] == right[0]["Close"]
    assert any(row["Volume"] < 0 for row in wrong[-799:])


def test_an_unknown_code_is_an_empty_success(client: httpx.Client) -> None:
    assert data(client, "kline-all?code=sh699999")["list"] is None
    assert data(client, "index/all?code=sh000999") == {"count": 0, "list": None}
    message = client.get("kline?code=sh699999").json()["message"]
    assert "invalid character '<'" in message


def test_adjusted_prices_may_be_negative_as_in_the_service(client: httpx.Client) -> None:
    """sz000005 pays so much that its first adjusted prices are below zero."""
    adjusted = data(client, "kline-all/ths?code=sz000005")["list"]
    raw = data(client, "kline-all?code=sz000005")["list"]
    assert adjusted[0]["Close"] < 0 < raw[0]["Close"]
    assert {row["Amount"] for row in adjusted} == {0}


def test_a_suspended_stock_is_quoted_without_prices(client: httpx.Client) -> None:
    (row,) = data(client, "quote?code=sh688001")
    assert row["K"]["Last"] > 0
    assert [row["K"][name] for name in ("Open", "High", "Low", "Close")] == [0, 0, 0, 0]
    assert row["Amount"] == 5.877471754111438e-39


def test_on_an_ex_date_the_previous_close_is_the_reference_price(
    client: httpx.Client, sandbox: TdxSandbox
) -> None:
    event = events(sandbox.world.actions(CODE))[1]
    bars = sandbox.world.day_bars(CODE)
    at = bars.find(event.ex_date)
    assert at
    before = int(bars.close[at - 1])
    sandbox.set_clock(event.ex_date)
    (row,) = data(client, f"quote?code={CODE}")
    expected = event.ex_price(Fraction(before, 1000)) * 100
    assert abs(row["K"]["Last"] / 10 - expected) <= Fraction(1, 2)
    assert row["K"]["Last"] != before
    (bar,) = data(client, f"kline-all?code={CODE}&limit=1")["list"]
    assert bar["Last"] == before, "Last of a bar is the close of the bar before"


def test_the_running_minute_grows_on_every_route(client: httpx.Client, sandbox: TdxSandbox) -> None:
    day = sandbox.world.end.date()
    paths = (
        f"kline-history?code={CODE}&type=minute1&limit=3",
        f"kline-all?code={CODE}&type=minute5&limit=3",
        "index?code=sh000001&type=minute1&limit=3",
        f"kline-all?code={CODE}&limit=3",
        "index/all?code=sh000001&limit=3",
        f"minute?code={CODE}&date={day:%Y%m%d}",
    )

    def last_rows(clock: time) -> list[dict[str, Any]]:
        sandbox.set_clock(datetime.combine(day, clock))
        answers = [data(client, path) for path in paths]
        return [(answer.get("List") or answer.get("list"))[-1] for answer in answers]

    early, late = last_rows(time(10, 15, 20)), last_rows(time(10, 15, 50))
    for before, after in zip(early, late, strict=True):
        size = "Number" if "Number" in before else "Volume"
        assert before["Time"] == after["Time"]
        assert before[size] < after[size]
    assert early[0]["Time"][11:16] == early[-1]["Time"] == "10:16"


@pytest.mark.parametrize("code", ["sh510300", "sz160105", "sh900901"])
def test_prices_of_three_decimals_are_tenfold_in_minutes_and_ticks(
    client: httpx.Client, sandbox: TdxSandbox, code: str
) -> None:
    day = "20250627"
    close = data(client, f"kline-all?code={code}&limit=2")["list"][0]["Close"]
    for route in ("minute", "trade", "trade-history", "minute-trade-all"):
        assert data(client, f"{route}?code={code}&date={day}")["List"][-1]["Price"] == close * 10
    full = f"trade-history/full?code={code}&start_date={day}&end_date={day}"
    assert data(client, full)["list"][-1]["price"] == close / 100
