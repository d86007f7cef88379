"""The simulated TDX service on the wire: quotes, minutes, ticks, lists, calendar and tasks."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket

LAST_DAY = "20250630"
DAY_BEFORE = "20250627"


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


def test_quotes_keep_the_order_and_fail_as_a_whole(client: httpx.Client) -> None:
    found = data(client, "quote?code=sz000001,%20sh600000,,sz000001")
    assert [row["Code"] for row in found] == ["000001", "600000", "000001"]
    assert [row["Exchange"] for row in found] == [0, 1, 0]
    assert len(found[0]) == 24
    assert len(found[0]["BuyLevel"]) == len(found[0]["SellLevel"]) == 5
    assert "预期2个，实际1个" in error(client, "quote?code=sz000001,sh699999")
    assert data(client, "quote?code=sh510300,sh000001")[1]["Code"] == "000001"
    assert error(client, "quote?code=SH510300") == "获取行情失败: 未查询到代码[SH510300]相关信息"


def test_a_suspended_stock_is_quoted_without_prices(client: httpx.Client) -> None:
    (row,) = data(client, "quote?code=sh688001")
    assert row["K"]["Last"] > 0
    assert [row["K"][name] for name in ("Open", "High", "Low", "Close")] == [0, 0, 0, 0]
    assert row["Amount"] == 5.877471754111438e-39


def test_batch_quote_takes_at_most_fifty(client: httpx.Client) -> None:
    def post(codes: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = client.post("batch-quote", json={"codes": codes}).json()
        return found

    assert len(post(["000001", "600000"])["data"]) == 2
    assert post(["sz000001"] * 51)["message"] == "一次最多查询50只股票"
    assert post([])["message"] == "股票代码列表不能为空"
    assert client.post("batch-quote").json()["message"] == "请求参数错误: EOF"


def test_minutes_are_points_of_price_and_hands(client: httpx.Client) -> None:
    found = data(client, f"minute?code=sz000001&date={DAY_BEFORE}")
    assert list(found) == ["Count", "List", "date"]
    assert found["Count"] == 240
    assert list(found["List"][0]) == ["Time", "Price", "Number"]
    assert (found["List"][0]["Time"], found["List"][-1]["Time"]) == ("09:31", "15:00")
    empty = {"Count": 0, "List": None, "date": "2025-06-27"}
    assert data(client, "minute?code=sz000001&date=2025-06-27") == empty


def test_minutes_and_ticks_of_funds_are_ten_times_too_large(client: httpx.Client) -> None:
    bar = data(client, "kline-all?code=sh510300&limit=2")["list"][0]
    points = data(client, f"minute?code=sh510300&date={DAY_BEFORE}")["List"]
    assert points[-1]["Price"] == bar["Close"] * 10
    ticks = data(client, f"trade?code=sh510300&date={DAY_BEFORE}")["List"]
    assert all(bar["Low"] * 10 <= tick["Price"] <= bar["High"] * 10 for tick in ticks)


def test_pages_of_ticks_count_from_the_end_of_the_day(client: httpx.Client) -> None:
    path = f"trade-history?code=sz000001&date={DAY_BEFORE}"
    whole = data(client, f"minute-trade-all?code=sz000001&date={DAY_BEFORE}")["List"]
    assert list(whole[0]) == ["Time", "Price", "Volume", "Status", "Number"]
    assert {row["Number"] for row in whole} == {0}
    assert times(whole) == sorted(times(whole))
    assert data(client, path + "&count=200")["List"] == whole[-200:]
    assert data(client, path + "&count=200&start=200")["List"] == whole[-400:-200]
    assert data(client, path + "&start=65535") == {"Count": 0, "List": None}
    assert data(client, path + "&start=65536&count=1")["List"] == whole[-1:]
    assert data(client, f"trade-history?code=sz000001&date={LAST_DAY}")["List"] is None


def test_ticks_of_today_come_without_a_date(client: httpx.Client) -> None:
    found = data(client, "trade?code=sz000001")["List"]
    assert found[0]["Time"].startswith("2025-06-30T09:25")
    assert any(row["Number"] for row in found)
    odd = "trade?code=sz000001&date=020250627"
    assert error(client, odd) == "获取分时成交失败: 超时"


def test_the_full_history_keeps_the_oldest_ticks_in_yuan(client: httpx.Client) -> None:
    path = "trade-history/full?code=000001&start_date=20250626&end_date=2025-06-27"
    found = data(client, path)
    assert list(found) == [
        *("code", "count", "covered_dates", "end_date", "limit", "list"),
        *("start_date", "truncated"),
    ]
    assert found["covered_dates"] == ["20250626", "20250627"]
    assert (found["code"], found["truncated"]) == ("000001", False)
    assert list(found["list"][0]) == ["time", "price", "volume", "status", "number"]
    one = data(client, path + "&limit=1")
    assert one["truncated"] is True
    assert one["list"] == found["list"][:1]
    swapped = data(
        client, "trade-history/full?code=000001&start_date=20250627&end_date=20250626&limit=1"
    )
    assert (swapped["start_date"], swapped["end_date"]) == ("2025-06-26", "2025-06-27")
    empty = data(client, "trade-history/full?code=000001&start_date=20250628&end_date=20250629")
    assert (empty["list"], empty["covered_dates"]) == ([], [])


def test_lists_hold_stocks_and_funds_apart_and_no_index(client: httpx.Client) -> None:
    found = data(client, "codes")
    assert list(found) == ["total", "exchanges", "codes"]
    assert list(found["exchanges"]) == ["bj", "sh", "sz"]
    assert found["total"] == len(found["codes"]) == sum(found["exchanges"].values())
    sh = data(client, "codes?exchange=sh")
    assert sh["total"] == sh["exchanges"]["sh"]
    assert data(client, "codes?exchange=us")["codes"] == []
    every = data(client, "stock-codes")["list"]
    assert every == [row["exchange"] + row["code"] for row in found["codes"]]
    assert "sh000001" not in every
    assert "sh600001" in every, "delisted codes stay for ever"
    assert data(client, "stock-codes?limit=3&prefix=false")["list"] == [c[2:] for c in every[:3]]
    funds = data(client, "etf?exchange=sh&limit=5")
    assert {row["exchange"] for row in funds["list"]} == {"sh"}
    assert data(client, "etf-codes")["count"] == 10
    assert data(client, "stock-codes?limit=1&prefix=False")["list"] == every[:1]
    assert client.get("stock-codes?limit=0").json()["data"]["count"] == len(every)


def test_market_numbers_are_totals_only(client: httpx.Client) -> None:
    stats = data(client, "market-stats")
    assert stats["sh"]["up"] == stats["sh"]["total"]
    assert stats["update_time"] == ""
    count = data(client, "market-count")
    assert count["total"] == sum(row["count"] for row in count["exchanges"])


def test_the_calendar_knows_no_future(client: httpx.Client) -> None:
    found = data(client, "workday?count=3")
    assert found["is_workday"] is True
    assert found["next"] == []
    assert [day["numeric"] for day in found["previous"]] == ["20250627", "20250626", "20250625"]
    days = data(client, "workday/range?start=2025-06-27&end=20250801")
    assert [day["iso"] for day in days["list"]] == ["2025-06-27", "2025-06-30"]
    assert data(client, "workday/range?start=20250628&end=20250629") == {"count": 0, "list": []}
    far = data(client, "workday?date=20300101&count=99")
    assert (far["previous"], far["is_workday"]) == ([], False)


def test_stock_info_leaves_out_what_fails(client: httpx.Client) -> None:
    assert list(data(client, "stock-info?code=sz000001")) == ["kline_day", "minute", "quote"]
    assert data(client, "stock-info?code=sz000001")["kline_day"]["Count"] == 30
    assert "quote" not in data(client, "stock-info?code=sh699999")


def test_income_is_in_yuan_on_adjusted_days(client: httpx.Client) -> None:
    found = data(client, "income?code=sz000001&start_date=20250401&days=5,x,10,9000")
    assert [row["offset"] for row in found["list"]] == [5, 10]
    row = found["list"][0]
    assert row["rise"] == pytest.approx(row["current"]["close"] - row["source"]["close"])


def test_tasks_live_until_they_end_or_are_cancelled(client: httpx.Client) -> None:
    body = {"codes": ["sz000001"], "tables": ["day"]}
    first = client.post("tasks/pull-kline", json=body).json()["data"]["task_id"]
    second = client.post("tasks/pull-trade", json={"code": "sz000001"}).json()["data"]["task_id"]
    assert uuid.UUID(first) != uuid.UUID(second)
    assert {task["id"] for task in data(client, "tasks")} >= {first, second}
    task = data(client, f"tasks/{first}")
    assert list(task) == ["id", "type", "status", "started_at"]
    assert data(client, f"tasks/{first}/")["status"] == "success"
    cancelled = client.post(f"tasks/{second}/cancel").json()["data"]
    assert cancelled == {"status": "cancelled", "task_id": second}
    assert client.post(f"tasks/{second}/cancel").json()["message"] == "任务不存在或已结束"
    bad = client.post("tasks/pull-kline", json={"tables": ["minute1"]}).json()
    assert bad["message"] == "tables参数无效"
