"""Minutes that are fewer than they should be, or wrong, never replace better ones."""

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.test_minutes import (
    BY_DAY,
    MINUTES,
    STOCK,
    load,
    without_labels,
)


def set_faults(bench: Bench, faults: list[str]) -> None:
    bench.sandbox.faults.clear()
    for fault in faults:
        bench.sandbox.faults.add(fault)


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
