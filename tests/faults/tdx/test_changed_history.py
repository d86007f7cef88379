"""An answer that rewrites final bars lands nothing until that is accepted."""

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
def test_an_answer_that_contradicts_most_bars_lands_nothing(
    open_loaded: OpenBench,
    days: list[date],
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    mode: str,
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        before = closes(bench)
        with monkeypatch.context() as patch:
            serve(patch, answer)
            for day in days[-2:]:  # that it is the same on another day proves nothing
                bench.sandbox.set_clock(day)
                result = bench.load(datasets=BARS, mode=mode)
                assert result.exit_code == 6
                [why] = [task.failures[CODE] for task in result.tasks if CODE in task.failures]
                assert f"{len(before)} of {len(before)} final " in why
                assert "`loaders run tdx --dataset kline_daily --accept-loss`" in why
                assert closes(bench) == before
        bench.sandbox.state.series._cache.clear()
        assert bench.load(datasets=BARS, mode=mode).exit_code == 0
        assert closes(bench)[:-2] == before


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
def test_a_small_change_of_history_lands(
    open_loaded: OpenBench, days: list[date], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        [old] = closes(bench)[CHANGED_AT : CHANGED_AT + 1]
        serve(monkeypatch, one_day_otherwise)
        bench.sandbox.set_clock(days[-2])
        assert bench.load(datasets=BARS, mode=mode).exit_code == 0
        assert closes(bench)[CHANGED_AT : CHANGED_AT + 1] != [old]


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
        assert "final closes have changed" in why
        assert bench.rows(stored, code) == before
