"""`loaders sandbox tq` as a process, and the HTTP around the market data."""

import importlib.util
import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.commands import printed_sandbox
from tests.requirements import require

psutil = pytest.importorskip("psutil", reason="the extra tq is not installed")

TOKEN = "/auth/realms/shinnytech/protocol/openid-connect/token"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    present = importlib.util.find_spec("aiohttp") is not None
    require("tq", present, "the extra tq is not installed")
    options = ("--variety", "SHFE.cu", "--clock", "2025-11-14", "--fault", "slow:seconds=0")
    with printed_sandbox("tq", 5, *options) as (process, printed):
        assert process.stdout is not None
        printed["hint"] = process.stdout.readline().strip()
        yield process, printed


def test_the_sandbox_prints_what_the_loader_needs(
    running: tuple[subprocess.Popen[str], dict[str, str]],
) -> None:
    process, printed = running
    assert re.match(r"# TqSdk .* http://127\.0\.0\.1:", printed["line"])
    assert "clock=2025-11-14T18:00:00" in printed["line"]
    assert printed["hint"] == "# quotemill run tq --as-of 2025-11-14T18:00"
    assert (printed["ACCOUNT"], printed["VARIETIES"], printed["START"]) == (
        "sandbox",
        "SHFE.cu",
        "2025-08-01",
    )
    assert printed["SANDBOX"].startswith("http://127.0.0.1:")
    listening = psutil.Process(process.pid).net_connections("inet")
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}
    assert len(listening) == 2


def test_only_its_account_may_log_in(running: tuple[subprocess.Popen[str], dict[str, str]]) -> None:
    _, printed = running
    given = {
        "grant_type": "password",
        "username": printed["ACCOUNT"],
        "password": printed["PASSWORD"],
    }
    with httpx.Client(base_url=printed["SANDBOX"], trust_env=False) as web:
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
        table = web.get("/cont_table.json").json()
        assert list(table) == ["SHFE.cu"]
        assert max(day for day, _ in table["SHFE.cu"]) <= "20251114"
        assert "2025-10-01" in web.get("/holidays.json").json()
