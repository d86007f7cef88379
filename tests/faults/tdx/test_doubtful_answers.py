"""Answers that are less than what is stored, or cannot be true, destroy nothing."""

from datetime import date

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

BARS = ("kline_daily",)  # with the codes and the calendar, which come first


def test_a_narrower_answer_never_overwrites_wider_history(loaded_bench: Bench) -> None:
    before = loaded_bench.klines()
    code = before[0][0]
    loaded_bench.sandbox.faults.add(f"short:kline-all:code={code}:keep=20")

    result = loaded_bench.load(codes=(code,), datasets=("kline_daily",), mode="init")

    task = next(t for t in result.tasks if t.dataset == "kline_daily")
    assert "nothing was overwritten" in task.failures[code]
    assert result.exit_code == 6
    assert loaded_bench.klines() == before


def test_an_empty_success_for_a_live_code_fails_until_a_retry(market_bench: Bench) -> None:
    code = "sh600000"
    market_bench.sandbox.faults.add(f"empty:kline-all:code={code}:first=4")

    result = market_bench.load(datasets=BARS)

    assert result.exit_code == 6
    assert list(result.tasks[2].failures) == [code]
    again = market_bench.load(retry=True)
    assert again.exit_code == 0
    assert [t.keys for t in again.tasks if t.dataset == "kline_daily"] == [(code,)]
    assert code in {row[0] for row in market_bench.klines()}


def test_a_code_that_vanishes_is_marked_and_its_bars_are_kept(open_bench: OpenBench) -> None:
    # of fewer codes one would be too large a share to be believed
    with open_bench(SyntheticMarket(codes=30, days=40, seed=3)) as bench:
        bench.load()
        before = bench.klines()
        bench.sandbox.faults.add("codes-vanish:codes:code=sz000001")

        result = bench.load()

        assert result.exit_code == 0
        unlisted = bench.rows("select code from raw_tdx.security where not is_listed")
        assert unlisted == [("sz000001",)]
        assert bench.klines() == before


def test_a_code_list_that_shrank_too_far_is_refused(loaded_bench: Bench) -> None:
    loaded_bench.sandbox.faults.add("codes-vanish:codes:code=sz000001")

    result = loaded_bench.load()

    assert any("codes known before: refused" in warning for warning in result.warnings)
    assert loaded_bench.rows("select bool_and(is_listed) from raw_tdx.security") == [(True,)]


def test_a_code_list_without_an_exchange_is_refused_and_the_rest_loads(loaded_bench: Bench) -> None:
    before = loaded_bench.rows("select * from raw_tdx.security order by code")
    loaded_bench.sandbox.faults.add("codes-missing:codes:exchange=bj")

    result = loaded_bench.load()

    assert result.exit_code == 6
    assert any("no code of bj" in warning for warning in result.warnings)
    assert loaded_bench.rows("select * from raw_tdx.security order by code") == before


@pytest.mark.parametrize("fault", ["calendar-empty", "calendar-short:keep=5"])
def test_a_calendar_that_lost_days_is_a_failure_and_the_stored_one_stays(
    loaded_bench: Bench, fault: str
) -> None:
    before = loaded_bench.rows("select * from raw_tdx.trading_day order by 1, 2")
    loaded_bench.sandbox.faults.add(fault)

    result = loaded_bench.load()

    assert result.exit_code == 6
    assert any("calendar" in warning for warning in result.warnings)
    assert loaded_bench.rows("select * from raw_tdx.trading_day order by 1, 2") == before


def test_a_bar_on_a_holiday_and_one_with_high_below_low_are_rejected_whole(
    market_bench: Bench,
) -> None:
    market_bench.sandbox.faults.add("holiday:kline-all:code=sh600000")
    market_bench.sandbox.faults.add("high-below-low:kline-all:code=sz000001")

    result = market_bench.load()

    # a bar of long ago may never come right, the one that is due can: a retry has it
    failures = {code: why for task in result.tasks for code, why in task.failures.items()}
    assert set(failures) == {"sz000001"}
    assert failures["sz000001"].startswith("the bar of 2025-06-30 was refused: ")
    assert [t.rows_new for t in result.tasks if t.dataset == "kline_daily"] == [
        sum(row[0][:2] == exchange for row in market_bench.klines())
        for exchange in ("sh", "sz", "bj")
    ]
    rejected = market_bench.rows(
        "select dataset, split_part(row_key, ' ', 1), rule from raw_tdx.rejected_row order by 2, 3"
    )
    assert ("kline_daily", "sh600000", "the exchange was closed on this day") in rejected
    assert any(r[1] == "sz000001" and "high" in r[2] for r in rejected)

    market_bench.sandbox.faults.clear()
    assert market_bench.load(retry=True).exit_code == 0
    assert ("sz000001", date(2025, 6, 30)) in {row[:2] for row in market_bench.klines()}
    market_bench.load(retry=True)
    assert market_bench.heard.lines[-1].endswith("had failed")
