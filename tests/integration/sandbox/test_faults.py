"""Faults of the TDX service on the wire, in its log, and over its control port."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import events
from loaders.sandbox.world.market import SyntheticMarket
from tests.faults.scene import wait_until

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
    answer = data(sandbox, path)
    return next(answer[key] for key in ("list", "List", "codes") if key in answer)


def message(sandbox: TdxSandbox, path: str = BARS) -> str:
    document = get(sandbox, path).json()
    assert document["code"] == -1
    return str(document["message"])


def test_an_error_of_the_sandbox_is_reported_and_no_reset(
    sandbox: TdxSandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("loaders.sandbox.tdx.http_handler.answer", broken)
    answer = get(sandbox, BARS)

    report = f"the sandbox failed at GET /api/{BARS}: ZeroDivisionError: by zero"
    assert (answer.status_code, answer.text) == (500, report)
    assert report in capsys.readouterr().err
    assert sandbox.log[-1].faults == (report,)
    monkeypatch.undo()
    assert get(sandbox, BARS).status_code == 200


@pytest.mark.parametrize("kind", ["refuse", "restart"])
def test_the_port_is_closed_for_a_while(
    sandbox: TdxSandbox, fault: Fault, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpx.post(sandbox.url + "/api/tasks/pull-trade", json={"code": "sz000001"})
    before = len(data(sandbox, "tasks"))
    closed, over = threading.Event(), threading.Event()
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        closed.set()
        return not over.wait(60)

    monkeypatch.setattr(sandbox.stopped, "wait", wait)
    fault(f"{kind}:kline-all:first=1:seconds=0.3")
    with pytest.raises(httpx.TransportError):
        get(sandbox, BARS)
    assert closed.wait(60)
    with pytest.raises(httpx.ConnectError):
        get(sandbox, "health")
    over.set()
    wait_until("it listens again", sandbox.listening.is_set)
    assert len(data(sandbox, "tasks")) == (0 if kind == "restart" else before)
    assert waited == [0.3]


def test_an_outage_can_last_some_seconds(sandbox: TdxSandbox, fault: Fault) -> None:
    fault("outage:seconds=0.3")
    assert message(sandbox)
    deadline = time.monotonic() + 60
    while get(sandbox, BARS).json()["code"] != 0:
        assert time.monotonic() < deadline


def test_the_third_party_can_lack_its_newest_actions_or_older_ones(
    sandbox: TdxSandbox, fault: Fault
) -> None:
    def closes(path: str) -> dict[str, int]:
        return {row["Time"][:10]: row["Close"] for row in rows(sandbox, path)}

    adjusted = "kline-all/ths?code=sz000003"
    whole, raw = closes(adjusted), closes("kline-all?code=sz000003")
    dates = [str(event.ex_date) for event in events(sandbox.world.actions("sz000003"))]
    assert len(dates) == 2

    def first_right_day(rule: str) -> str:
        sandbox.faults.clear()
        fault(rule)
        return min(day for day, close in closes(adjusted).items() if close == whole[day])

    assert first_right_day("ths-missing-action") == dates[-1]
    assert first_right_day("ths-missing-action:which=2") == dates[0]
    sandbox.faults.clear()
    fault("ths-missing-action:count=9")
    assert closes(adjusted) == raw


def test_the_control_port_moves_clock_and_faults(sandbox: TdxSandbox, fault: Fault) -> None:
    control = httpx.Client(base_url=sandbox.control_url)
    with control:
        state = control.post("/faults", json={"fault": "reset:nth=99"}).json()
        assert state["faults"] == ["reset:*:nth=99"]
        assert control.delete("/faults").json()["faults"] == []
        bad = control.post("/faults", json={"fault": "explode"})
        assert bad.status_code == 400
        assert "half-init" in bad.json()["hint"]
        for route, wrong in (("/clock", {"clock": "soon"}), ("/faults", {})):
            assert control.post(route, json=wrong).status_code == 400
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
