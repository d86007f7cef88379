"""Answers that are less than what is stored, or cannot be true, destroy nothing."""

from datetime import date

import pytest

from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

CALENDAR = ("trading_calendar",)


def test_a_narrower_answer_never_overwrites_wider_history(loaded_bench: Bench) -> None:
    before = loaded_bench.klines()
    code = before[0][0]
    rule = loaded_bench.sandbox.faults.add(f"short:kline-all:code={code}:keep=20")

    result = loaded_bench.load(codes=(code,), datasets=("kline_daily",), mode="init")

    task = next(t for t in result.tasks if t.dataset == "kline_daily")
    assert f" {before[0][1]} " in task.failures[code]
    assert result.exit_code == 6
    assert loaded_bench.klines() == before
    loaded_bench.sandbox.faults.remove(rule)
    assert loaded_bench.load(datasets=("kline_daily",), mode="init").exit_code == 0


@pytest.mark.parametrize("fault", ["calendar-short:keep=5", "calendar-hole:back=10"])
def test_a_day_that_the_service_no_longer_has_stays_and_newer_days_land(
    open_loaded: OpenBench, days: list[date], fault: str
) -> None:
    stored = "select trade_date from raw_tdx.trading_day where source = 'service' order by 1"
    with open_loaded(clock=days[-3]) as bench:
        bench.sandbox.set_clock(days[-1], restart=True)
        bench.sandbox.faults.add(fault)

        result = bench.load(datasets=CALENDAR)

        assert (result.exit_code, result.warnings) == (0, ())
        assert [day for (day,) in bench.rows(stored)] == days


def test_an_exchange_that_the_service_lists_no_more_goes_once_accepted(
    loaded_bench: Bench,
) -> None:
    loaded_bench.sandbox.faults.add("codes-missing:codes:exchange=bj")
    refused = loaded_bench.load(datasets=("codes",))
    way_out = "`loaders run tdx --dataset codes --accept-loss`"
    assert any(way_out in warning for warning in refused.warnings)

    accepted = loaded_bench.load(datasets=("codes",), accept_loss=True)

    assert accepted.exit_code == 0
    assert any("accepted by" in warning for warning in accepted.warnings)
    listed = "select distinct exchange from raw_tdx.security where is_listed order by 1"
    assert loaded_bench.rows(listed) == [("sh",), ("sz",)]
    assert loaded_bench.load(datasets=("codes",)).exit_code == 0


def test_a_bar_on_a_holiday_and_one_with_high_below_low_are_rejected_whole(
    market_bench: Bench,
) -> None:
    market_bench.sandbox.faults.add("holiday:kline-all:code=sh600000")
    market_bench.sandbox.faults.add("high-below-low:kline-all:code=sz000001")

    result = market_bench.load()

    # a bar of long ago may never come right, the one that is due can: a retry has it
    failures = {code: why for task in result.tasks for code, why in task.failures.items()}
    assert set(failures) == {"sz000001"}
    assert " 2025-06-30 " in failures["sz000001"]
    rejected_rows = sum(t.rows_rejected for t in result.tasks if t.dataset == "kline_daily")
    assert rejected_rows >= 2
    assert any(f"{rejected_rows} rejected" in text for text in result.summary())
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
    assert market_bench.load(retry=True).status == "skipped"
