"""Minutes that are fewer than they should be, or wrong, never replace better ones."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench, days_until
from tests.integration.tdx_load.test_minutes import (
    BY_DAY,
    FUND,
    MINUTES,
    STOCK,
    load,
    minutes_task,
    without_labels,
)

OpenBench = Callable[..., AbstractContextManager[Bench]]


def set_faults(bench: Bench, faults: list[str]) -> None:
    bench.sandbox.faults.clear()
    for fault in faults:
        bench.sandbox.faults.add(fault)


def test_days_without_a_bar_get_prices_that_a_better_answer_replaces(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    faults = ["empty:kline-history", "short:kline-all:keep=240"]
    with open_bench(small_market, minute_days=2) as bench:
        load(bench, STOCK, FUND)
        expected = bench.rows(MINUTES)
        bench.execute("delete from raw_tdx.kline_minute")
        first, last = days_until(small_market)[-2:]
        set_faults(bench, faults)

        result = load(bench, STOCK, FUND)

        assert minutes_task(result).done == 2
        rows = bench.rows(
            "select trade_date, bool_or(is_final), count(amount), count(*),"
            " bool_and(open = close and high = low and low = close), count(distinct route_no)"
            " from raw_tdx.kline_minute group by code, trade_date order by trade_date, code"
        )
        assert (
            rows == [(first, False, 0, 240, True, 1)] * 2 + [(last, True, 240, 240, False, 1)] * 2
        )
        assert [(r[0], r[1], r[6], r[7]) for r in bench.rows(MINUTES)] == [
            (r[0], r[1], r[6], r[7]) for r in expected
        ]  # the fund's price too, which came ten times too large

        set_faults(bench, [])
        load(bench, STOCK, FUND)
        assert bench.rows(MINUTES) == expected


def test_prices_of_minutes_that_the_day_bar_contradicts_are_refused(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, minute_days=1) as bench:
        load(bench, datasets=("kline_daily",))
        bench.execute("update raw_tdx.kline_daily set low = low * 10, high = high * 10")
        set_faults(bench, ["empty:kline-history", "empty:kline-all"])

        result = load(bench, datasets=("minute_1m",))

        [(key, rule)] = bench.rows("select row_key, rule from raw_tdx.rejected_row")
        assert key == f"{STOCK} {days_until(small_market)[-1]}"
        assert rule in minutes_task(result).failures[STOCK]
        assert bench.rows(MINUTES) == []


# the others are cases of test_faults_by_dataset.py
FEW = [
    "duplicate:kline-history:page=300",
    "holiday:kline-history",
    "unfinished:kline-history:first=1",
    "empty:kline-history:first=1",
]


def test_whatever_goes_wrong_once_the_same_minutes_are_stored_in_the_end(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, minute_days=2) as bench:
        load(bench)
        expected = without_labels(bench.rows(MINUTES))
        for fault in FEW:
            bench.execute("truncate raw_tdx.kline_minute")
            set_faults(bench, [fault])
            result = load(bench, datasets=("minute_1m",))
            if fault.startswith("unfinished"):  # nobody can tell before the day is asked again
                assert result.status == "succeeded"
                assert bench.rows(BY_DAY, STOCK)[-1][2] is False
                load(bench, datasets=("minute_1m",))
            assert without_labels(bench.rows(MINUTES)) == expected, fault
