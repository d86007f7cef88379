"""An answer that rewrites final bars lands nothing until a second one is the same."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loaders.sandbox.world.bars import Bars
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

CODE, OTHER, INDEX, BARS = "sh600000", "sz000003", "sh000001", ("kline_daily",)
CHANGED_AT = 50  # the place of a changed day
OPEN = (
    "select field, value from raw_tdx.rejected_row where row_key = %s and is_withdrawn is not true"
)
Answer = Callable[[Bars, Bars], Bars]


def ten_times(own: Bars, other: Bars) -> Bars:
    prices = {name: getattr(own, name) * 10 for name in ("open", "high", "low", "close")}
    return replace(own, **prices)


def another_code(own: Bars, other: Bars) -> Bars:
    return other


def one_day_otherwise(own: Bars, other: Bars) -> Bars:
    close = own.close.copy()
    close[CHANGED_AT] = own.low[CHANGED_AT]
    return replace(own, close=close)


def serve(patch: pytest.MonkeyPatch, answer: Answer, changed: str = CODE) -> None:
    """Let the service answer for a code otherwise."""
    true = SyntheticMarket.day_bars

    def day_bars(market: SyntheticMarket, code: str) -> Bars:
        own = true(market, code)
        return answer(own, true(market, OTHER)) if code == changed else own

    patch.setattr(SyntheticMarket, "day_bars", day_bars)


def closes(bench: Bench) -> list[int]:
    query = "select close from raw_tdx.kline_daily where code = %s order by trade_date"
    return [close for (close,) in bench.rows(query, CODE)]


@pytest.mark.parametrize("answer", [ten_times, another_code])
@pytest.mark.parametrize("mode", ["incremental", "init"])
def test_an_answer_that_contradicts_most_bars_needs_a_second_one(
    open_loaded: OpenBench,
    days: list[date],
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    mode: str,
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        before = closes(bench)
        serve(monkeypatch, answer)
        bench.sandbox.set_clock(days[-2])
        for _ in range(2):  # the same day is no second answer
            result = bench.load(datasets=BARS, mode=mode)
            assert result.exit_code == 6
            [why] = [task.failures[CODE] for task in result.tasks if CODE in task.failures]
            assert f"{len(before)} of {len(before)} final closes are others" in why
            assert "`loaders run tdx --dataset kline_daily --accept-loss`" in why
            assert closes(bench) == before
        assert [field for field, _ in bench.rows(OPEN, CODE)] == ["refused history"]
        bench.sandbox.set_clock(days[-1])
        assert bench.load(datasets=BARS, mode=mode).exit_code == 0
        assert len(closes(bench)) == len(before) + 2
        assert closes(bench)[0] != before[0]
        assert [field for field, _ in bench.rows(OPEN, CODE)] == ["history changed"]


def test_a_sound_answer_ends_the_doubt(
    open_loaded: OpenBench, days: list[date], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        before = closes(bench)
        bench.sandbox.set_clock(days[-2])
        with monkeypatch.context() as patch:
            serve(patch, ten_times)
            assert bench.load(datasets=BARS).exit_code == 6
        bench.sandbox.state.series._cache.clear()
        assert bench.load(datasets=BARS).exit_code == 0
        assert closes(bench)[:-1] == before
        assert bench.rows(OPEN, CODE) == []


def test_a_rewritten_history_lands_once_its_loss_is_accepted(
    open_loaded: OpenBench, days: list[date], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        before = closes(bench)
        serve(monkeypatch, ten_times)
        bench.sandbox.set_clock(days[-2])
        result = bench.load(datasets=BARS, accept_loss=True)
        assert result.exit_code == 0
        assert any("accepted by" in warning for warning in result.warnings)
        assert closes(bench)[:-1] == [10 * close for close in before]


@pytest.mark.parametrize("mode", ["incremental", "init"])
def test_a_small_change_of_history_lands_and_is_on_record(
    open_loaded: OpenBench, days: list[date], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        [old] = closes(bench)[CHANGED_AT : CHANGED_AT + 1]
        serve(monkeypatch, one_day_otherwise)
        bench.sandbox.set_clock(days[-2])
        assert bench.load(datasets=BARS, mode=mode).exit_code == 0
        [new] = closes(bench)[CHANGED_AT : CHANGED_AT + 1]
        [(field, value)] = bench.rows(OPEN, CODE)
        assert field == "history changed"
        assert value.endswith(f"such as {days[CHANGED_AT]}: {new} for {old}")


def test_the_same_answer_by_another_route_is_a_second_one(
    open_loaded: OpenBench, days: list[date], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = (
        "select close from raw_tdx.index_kline where code = %s and period = 'day' order by bar_end"
    )
    request: dict[str, Any] = {"datasets": ("index_kline",), "keys": (f"{INDEX} day",)}
    with open_loaded(clock=days[-3]) as bench:
        before = bench.rows(stored, INDEX)
        serve(monkeypatch, ten_times, INDEX)
        bench.sandbox.set_clock(days[-2])
        for _ in range(2):  # the same route is no second witness
            assert bench.load(**request).exit_code == 6
            assert bench.rows(stored, INDEX) == before
        bench.sandbox.faults.add("error:index/all")
        bench.load(**request)  # weeks and months have no other route
        assert bench.rows(stored, INDEX)[-2:-1] == [(10 * before[-1][0],)]


@pytest.mark.parametrize(
    ("dataset", "key", "table", "period"),
    [
        ("kline_weekly", CODE, "kline_period", "week"),
        ("kline_15m", CODE, "kline_period", "minute15"),
        ("minute_1m", CODE, "kline_minute", None),
        ("index_kline", f"{INDEX} minute1", "index_kline", "minute1"),
    ],
)
def test_no_period_is_rewritten_by_one_answer(
    open_loaded: OpenBench,
    days: list[date],
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
    key: str,
    table: str,
    period: str | None,
) -> None:
    code = key.partition(" ")[0]
    among = f" and period = '{period}'" if period else ""
    stored = f"select bar_end, close from raw_tdx.{table} where code = %s{among} order by bar_end"
    with open_loaded(clock=days[-3], minute_days=5) as bench:
        request: dict[str, Any] = {"datasets": (dataset,)}
        request |= {} if code == INDEX else {"codes": [code]}
        assert bench.load(**request).exit_code == 0
        before = bench.rows(stored, code)
        assert len(before) > 3
        serve(monkeypatch, ten_times, code)
        bench.sandbox.state.series._cache.clear()
        result = bench.load(**request, mode="init")
        assert result.exit_code == 6
        [why] = [task.failures[key] for task in result.tasks if key in task.failures]
        assert "final closes are others" in why
        assert bench.rows(stored, code) == before
