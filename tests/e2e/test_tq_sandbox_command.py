"""`loaders sandbox tq` as a process, and the HTTP around the market data."""

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import require

psutil = pytest.importorskip("psutil", reason="the extra tq is not installed")

TOKEN = "/auth/realms/shinnytech/protocol/openid-connect/token"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    present = importlib.util.find_spec("aiohttp") is not None
    require("tq", present, "the extra tq is not installed")
    command = [sys.executable, "-c", "from loaders.cli import main; main()", "sandbox", "tq"]
    command += ["--variety", "SHFE.cu", "--port", "0", "--control-port", "0"]
    command += ["--clock", "2025-11-14", "--fault", "slow:seconds=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = {"line": process.stdout.readline()}
    for _ in range(8):
        name, _, value = process.stdout.readline().strip().partition("=")
        told[name.removeprefix("export QUOTEMILL_TQ__")] = value
    told["hint"] = process.stdout.readline().strip()
    told["control"] = told["line"].strip().partition("control=")[2]
    yield process, told
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0


def test_it_prints_what_the_loader_needs(
    running: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    process, told = running
    assert told["line"].startswith("# TqSdk sandbox on http://127.0.0.1:")
    assert "clock=2025-11-14T18:00:00" in told["line"]
    assert told["hint"] == "# quotemill run tq --as-of 2025-11-14T18:00"
    assert (told["ACCOUNT"], told["VARIETIES"], told["START"]) == (
        "sandbox",
        "SHFE.cu",
        "2025-08-01",
    )
    assert told["MD_URL"].startswith("ws://127.0.0.1:")
    listening = psutil.Process(process.pid).net_connections("inet")
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    assert len(listening) == 2


def test_only_its_account_is_let_in(running: tuple[subprocess.Popen[str], dict[str, str]]) -> None:
    _, told = running
    given = {"grant_type": "password", "username": told["ACCOUNT"], "password": told["PASSWORD"]}
    with httpx.Client(base_url=told["AUTH_URL"], trust_env=False) as web:
        assert web.post(TOKEN, data=given | {"password": "other"}).status_code == 401
        token = web.post(TOKEN, data=given).json()["access_token"]
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        assert web.get("/md", headers=upgrade).status_code == 403
        forged = upgrade | {"Authorization": "Bearer " + token[:-4]}
        assert web.get("/md", headers=forged).status_code == 403
        table = web.get(told["CONT_TABLE_URL"]).json()
        assert list(table) == ["SHFE.cu"]
        assert max(day for day, _ in table["SHFE.cu"]) <= "20251114"
        assert "2025-10-01" in web.get(told["HOLIDAY_URL"]).json()


def test_the_control_port_moves_the_clock_and_scripts_faults(
    running: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    _, told = running
    with httpx.Client(base_url=told["control"], trust_env=False) as control:
        state = control.get("/state").json()
        assert (state["trading_day"], state["faults"]) == ("2025-11-14", ["slow:seconds=0"])
        moved = control.post("/clock", json={"clock": "2025-11-14T21:30:00"}).json()
        assert moved["trading_day"] == "2025-11-17"
        added = control.post("/faults", json={"fault": "main-table:times=1"}).json()
        assert added["faults"][-1] == "main-table:times=1"
        control.delete("/log")
        assert httpx.get(told["CONT_TABLE_URL"], trust_env=False).status_code == 404
        assert httpx.get(told["CONT_TABLE_URL"], trust_env=False).status_code == 200
        log = control.get("/log").json()["log"]
        assert [(e["what"], e["faults"]) for e in log] == [
            ("main-table", ["main-table:times=1"]),
            ("main-table", []),
        ]
        assert control.delete("/faults").json()["faults"] == []
        for wrong in ({"fault": "flood"}, {"clock": "soon"}, {}):
            route = "/clock" if "clock" in wrong else "/faults"
            assert control.post(route, json=wrong).status_code == 400
        assert control.get("/nothing").status_code == 400
