"""Every fault is seen on the wire, recorded, and gone when its rule is."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket

BARS = "kline-all?code=sh600000"
Fault = Callable[[str], None]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[TdxSandbox]:
    world = SyntheticMarket(codes=20, days=120)
    with TdxSandbox(world, options=Options(timeout_delay=0), control_port=0) as running:
        yield running


@pytest.fixture
def fault(sandbox: TdxSandbox) -> Iterator[Fault]:
    sandbox.faults.clear()

    def switch_on(text: str) -> None:
        sandbox.faults.add(text)

    yield switch_on
    sandbox.faults.clear()


def get(sandbox: TdxSandbox, path: str, **options: Any) -> httpx.Response:
    return httpx.get(f"{sandbox.url}/api/{path}", **options)


def data(sandbox: TdxSandbox, path: str) -> Any:
    return get(sandbox, path).json()["data"]


def rows(sandbox: TdxSandbox, path: str = BARS) -> Any:
    found = data(sandbox, path)
    return next(found[key] for key in ("list", "List", "codes") if key in found)


def message(sandbox: TdxSandbox, path: str = BARS) -> str:
    document = get(sandbox, path).json()
    assert document["code"] == -1
    return str(document["message"])


def test_a_fault_of_the_sandbox_itself_is_told_and_looks_like_no_reset(
    sandbox: TdxSandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("loaders.sandbox.tdx.http_handler.answer", broken)
    found = get(sandbox, BARS)

    told = f"the sandbox failed at GET /api/{BARS}: ZeroDivisionError: by nought"
    assert (found.status_code, found.text) == (500, told)
    assert told in capsys.readouterr().err
    assert sandbox.log[-1].faults == (told,)
    monkeypatch.undo()
    assert get(sandbox, BARS).status_code == 200


def test_faults_are_recorded_in_the_log(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("empty:kline-all:code=sh600000:first=1")
    get(sandbox, BARS)
    get(sandbox, BARS)
    struck, spared = list(sandbox.log)[-2:]
    assert struck.faults == ("empty:kline-all:first=1:code=sh600000",)
    assert spared.faults == ()


def test_latency_delays_the_answer(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("latency:seconds=0.2")
    begun = time.monotonic()
    assert get(sandbox, BARS).json()["code"] == 0
    assert time.monotonic() - begun >= 0.2


def test_a_hang_outlasts_the_client(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("hang:kline-all")
    with pytest.raises(httpx.ReadTimeout):
        get(sandbox, BARS, timeout=0.2)
    assert get(sandbox, "health").status_code == 200


def test_a_reset_comes_before_the_first_byte(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("reset:kline-all:first=1")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        get(sandbox, BARS)
    assert get(sandbox, BARS).json()["code"] == 0


def test_a_cut_body_ends_half_way(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("cut:at=0.3")
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        get(sandbox, BARS)


@pytest.mark.parametrize("kind", ["refuse", "restart"])
def test_the_port_is_closed_for_a_while(sandbox: TdxSandbox, fault: Fault, kind: str) -> None:
    httpx.post(sandbox.url + "/api/tasks/pull-trade", json={"code": "sz000001"})
    before = len(data(sandbox, "tasks"))
    fault(f"{kind}:kline-all:first=1:seconds=0.3")
    with pytest.raises(httpx.TransportError):
        get(sandbox, BARS)
    host, port = sandbox.url.removeprefix("http://").split(":")
    errors, deadline = 0, time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            get(sandbox, "health")
            if errors:
                break
        except httpx.TransportError:
            errors += 1
    assert errors > 0
    socket.create_connection((host, int(port))).close()
    assert len(data(sandbox, "tasks")) == (0 if kind == "restart" else before)


def test_answers_as_a_whole_can_be_replaced(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("empty-body:kline-all")
    fault("html:index/all:status=503")
    fault("error:quote:message=预期: 2个")
    answer = get(sandbox, BARS)
    assert (answer.status_code, answer.content) == (200, b"")
    page = get(sandbox, "index/all?code=sh000001")
    assert page.status_code == 503
    assert page.text.startswith("<html>")
    assert message(sandbox, "quote?code=sz000001") == "预期: 2个"


def test_a_time_out_of_the_quote_server_waits_and_says_so() -> None:
    world = SyntheticMarket(codes=2, days=60)
    options = Options(timeout_delay=0.2)
    with TdxSandbox(world, faults=["timeout:kline-all"], options=options) as sandbox:
        begun = time.monotonic()
        assert message(sandbox) == "获取K线失败: 超时"
        assert time.monotonic() - begun >= 0.2


def test_an_outage_fails_at_once_where_the_quote_server_is_needed(
    sandbox: TdxSandbox, fault: Fault
) -> None:
    fault("outage:calls=2")
    text = message(sandbox)
    assert text.startswith("获取K线失败: write tcp ")
    assert text.endswith("use of closed network connection")
    assert b"\\u003e" in get(sandbox, "index/all?code=sh000001").content
    assert get(sandbox, BARS).json()["code"] == 0
    fault("outage")
    assert message(sandbox, "market-count").startswith("获取 sh 数量失败: write tcp ")
    for path in ("health", "codes", "workday", "kline?code=sh600000"):
        assert get(sandbox, path).json().get("code", 0) == 0
    assert "quote" not in data(sandbox, "stock-info?code=sh600000")


def test_an_outage_may_last_a_time(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("outage:seconds=0.3")
    assert message(sandbox)
    deadline = time.monotonic() + 5
    while get(sandbox, BARS).json()["code"] != 0:
        assert time.monotonic() < deadline


def test_too_many_calls_are_turned_away(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("rate-limit:per_second=3")
    with httpx.Client() as client:
        answers = [client.get(sandbox.url + "/api/health").status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]


def test_an_empty_success_has_null_or_brackets(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("empty")
    found = data(sandbox, BARS)
    assert (found["count"], found["list"]) == (0, None)
    assert data(sandbox, "kline-history?code=sh600000&type=minute1") == {"Count": 0, "List": None}
    assert data(sandbox, "codes")["codes"] == []


def test_history_can_be_short(sandbox: TdxSandbox, fault: Fault) -> None:
    whole = rows(sandbox)
    fault("short:keep=50")
    found = data(sandbox, BARS)
    assert found["count"] == 50
    assert found["list"] == whole[-50:]


def test_bars_can_repeat_or_come_newest_first(sandbox: TdxSandbox, fault: Fault) -> None:
    whole = rows(sandbox)
    fault("duplicate:page=80")
    assert rows(sandbox)[len(whole) - 80] == rows(sandbox)[len(whole) - 79]
    assert len(rows(sandbox)) == len(whole) + 1
    sandbox.faults.clear()
    fault("descending")
    assert rows(sandbox) == whole[::-1]


def test_the_last_bar_can_be_unfinished_or_change(sandbox: TdxSandbox, fault: Fault) -> None:
    whole = rows(sandbox)
    fault("unfinished")
    assert rows(sandbox)[-1]["Volume"] == whole[-1]["Volume"] // 2
    assert rows(sandbox)[:-1] == whole[:-1]
    sandbox.faults.clear()
    fault("provisional")
    assert rows(sandbox)[-1] != rows(sandbox)[-1]


def test_a_bar_can_lie_on_a_holiday_or_stand_on_its_head(sandbox: TdxSandbox, fault: Fault) -> None:
    whole = {row["Time"] for row in rows(sandbox)}
    fault("holiday")
    (extra,) = {row["Time"] for row in rows(sandbox)} - whole
    known = {day["iso"] for day in rows(sandbox, "workday/range?start=20240101&end=20251231")}
    assert extra[:10] not in known
    sandbox.faults.clear()
    fault("high-below-low:row=5")
    assert rows(sandbox)[5]["High"] < rows(sandbox)[5]["Low"]


def test_noon_can_be_labelled_as_thirteen(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("noon-label")
    found = rows(sandbox, "kline-all?code=sh600000&type=minute1")
    assert not any("T11:30" in row["Time"] for row in found)
    assert sum("T13:00" in row["Time"] for row in found) == 100


def test_fields_can_be_new_missing_or_of_another_type(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("extra-field:field=Turnover")
    fault("missing-field:field=Low")
    fault("string-number:field=Close")
    row = rows(sandbox)[0]
    assert "Turnover" in row
    assert "Low" not in row
    assert isinstance(row["Close"], str)


def test_lists_can_be_stale_doubled_or_lack_an_exchange(sandbox: TdxSandbox, fault: Fault) -> None:
    whole = rows(sandbox, "codes")
    fault("codes-stale:drop=2")
    assert len(rows(sandbox, "codes")) == len(whole) - 2
    sandbox.faults.clear()
    fault("codes-duplicate")
    assert rows(sandbox, "codes") == [whole[0], *whole]
    sandbox.faults.clear()
    fault("codes-missing:exchange=bj")
    assert data(sandbox, "codes")["exchanges"]["bj"] == 0
    sandbox.faults.clear()
    fault("codes-vanish:code=sh600000")
    assert "sh600000" not in rows(sandbox, "stock-codes")


def test_the_calendar_can_be_lost_or_short(sandbox: TdxSandbox, fault: Fault) -> None:
    path = "workday/range?start=20250101&end=20251231"
    whole = rows(sandbox, path)
    fault("calendar-short:keep=20")
    assert rows(sandbox, path) == whole[-20:]
    sandbox.faults.clear()
    fault("calendar-empty")
    assert data(sandbox, path) == {"count": 0, "list": []}
    assert data(sandbox, "workday?date=20250630")["is_workday"] is False
    full = "trade-history/full?code=sh600000&start_date=20250623&end_date=20250627"
    assert data(sandbox, full)["covered_dates"] == []


def test_a_half_initialised_service_lacks_its_code_cache(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("half-init")
    assert message(sandbox, "stock-codes") == "股票代码缓存未初始化"
    assert message(sandbox, "etf-codes") == "代码缓存未初始化"
    assert message(sandbox, "quote?code=sh510300") == "获取行情失败: DefaultCodes未初始化"
    assert data(sandbox, "quote?code=sz000001")
    assert data(sandbox, "codes")["total"] > 0


def test_the_third_party_can_fail_alone_or_lack_an_action(
    sandbox: TdxSandbox, fault: Fault
) -> None:
    path = "kline-all/ths?code=sh600000"
    whole = rows(sandbox, path)
    fault("ths-missing-action")
    assert rows(sandbox, path)[-1] == whole[-1]
    assert rows(sandbox, path)[0] != whole[0]
    sandbox.faults.clear()
    fault("ths-down")
    assert message(sandbox, path).startswith("获取同花顺K线失败: 获取前复权数据失败")
    assert rows(sandbox)
    assert list(data(sandbox, "stock-info?code=sh600000")) == ["minute", "quote"]


def test_days_can_be_missing_from_a_range_of_ticks(sandbox: TdxSandbox, fault: Fault) -> None:
    path = "trade-history/full?code=sh600000&start_date=20250623&end_date=20250627"
    fault("missing-days:days=2")
    assert data(sandbox, path)["covered_dates"] == ["20250625", "20250626", "20250627"]


def test_the_control_port_moves_clock_and_faults(sandbox: TdxSandbox, fault: Fault) -> None:
    control = httpx.Client(base_url=sandbox.control_url)
    with control:
        state = control.post("/faults", json={"fault": "reset:nth=99"}).json()
        assert state["faults"] == ["reset:*:nth=99"]
        assert control.delete("/faults").json()["faults"] == []
        bad = control.post("/faults", json={"fault": "explode"})
        assert bad.status_code == 400
        assert "half-init" in bad.json()["hint"]
        before = sandbox.clock
        moved = control.post("/clock", json={"clock": "2025-07-01", "restart": True}).json()
        assert moved["clock"] == "2025-07-01T18:00:00"
        assert moved["calendar_until"] == "2025-07-01"
        assert rows(sandbox)[-1]["Time"].startswith("2025-07-01")
        sandbox.set_clock(before)
        control.delete("/log")
        get(sandbox, BARS)
        (entry,) = control.get("/log").json()["log"]
        assert entry["route"] == "kline-all"
        assert control.get("/nothing").status_code == 400
        assert get(sandbox, "state").status_code == 404
