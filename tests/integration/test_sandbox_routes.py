"""The simulated TDX service on the wire: the protocol, and the routes of bars with their traps."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket

BAR_KEYS = [
    *("Last", "Open", "High", "Low", "Close", "Volume", "Amount"),
    *("Time", "UpCount", "DownCount"),
]
LENGTH_ERROR = "股票代码长度错误,例如:SZ000001"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[TdxSandbox]:
    world = SyntheticMarket(codes=30, days=300)
    with TdxSandbox(world, options=Options(timeout_delay=0)) as running:
        yield running


@pytest.fixture(scope="module")
def client(sandbox: TdxSandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url + "/api/") as open_client:
        yield open_client


def data(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.content.endswith(b"}\n")
    document = answer.json()
    assert list(document) == ["code", "message", "data"]
    assert (document["code"], document["message"]) == (0, "success")
    return document["data"]


def error(client: httpx.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    document = answer.json()
    assert document["code"] == -1
    assert document["data"] is None
    return str(document["message"])


def times(rows: list[dict[str, Any]]) -> list[str]:
    return [row["Time"] for row in rows]


def test_health_has_no_envelope_and_constant_values(client: httpx.Client) -> None:
    assert client.get("health").text == '{"status":"healthy","time":"1730617200"}\n'
    assert data(client, "server-status")["connected"] is True


@pytest.mark.parametrize("path", ["kline/", "nothing", "tasks/", "../elsewhere"])
def test_what_is_no_route_is_a_plain_404(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.content == b"404 page not found\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_large_bodies_are_chunked_and_small_ones_are_not(client: httpx.Client) -> None:
    small = client.get("health")
    large = client.get("kline-all", params={"code": "sz000001"})
    assert small.headers["content-length"] == str(len(small.content))
    assert large.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in large.headers


def test_the_date_header_is_the_virtual_clock(client: httpx.Client) -> None:
    assert client.get("health").headers["date"] == "Mon, 30 Jun 2025 10:00:00 GMT"


def test_old_clients_get_the_body_until_the_connection_closes(sandbox: TdxSandbox) -> None:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"GET /api/kline-all?code=sz000001 HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert json.loads(body)["code"] == 0


def test_a_space_in_the_url_is_a_bad_request(sandbox: TdxSandbox) -> None:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"GET /api/search?keyword=a b HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_double_slashes_are_redirected(client: httpx.Client) -> None:
    answer = client.get("http:" + str(client.base_url)[5:].rstrip("/") + "//health")
    assert answer.status_code == 307
    assert answer.headers["location"] == "/api/health"


@pytest.mark.parametrize("path", ["kline-all", "kline-all/tdx"])
def test_kline_all_gives_every_raw_day(
    client: httpx.Client, sandbox: TdxSandbox, path: str
) -> None:
    found = data(client, f"{path}?code=sz000001")
    assert list(found) == ["count", "list", "meta"]
    assert list(found["meta"]) == ["batch_limit", "notes", "source", "type"]
    assert (found["meta"]["source"], found["meta"]["batch_limit"]) == ("tdx", 800)
    rows = found["list"]
    assert list(rows[0]) == BAR_KEYS
    assert found["count"] == len(rows) == 300
    assert rows[0]["Last"] == 0
    assert rows[-1]["Last"] == rows[-2]["Close"]
    assert rows[-1]["Time"] == "2025-06-30T15:00:00+08:00"
    bars = sandbox.world.day_bars("sz000001")
    assert [row["Close"] for row in rows] == bars.close[:300].tolist()
    assert [row["Amount"] for row in rows] == bars.amount[:300].tolist()


def test_kline_all_limit_keeps_the_newest_with_their_last(client: httpx.Client) -> None:
    whole = data(client, "kline-all?code=sz000001")["list"]
    assert data(client, "kline-all?code=sz000001&limit=7")["list"] == whole[-7:]
    for ignored in ("0", "-3", "x", " 7"):
        found = data(client, f"kline-all?code=sz000001&limit={ignored.replace(' ', '%20')}")
        assert found["count"] == 300


@pytest.mark.parametrize("period", ["week", "month", "quarter", "year"])
def test_longer_bars_are_made_of_days(client: httpx.Client, period: str) -> None:
    days = data(client, "kline-all?code=sz000001")["list"]
    rows = data(client, f"kline-all?code=sz000001&type={period}")["list"]
    assert sum(row["Volume"] for row in rows) == sum(row["Volume"] for row in days)
    assert sum(row["Amount"] for row in rows) == sum(row["Amount"] for row in days)
    assert set(times(rows)) <= set(times(days))
    assert rows[0]["Open"] == days[0]["Open"]
    assert rows[-1]["Close"] == days[-1]["Close"]


def test_minutes_of_kline_all_end_at_the_protocols_limit(client: httpx.Client) -> None:
    rows = data(client, "kline-all?code=sz000001&type=MINUTE1")["list"]
    assert len(rows) == 24_000
    assert rows[0]["Time"].endswith("T09:31:00+08:00")
    assert times(rows) == sorted(times(rows))


@pytest.mark.parametrize("path", ["kline", "kline-history", "kline-all/ths"])
def test_adjusted_series_come_without_turnover(client: httpx.Client, path: str) -> None:
    found = data(client, f"{path}?code=sh600000&type=day")
    rows = found["List"] if path != "kline-all/ths" else found["list"]
    assert {row["Amount"] for row in rows} == {0}
    raw = data(client, f"kline-all?code=sh600000&limit={len(rows)}")["list"]
    assert rows[-1]["Close"] == raw[-1]["Close"]
    assert rows[-1]["Last"] == rows[-2]["Close"]


def test_the_adjusted_series_follows_the_actions(client: httpx.Client) -> None:
    """sz000005 pays so much that its first days are below zero when adjusted."""
    rows = data(client, "kline-all/ths?code=sz000005")["list"]
    raw = data(client, "kline-all?code=sz000005")["list"]
    assert rows[0]["Close"] < 0 < raw[0]["Close"]
    assert [r["Volume"] for r in rows] == [r["Volume"] for r in raw]


def test_kline_takes_every_unknown_type_for_day(client: httpx.Client) -> None:
    days = data(client, "kline?code=sz000001")
    for period in ("day", "quarter", "MINUTE1", "minute60", "Day"):
        assert data(client, f"kline?code=sz000001&type={period}") == days
    assert list(days) == ["Count", "List"]


def test_kline_all_refuses_an_unknown_type(client: httpx.Client) -> None:
    path = "kline-all?code=sz000001&type=minute60"
    assert error(client, path) == "获取K线失败: 不支持的K线类型: minute60"
    assert "type=day/week/month" in error(client, "kline-all/ths?code=sz000001&type=year")


def test_kline_history_caps_its_limit_and_ignores_dates(client: httpx.Client) -> None:
    path = "kline-history?code=sz000001&type=minute5"
    assert data(client, path)["Count"] == 100
    assert data(client, path + "&limit=5000")["Count"] == 800
    assert data(client, path + "&limit=-1")["Count"] == 100
    rows = data(client, path + "&limit=10&start_date=20200101&end_date=20200201")["List"]
    assert rows[-1]["Time"] == "2025-06-30T15:00:00+08:00"
    assert rows[0]["Last"] == 0
    assert data(client, "kline-history?code=sz000001&type=day&limit=5")["List"][0]["Last"] != 0


def test_index_keeps_the_newest_days_but_the_oldest_weeks(client: httpx.Client) -> None:
    every = data(client, "index/all?code=sh000001&type=week")
    assert list(every) == ["count", "list"]
    newest = data(client, "index?code=sh000001&limit=10")
    assert list(newest) == ["Count", "List"]
    assert newest["List"][-1]["Time"] == "2025-06-30T15:00:00+08:00"
    assert newest["List"][0]["Last"] == 0
    assert newest["List"][-1]["UpCount"] + newest["List"][-1]["DownCount"] > 0
    weeks = data(client, "index?code=sh000001&type=week&limit=3")["List"]
    assert weeks == every["list"][:3]
    assert (
        data(client, "index?code=sh000001&type=year&limit=5")["List"]
        == (data(client, "index?code=sh000001&type=day&limit=5")["List"])
    )


def test_an_index_asked_for_as_a_stock_is_an_empty_body(client: httpx.Client) -> None:
    for path in ("kline-all?code=sh000001", "kline-all/tdx?code=sz399001&type=year"):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == "0"


def test_index_minutes_asked_for_as_a_stock_are_garbage_but_the_first(client: httpx.Client) -> None:
    rows = data(client, "kline-history?code=sh000001&type=minute5&limit=5")["List"]
    right = data(client, "index?code=sh000001&type=minute5&limit=800")["List"]
    assert len(rows) == 5
    wrong = data(client, "kline-all?code=sh000001&type=minute5")["list"]
    assert wrong[-800]["Close"] == right[0]["Close"]
    assert any(row["Volume"] < 0 for row in wrong[-799:])
    assert times(wrong) != sorted(times(wrong))


def test_a_stock_asked_for_as_an_index_times_out(client: httpx.Client) -> None:
    assert error(client, "index?code=sz000001") == "获取指数数据失败: 超时"
    assert error(client, "index/all?code=sh600000") == "获取指数历史数据失败: 超时"


@pytest.mark.parametrize("code", ["sh000001", "bj000001", "xx000001", "000001"])
def test_the_third_party_looks_at_six_digits_only(client: httpx.Client, code: str) -> None:
    stock = data(client, "kline-all/ths?code=sz000001")["list"]
    assert data(client, f"kline-all/ths?code={code}")["list"] == stock


@pytest.mark.parametrize(
    ("digits", "same"),
    [("600000", "sh600000"), ("000001", "sz000001"), ("510300", "sh510300"), ("159915", None)],
)
def test_bare_digits_get_the_exchange_the_service_guesses(
    client: httpx.Client, digits: str, same: str | None
) -> None:
    expected = data(client, f"kline-all?code={same or 'sz' + digits}")
    assert data(client, f"kline-all?code={digits}") == expected


@pytest.mark.parametrize("code", ["516000", "588000", "160105", "399001", "12345", "sz00001"])
def test_other_digits_are_not_expanded(client: httpx.Client, code: str) -> None:
    assert error(client, f"kline-all?code={code}") == f"获取K线失败: {LENGTH_ERROR}"


def test_an_unknown_prefix_is_refused_and_capitals_are_not(client: httpx.Client) -> None:
    text = "获取K线失败: 股票代码错误,例如:SZ000001"
    assert error(client, "kline-all?code=xx000001") == text
    assert data(client, "kline-all?code=Sz000001&limit=1")["count"] == 1


def test_errors_of_the_third_party_are_nested(client: httpx.Client) -> None:
    nested = "获取前复权数据失败: 股票代码错误,例如:SZ000001或000001"
    assert error(client, "kline?code=12345") == f"获取K线失败: {nested}"
    assert error(client, "kline-all/ths?code=12345") == f"获取同花顺K线失败: {nested}"


def test_most_routes_do_not_look_at_the_method(client: httpx.Client) -> None:
    path = "kline-all?code=sz000001&limit=1"
    assert client.post(path).json() == client.get(path).json()
    head = client.head("health")
    assert (head.status_code, head.content) == (200, b"")


def test_an_unknown_code_is_an_empty_success(client: httpx.Client) -> None:
    assert client.get("kline-all?code=sh699999").json()["data"]["list"] is None
    assert data(client, "kline-history?code=sh699999&type=minute1") == {"Count": 0, "List": None}
    assert data(client, "index/all?code=sh000999") == {"count": 0, "list": None}
    assert "invalid character '<'" in error(client, "kline?code=sh699999")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("quote", "股票代码不能为空"),
        ("kline", "股票代码不能为空"),
        ("kline-all", "code 为必填参数"),
        ("index", "指数代码不能为空"),
        ("search", "搜索关键词不能为空"),
        ("trade-history?code=sz000001", "code 与 date 均为必填参数"),
        ("trade-history?code=sz000001&date=20250627&start=-1", "start 参数无效"),
        ("trade-history?code=sz000001&date=20250627&count=x", "count 参数无效"),
        ("workday/range?start=20250101", "start 与 end 均为必填参数"),
        (
            "workday/range?start=2025&end=20250101",
            "start 参数格式错误，应为 YYYYMMDD 或 YYYY-MM-DD",
        ),
        ("workday/range?start=20250102&end=20250101", "end 必须大于或等于 start"),
        ("workday?date=x", "date 参数格式错误，应为 YYYYMMDD 或 YYYY-MM-DD"),
        ("income?code=sz000001", "start_date 为必填参数"),
        ("batch-quote", "只支持POST请求"),
        ("tasks/pull-kline", "只支持POST请求"),
        ("tasks/none", "任务不存在"),
        ("tasks/none/cancel", "取消任务仅支持POST"),
    ],
)
def test_bad_requests_are_told_so(client: httpx.Client, path: str, message: str) -> None:
    assert error(client, path) == message


def test_the_first_of_repeated_parameters_counts_and_malformed_pairs_do_not(
    client: httpx.Client,
) -> None:
    assert data(client, "search?keyword=000001&keyword=600000")[0]["code"] == "000001"
    assert error(client, "search?keyword=%zz") == "搜索关键词不能为空"
    assert error(client, "search?keyword=a;b") == "搜索关键词不能为空"


def test_every_request_is_in_the_log(sandbox: TdxSandbox, client: httpx.Client) -> None:
    client.get("kline-all?code=600000&limit=1")
    entry = sandbox.log[-1]
    assert (entry.route, entry.codes, entry.faults) == ("kline-all", ("sh600000",), ())
    assert entry.params == {"code": "600000", "limit": "1"}
    assert entry.time == sandbox.clock
