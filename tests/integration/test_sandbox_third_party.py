"""What the third-party page may get wrong, and what a quote says on an ex-date."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import Any

import httpx
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import events
from loaders.sandbox.world.market import SyntheticMarket

CODE = "sh600000"
THS = f"kline-all/ths?code={CODE}"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[TdxSandbox]:
    world = SyntheticMarket(codes=20, days=200)
    with TdxSandbox(world, options=Options(timeout_delay=0)) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(sandbox: TdxSandbox) -> Iterator[None]:
    yield
    sandbox.faults.clear()
    sandbox.set_clock(sandbox.world.end)


def data(sandbox: TdxSandbox, path: str) -> Any:
    document = httpx.get(f"{sandbox.url}/api/{path}").json()
    assert document["code"] == 0, document
    return document["data"]


def closes(sandbox: TdxSandbox, path: str = THS) -> dict[str, int]:
    found = data(sandbox, path)
    return {row["Time"][:10]: row["Close"] for row in found.get("list") or found["List"]}


def raw(sandbox: TdxSandbox, code: str = CODE) -> dict[str, int]:
    return closes(sandbox, f"kline-all?code={code}")


def test_an_unadjusted_series_is_the_raw_one_without_turnover(sandbox: TdxSandbox) -> None:
    sandbox.faults.add(f"ths-unadjusted:code={CODE}")
    assert closes(sandbox) == raw(sandbox)
    assert {row["Amount"] for row in data(sandbox, THS)["list"]} == {0}
    for path in (f"kline-history?code={CODE}&limit=150", f"kline?code={CODE}"):
        assert closes(sandbox, path).items() <= raw(sandbox).items()
    other = "sz000001"
    assert closes(sandbox, f"kline-all/ths?code={other}") != raw(sandbox, other)


def test_the_newest_actions_can_be_missing_or_older_ones(sandbox: TdxSandbox) -> None:
    whole, unadjusted = closes(sandbox), raw(sandbox)
    dates = [str(e.ex_date) for e in events(sandbox.world.actions(CODE))]
    assert len(dates) == 3

    def differs_before(rule: str) -> str:
        """The first day whose price is as it should be."""
        sandbox.faults.clear()
        sandbox.faults.add(f"{rule}:code={CODE}")
        found = closes(sandbox)
        return min(day for day in whole if found[day] == whole[day])

    assert differs_before("ths-missing-action") == dates[-1]
    assert differs_before("ths-missing-action:kline-all/ths:which=2") == dates[-2]
    assert differs_before("ths-missing-action:count=2") == dates[-1]
    sandbox.faults.clear()
    sandbox.faults.add("ths-missing-action:count=9")
    assert closes(sandbox) == unadjusted


def test_income_stands_on_the_same_wrong_series(sandbox: TdxSandbox) -> None:
    sandbox.faults.add("ths-unadjusted")
    (row,) = data(sandbox, f"income?code={CODE}&start_date=20240101&days=5")["list"]
    assert round(row["current"]["close"] * 1000) == raw(sandbox)[row["time"][:10]]


def test_on_an_ex_date_the_previous_close_is_the_reference_price(sandbox: TdxSandbox) -> None:
    event = events(sandbox.world.actions(CODE))[1]
    bars = sandbox.world.day_bars(CODE)
    at = bars.find(event.ex_date)
    assert at
    before = int(bars.close[at - 1])
    expected = event.ex_price(Fraction(before, 1000)) * 100
    sandbox.set_clock(event.ex_date)
    (row,) = data(sandbox, f"quote?code={CODE}")
    assert abs(row["K"]["Last"] / 10 - expected) <= Fraction(1, 2)
    assert row["K"]["Last"] != before
    assert row["K"]["Last"] % 10 == 0
    (bar,) = data(sandbox, f"kline-all?code={CODE}&limit=1")["list"]
    assert bar["Last"] == before, "a bar's Last is the close of the bar before, whatever happened"
    sandbox.set_clock(event.ex_date + timedelta(days=1))
    day_after = sandbox.world.days[sandbox.world.days.index(event.ex_date) + 1]
    sandbox.set_clock(day_after)
    (row,) = data(sandbox, f"quote?code={CODE}")
    assert row["K"]["Last"] == int(bars.close[at])


def test_the_running_minute_is_provisional_on_every_family(sandbox: TdxSandbox) -> None:
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
        found = [data(sandbox, path) for path in paths]
        return [(answer.get("List") or answer.get("list"))[-1] for answer in found]

    early, late = last_rows(time(10, 15, 20)), last_rows(time(10, 15, 50))
    for before, after in zip(early, late, strict=True):
        size = "Number" if "Number" in before else "Volume"
        assert before["Time"] == after["Time"]
        assert before[size] < after[size]
    assert early[0]["Time"][11:16] == early[-1]["Time"] == "10:16"


@pytest.mark.parametrize("code", ["sh510300", "sz160105", "sh900901"])
def test_prices_of_three_decimals_are_tenfold_on_minutes_and_ticks(
    sandbox: TdxSandbox, code: str
) -> None:
    day = sandbox.world.days[sandbox.world.days.index(sandbox.world.end.date()) - 1]
    bars = sandbox.world.day_bars(code)
    at = bars.find(day)
    assert at is not None
    close = int(bars.close[at])
    assert data(sandbox, f"kline-all?code={code}&limit=2")["list"][0]["Close"] == close
    routes = ("minute", "trade", "trade-history", "minute-trade-all")
    for route in routes:
        rows = data(sandbox, f"{route}?code={code}&date={day:%Y%m%d}")["List"]
        assert rows[-1]["Price"] == close * 10
    full = data(
        sandbox, f"trade-history/full?code={code}&start_date={day:%Y%m%d}&end_date={day:%Y%m%d}"
    )
    assert full["list"][-1]["price"] == close / 100
    (quote,) = data(sandbox, f"quote?code={code}")
    assert quote["K"]["Last"] == close


def test_ticks_and_quotes_know_the_faults_of_rows(sandbox: TdxSandbox) -> None:
    day = "20250627"
    path = f"minute-trade-all?code={CODE}&date={day}"
    whole = data(sandbox, path)["List"]
    sandbox.faults.add("duplicate-page:page=100")
    assert data(sandbox, path)["List"] == [*whole, *whole[-100:]]
    sandbox.faults.clear()
    sandbox.faults.add("short:keep=10")
    assert data(sandbox, path)["List"] == whole[-10:]
    full = data(sandbox, f"trade-history/full?code={CODE}&start_date=20250626&end_date={day}")
    assert (full["count"], full["covered_dates"]) == (10, [day])
    sandbox.faults.clear()
    sandbox.faults.add("unfinished")
    (quote,) = data(sandbox, f"quote?code={CODE}")
    assert quote["TotalHand"] == sandbox.world.day_bars(CODE).volume[199] // 2
    assert data(sandbox, path)["List"][-1]["Volume"] == whole[-1]["Volume"] // 2
    sandbox.faults.clear()
    sandbox.faults.add("empty")
    assert data(sandbox, f"quote?code={CODE}") == []
    empty = data(sandbox, f"trade-history/full?code={CODE}&start_date=20250626&end_date={day}")
    assert (empty["list"], empty["covered_dates"]) == ([], [])


def test_one_poisoned_code_fails_a_whole_batch(sandbox: TdxSandbox) -> None:
    sandbox.faults.add(f"quote-mismatch:code={CODE}")

    def ask(codes: list[str]) -> Any:
        return httpx.post(f"{sandbox.url}/api/batch-quote", json={"codes": codes}).json()

    assert ask(["sz000001", CODE])["message"] == "获取行情失败: 预期2个，实际1个"
    assert ask([CODE])["message"] == "获取行情失败: 预期1个，实际0个"
    assert len(ask(["sz000001", "sz000002"])["data"]) == 2
