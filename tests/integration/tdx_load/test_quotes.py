"""Quotes and stock-info against the sandbox, and the counts of the market.

Poisoned batches, an outage and missing parts.
"""

from datetime import datetime, time
from typing import Any

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench


@pytest.fixture(scope="session")
def eight_codes() -> SyntheticMarket:
    return SyntheticMarket(codes=8, days=40, seed=7)


def quoted(bench: Bench) -> set[str]:
    return {row[0] for row in bench.rows("select code from raw_tdx.quote")}


def failures(result: Any, dataset: str) -> dict[str, str]:
    return {k: v for t in result.tasks if t.dataset == dataset for k, v in t.failures.items()}


def calls(bench: Bench, *routes: str) -> int:
    return sum(entry.route in routes for entry in bench.sandbox.log)


def test_a_load_appends_a_snapshot_of_every_code(
    open_bench: OpenBench, eight_codes: SyntheticMarket
) -> None:
    today = eight_codes.end.date()
    with open_bench(eight_codes, clock=datetime.combine(today, time(11, 0))) as bench:
        first = bench.load(datasets=("quote_snapshot",))
        bench.sandbox.set_clock(datetime.combine(today, time(14, 0)))
        bench.load(mode="realtime", datasets=("quote_snapshot",))

        listed = {r[0] for r in bench.rows("select code from raw_tdx.security where is_listed")}
        assert quoted(bench) == listed - {"sh000001"}
        assert first.exit_code == 0
        moments = bench.rows(
            "select sampled_at, count(*), bool_and(is_final), min(trade_date), max(trade_date) "
            "from raw_tdx.quote group by 1 order by 1"
        )
        assert [(m[1], m[2], m[3], m[4]) for m in moments] == [(8, True, today, today)] * 2
        # delisted: nothing trades, and zeros are kept
        zeros = bench.rows(
            "select distinct open, close, total_hand, amount_yuan from raw_tdx.quote "
            "where code = 'sh600001'"
        )
        assert zeros == [(0, 0, 0, 0)]
        spread = bench.rows(
            "select bool_and(ask1_price > bid1_price and bid1_price > bid5_price) "
            "from raw_tdx.quote where total_hand > 0"
        )
        assert spread == [(True,)]


def parts(bench: Bench, code: str) -> dict[str, tuple[Any, ...]]:
    rows = bench.rows(
        "select part, trade_date, row_count, close, volume from raw_tdx.stock_info where code = %s",
        code,
    )
    return {row[0]: row[1:] for row in rows}


def test_stock_info_has_a_row_for_each_part_replaced_by_the_next_load(
    open_bench: OpenBench, eight_codes: SyntheticMarket
) -> None:
    today = eight_codes.end.date()
    with open_bench(eight_codes, clock=datetime.combine(today, time(14, 0))) as bench:
        bench.load(datasets=("stock_info",), codes=("sh510300", "sh600000"))
        early = parts(bench, "sh600000")
        assert set(early) == {"quote", "kline_day", "minute"}
        assert (early["kline_day"][1], early["minute"][0]) == (30, today)

        bench.sandbox.set_clock(today)
        bench.load(datasets=("stock_info",), codes=("sh510300", "sh600000"))

        late = parts(bench, "sh600000")
        assert late["minute"][1] == 240 > early["minute"][1]
        for code in ("sh600000", "sh510300"):  # the fund's minutes come ten times too large
            assert parts(bench, code)["minute"][2] == parts(bench, code)["quote"][2]


def test_the_counts_of_the_market_are_kept_by_exchange(
    open_bench: OpenBench, eight_codes: SyntheticMarket
) -> None:
    query = (
        "select exchange, stock_count, up_count, instrument_count from raw_tdx.market_stats "
        "order by sampled_at, exchange"
    )
    with open_bench(eight_codes, retries=0) as bench:
        result = bench.load(datasets=("market_stats_snapshot",))

        rows = bench.rows(query)
        assert [row[0] for row in rows] == ["bj", "sh", "sz"]
        assert all(None not in row for row in rows)
        assert result.exit_code == 0

        bench.sandbox.faults.add("error:market-count:message=获取 sh 数量失败: 超时")
        bench.execute("delete from raw_tdx.market_stats")
        assert bench.load(datasets=("market_stats_snapshot",)).exit_code == 0
        assert [row[3] for row in bench.rows(query)] == [None] * 3
