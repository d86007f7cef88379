"""Quotes and stock-info against the sandbox, and the counts of the market.

Poisoned batches, an outage and missing parts.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, time
from typing import Any

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench

OpenBench = Callable[..., AbstractContextManager[Bench]]


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


def test_halving_isolates_one_poisoned_code_and_all_others_land(
    open_bench: OpenBench, eight_codes: SyntheticMarket
) -> None:
    culprit = "sz000002"
    poison = [
        f"error:{r}:code={culprit}:message=获取行情失败: 预期6个，实际5个"
        for r in ("batch-quote", "quote")
    ]
    with open_bench(eight_codes, faults=poison, retries=0) as bench:
        result = bench.load(datasets=("quote_snapshot",))

        assert set(failures(result, "quote_snapshot")) == {culprit}
        assert len(quoted(bench)) == 7
        assert result.exit_code == 6
        (said,) = bench.rows(
            "select detail::text from ops.ingestion_logs where event like 'quote_snapshot%%'"
        )
        assert culprit in said[0]
        # sz000001, sz000002, sz300001 of one task: 3, then 1 and 2, then 1 and 1
        assert calls(bench, "batch-quote", "quote") == 2 + 1 + 1 + 4 + 1


def test_an_outage_ends_the_quotes_without_halving(
    open_bench: OpenBench, eight_codes: SyntheticMarket
) -> None:
    with open_bench(eight_codes, retries=0) as bench:
        bench.load(datasets=("codes",))
        bench.sandbox.faults.add("outage")

        result = bench.load(datasets=("quote_snapshot",))

        assert quoted(bench) == set()
        assert result.exit_code == 4
        assert set(failures(result, "quote_snapshot")) == {"sh510300", "sh600000", "sh600001"}
        # the stocks and the fund of Shanghai, asked for side by side
        assert calls(bench, "batch-quote", "quote") <= 2

        bench.sandbox.faults.clear()
        assert bench.load(retry=True).exit_code == 0
        assert len(quoted(bench)) == 8


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


def test_parts_of_stock_info_that_are_missing_are_said_and_the_others_land(
    open_bench: OpenBench, eight_codes: SyntheticMarket
) -> None:
    faults = ["ths-down:stock-info:code=sh600000", "reset:stock-info:code=sz000001"]
    with open_bench(eight_codes, faults=faults, retries=0) as bench:
        result = bench.load(datasets=("stock_info",), codes=("sh600000", "sz000001"))

        assert set(parts(bench, "sh600000")) == {"quote", "minute"}
        assert set(parts(bench, "sz000001")) == {"quote", "minute"}
        assert result.exit_code == 0
        said = bench.rows(
            "select detail::text from ops.ingestion_logs where event like 'stock_info%%' order by 1"
        )
        assert any("/api/stock-info without kline_day" in text for (text,) in said)
        assert any("/api/stock-info → /api/quote, /api/minute" in text for (text,) in said)


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
