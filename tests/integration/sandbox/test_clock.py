"""The virtual clock of the TDX service: new days, running sessions, zones."""

from datetime import date, datetime
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket


@pytest.fixture(scope="module")
def world() -> SyntheticMarket:
    return SyntheticMarket(codes=20, days=120)


def rows(sandbox: TdxSandbox, path: str) -> list[dict[str, Any]]:
    answer = httpx.get(sandbox.url + "/api/" + path).json()["data"]
    return list(answer.get("list") or answer.get("List") or [])


def days(sandbox: TdxSandbox, start: str = "20250601") -> list[str]:
    return [row["iso"] for row in rows(sandbox, f"workday/range?start={start}&end=20251231")]


def test_a_running_service_adds_a_day_the_next_morning(world: SyntheticMarket) -> None:
    with TdxSandbox(world) as sandbox:
        assert days(sandbox)[-1] == "2025-06-30"
        sandbox.set_clock("2025-07-01T18:00:00")
        assert days(sandbox)[-1] == "2025-06-30"
        sandbox.set_clock("2025-07-02T08:59:59")
        assert days(sandbox)[-1] == "2025-06-30"
        sandbox.set_clock("2025-07-02T09:00:00")
        assert days(sandbox)[-1] == "2025-07-01"


def test_an_empty_range_refreshes_the_calendar(world: SyntheticMarket) -> None:
    with TdxSandbox(world) as sandbox:
        sandbox.set_clock("2025-07-01")
        assert days(sandbox, "20250701") == ["2025-07-01"]
        assert days(sandbox)[-1] == "2025-07-01"


def test_a_restart_reads_the_calendar_and_forgets_the_tasks(world: SyntheticMarket) -> None:
    with TdxSandbox(world) as sandbox:
        httpx.post(sandbox.url + "/api/tasks/pull-kline", json={})
        sandbox.set_clock("2025-07-01", restart=True)
        assert days(sandbox)[-1] == "2025-07-01"
        assert httpx.get(sandbox.url + "/api/tasks").json()["data"] == []


def test_a_new_listing_appears_on_its_first_morning(world: SyntheticMarket) -> None:
    security = world.find("sz300001")
    assert security is not None
    listed = security.listed
    with TdxSandbox(world, clock=datetime.combine(listed, datetime.min.time())) as sandbox:
        assert "sz300001" not in _codes(sandbox)
        sandbox.set_clock(f"{listed}T09:00:10")
        assert "sz300001" in _codes(sandbox)


def _codes(sandbox: TdxSandbox) -> list[str]:
    return list(httpx.get(f"{sandbox.url}/api/stock-codes").json()["data"]["list"])


def test_the_zone_changes_what_is_printed_behind_the_same_wall_clock() -> None:
    end = date(1992, 1, 10)
    world = SyntheticMarket(codes=2, days=200, end=end)
    stamps = {}
    for zone in ("shanghai", "utc"):
        with TdxSandbox(world, options=Options(zone)) as sandbox:
            stamps[zone] = [row["Time"] for row in rows(sandbox, "kline-all?code=sz000001")]
    assert {stamp[19:] for stamp in stamps["utc"]} == {"Z"}
    summer = [s for s in stamps["shanghai"] if "1991-04-15" <= s[:10] <= "1991-09-13"]
    assert {stamp[19:] for stamp in summer} == {"+09:00"}
    assert {s[19:] for s in stamps["shanghai"] if s not in summer} == {"+08:00"}
    assert [s[:19] for s in stamps["utc"]] == [s[:19] for s in stamps["shanghai"]]


def test_third_party_weeks_end_at_new_year() -> None:
    world = SyntheticMarket(codes=2, days=60, end=date(2025, 1, 20))
    with TdxSandbox(world) as sandbox:
        raw = rows(sandbox, "kline-all?code=sz000001&type=week")
        ths = rows(sandbox, "kline-all/ths?code=sz000001&type=week")
    # ISO week 1 of 2025 begins in December
    assert [r["Time"][:10] for r in raw if "2024-12-30" <= r["Time"] < "2025-01-05"] == [
        "2025-01-03"
    ]
    assert [r["Time"][:10] for r in ths if "2024-12-30" <= r["Time"] < "2025-01-05"] == [
        "2024-12-30",
        "2024-12-31",
        "2025-01-03",
    ]
