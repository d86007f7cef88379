"""The virtual clock of the TDX service: new days, running sessions, zones."""

from datetime import date, datetime
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket

MORNING = "2025-07-01T10:15:00"


@pytest.fixture(scope="module")
def world() -> SyntheticMarket:
    return SyntheticMarket(codes=20, days=120)


def rows(sandbox: TdxSandbox, path: str) -> list[dict[str, Any]]:
    answer = httpx.get(sandbox.url + "/api/" + path).json()["data"]
    return list(answer.get("list") or answer.get("List") or [])


def days(sandbox: TdxSandbox, start: str = "20250601") -> list[str]:
    return [row["iso"] for row in rows(sandbox, f"workday/range?start={start}&end=20251231")]


def test_same_seed_and_clock_give_the_same_bytes() -> None:
    bodies = []
    for start, then in (("2025-06-20", "2025-06-30"), ("2025-06-30", None)):
        with TdxSandbox(SyntheticMarket(codes=12, days=80), clock=start) as sandbox:
            if then:
                sandbox.set_clock(then)
            bodies.append(
                [
                    httpx.get(sandbox.url + "/api/" + path).content
                    for path in ("kline-all?code=sh600000", "quote?code=sh600000", "codes")
                ]
            )
    assert bodies[0] == bodies[1]


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


def test_before_the_open_today_is_unknown(world: SyntheticMarket) -> None:
    with TdxSandbox(world, clock="2025-07-01T09:10:00") as sandbox:
        assert days(sandbox)[-1] == "2025-06-30"
        assert rows(sandbox, "kline-all?code=sz000001")[-1]["Time"].startswith("2025-06-30")


def test_an_open_market_shows_an_unfinished_day(world: SyntheticMarket) -> None:
    with TdxSandbox(world, clock=MORNING) as sandbox:
        part = rows(sandbox, "kline-all?code=sz000001")[-1]
        week = rows(sandbox, "kline-all?code=sz000001&type=week")[-1]
        minutes = rows(sandbox, "kline-history?code=sz000001&type=minute1&limit=800")
        points = rows(sandbox, "minute?code=sz000001")
        sandbox.set_clock("2025-07-01")
        whole = rows(sandbox, "kline-all?code=sz000001")[-1]
    assert part["Time"] == whole["Time"] == "2025-07-01T15:00:00+08:00"
    assert part["Open"] == whole["Open"]
    assert part["Volume"] < whole["Volume"]
    assert week["Volume"] > part["Volume"]
    today = [row for row in minutes if row["Time"].startswith("2025-07-01")]
    assert len(today) == len(points) == 45
    assert sum(row["Volume"] for row in today) == part["Volume"]
    assert today[-1]["Time"] == "2025-07-01T10:15:00+08:00"


def test_the_noon_label_turns_back_when_the_day_is_complete(world: SyntheticMarket) -> None:
    def labels(clock: str) -> list[str]:
        with TdxSandbox(world, clock=clock) as sandbox:
            minutes = rows(sandbox, "kline-history?code=sz000001&type=minute1&limit=240")
        return [row["Time"][11:16] for row in minutes if row["Time"].startswith("2025-07-01")]

    assert labels("2025-07-01T14:30:00")[119] == "11:30"
    assert labels("2025-07-01T15:30:00")[119] == "13:00"
    with TdxSandbox(world, clock="2025-07-02") as sandbox:
        minutes = rows(sandbox, "kline-history?code=sz000001&type=minute1&limit=480")
    assert minutes[119]["Time"] == "2025-07-01T11:30:00+08:00"


def test_an_announced_event_moves_old_adjusted_prices_when_its_day_comes(
    world: SyntheticMarket,
) -> None:
    coming = world.actions("sz000004")[-1].ex_date
    assert coming > world.end.date()
    with TdxSandbox(world) as sandbox:
        before = rows(sandbox, "kline-all/ths?code=sz000004")
        raw = rows(sandbox, "kline-all?code=sz000004")
        sandbox.set_clock(coming)
        after = rows(sandbox, "kline-all/ths?code=sz000004")
        assert rows(sandbox, "kline-all?code=sz000004")[: len(raw)] == raw
    assert before[-1]["Close"] == raw[-1]["Close"]
    assert after[len(before) - 1]["Close"] < before[-1]["Close"]


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


def test_third_party_weeks_are_cut_at_new_year() -> None:
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


def test_small_volumes_are_decoded_wrongly_when_asked_for() -> None:
    world = SyntheticMarket(codes=20, days=120)
    with TdxSandbox(world, options=Options(small_volumes=True)) as sandbox:
        wrong = [row["Volume"] for row in rows(sandbox, "kline-all?code=sz000006")]
    true = world.day_bars("sz000006").volume[: len(wrong)].tolist()
    shown = dict(zip(true, wrong, strict=True))
    assert all(shown[v] == 48 + 16 * (v - 33) for v in shown if 33 <= v <= 64)
    assert all(shown[v] == v for v in shown if 17 <= v <= 32 or v > 64)
    assert wrong != true
