"""A service without minutes or ticks is not one that lost those of a code."""

from pathlib import Path

from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.tdx.missing_datasets import ENOUGH
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

INTRADAY = ("minute_1m", "tick_trade")
ROUTES = ("kline-history", "kline-all", "minute", "trade-history/full", "minute-trade-all")


def empty(bench: Bench, more: str = "") -> None:
    for route in ROUTES:
        bench.sandbox.faults.add(f"empty:{route}{more}")


def asked(bench: Bench) -> set[str]:
    return {entry.params["code"] for entry in bench.sandbox.log if entry.route in ROUTES}


def test_a_service_without_them_is_recognised_and_asked_by_the_next_load(
    open_loaded: OpenBench,
) -> None:
    with open_loaded(concurrency=1) as bench:
        empty(bench)
        bench.sandbox.log.clear()

        result = bench.load(datasets=INTRADAY)

        assert result.exit_code == 0
        for dataset in INTRADAY:
            assert sum(f"the service has no {dataset}" in text for text in result.warnings) == 1
        # as many as tell, of each dataset
        assert len(asked(bench)) <= 2 * ENOUGH
        bench.sandbox.faults.clear()
        result = bench.load(datasets=INTRADAY)
        assert {t.dataset: t.rows_new > 0 for t in result.tasks if t.dataset in INTRADAY} == {
            "minute_1m": True,
            "tick_trade": True,
        }


def test_codes_whose_days_are_missing_fail_where_others_have_theirs(open_loaded: OpenBench) -> None:
    with open_loaded() as bench:
        assert bench.load(datasets=INTRADAY, codes=("sz000001",)).exit_code == 0
        empty(bench, ":code=sh600000")

        result = bench.load(datasets=INTRADAY)

        assert result.exit_code == 6
        assert {(task.dataset, key) for task in result.tasks for key in task.failures} == {
            (dataset, "sh600000") for dataset in INTRADAY
        }


def test_day_files_alone_load_with_the_default_datasets(
    open_bench: OpenBench, real_tdx_data: Path
) -> None:
    with open_bench(ReplayMarket(real_tdx_data), tick_days=60, minute_days=100) as bench:
        result = bench.load(datasets=None, codes=("sh600000", "sz000002"))
        assert (result.exit_code, result.status) == (0, "succeeded")
