"""Indices: days, weeks, months and minutes, each by its own cursor or by what is stored."""

from datetime import date, datetime, time
from typing import Any

from loaders.engine.result import LoadResult
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench, days_until
from tests.integration.tdx_load.conftest import OpenBench

BARS = """
    select code, period, bar_end, trade_date, open, high, low, close, volume, amount, is_final
    from raw_tdx.index_kline order by code, period, bar_end
"""


def load(bench: Bench, **request: Any) -> LoadResult:
    return bench.load(datasets=("index_kline",), **request)


def task_of(result: LoadResult) -> Any:
    return next(task for task in result.tasks if task.dataset == "index_kline")


def asked(bench: Bench, route: str, period: str) -> list[dict[str, str]]:
    return [e.params for e in bench.sandbox.log if e.route == route and e.params["type"] == period]


def test_each_period_is_loaded_by_the_route_that_keeps_the_newest_and_once(
    market_bench: Bench, small_market: SyntheticMarket
) -> None:
    result = load(market_bench)

    assert result.status == "succeeded"
    assert task_of(result).done == 4
    counts = dict(
        market_bench.rows("select period, count(*) from raw_tdx.index_kline group by period")
    )
    days = days_until(small_market)
    assert counts == {
        "day": len(days),
        "week": len({day.isocalendar()[:2] for day in days}),
        "month": len({(day.year, day.month) for day in days}),
        "minute1": 3 * 240,
    }
    assert asked(market_bench, "index", "week") == asked(market_bench, "index", "month") == []
    keys = market_bench.rows(
        "select key from ops.ingestion_state where dataset = 'index_kline' order by key"
    )
    assert [key for (key,) in keys] == [
        "sh000001",
        "sh000001 minute1",
        "sh000001 month",
        "sh000001 week",
    ]

    before = market_bench.rows(BARS)
    market_bench.sandbox.log.clear()
    task = task_of(load(market_bench))

    assert (task.skipped, task.rows_new, task.rows_changed) == (3, 0, 0)  # the clock is on a Monday
    assert market_bench.rows(BARS) == before
    assert {e.params["type"] for e in market_bench.sandbox.log if "index" in e.route} == {"week"}


def test_a_first_load_without_a_bar_of_the_composite_is_a_failure(market_bench: Bench) -> None:
    for route in ("index/all", "index"):
        market_bench.sandbox.faults.add(f"empty:{route}")
    failed = task_of(load(market_bench))
    assert failed.failures.keys() == {f"sh000001{period}" for period in ("", " month", " week")}
    assert market_bench.rows(BARS) == []


def test_the_bar_of_an_unfinished_week_is_one_row_that_becomes_final(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    wednesday, friday = date(2025, 6, 25), date(2025, 6, 27)
    week = """
        select trade_date, bar_end at time zone 'Asia/Shanghai', is_final
        from raw_tdx.index_kline where period = 'week' order by bar_end desc limit 2
    """
    with open_bench(small_market, clock=wednesday) as bench:
        load(bench)
        end = datetime.combine(friday, time(15))
        before = (date(2025, 6, 20), datetime(2025, 6, 20, 15), True)
        assert bench.rows(week) == [(wednesday, end, False), before]

        bench.sandbox.set_clock(friday)
        load(bench)

        assert bench.rows(week) == [(friday, end, True), before]


def test_a_gap_in_the_minutes_is_filled_by_another_route_if_one_fails(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_bench(small_market) as at_once:
        load(at_once)
        expected = at_once.rows(BARS)
        at_once.execute(
            "delete from raw_tdx.index_kline "
            f"where period = 'minute1' and trade_date = '{days[-2]}'"
        )
        at_once.sandbox.log.clear()
        at_once.sandbox.faults.add("error:index:message=nothing")
        load(at_once)

        assert len(asked(at_once, "index/all", "minute1")) >= 1
        assert at_once.rows(BARS) == expected


def test_minutes_of_the_running_day_are_provisional_with_their_noon_label(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    today = days_until(small_market)[-1]
    with open_bench(small_market, clock=datetime.combine(today, time(14, 0))) as bench:
        load(bench)
        running = bench.rows(
            "select count(*), bool_or(is_final) from raw_tdx.index_kline"
            " where period = 'minute1' and trade_date = %s",
            today,
        )
        assert running == [(180, False)]

        bench.sandbox.set_clock(today)
        load(bench)

        rows = bench.rows(
            "select count(*), bool_and(is_final), count(distinct source_label)"
            " from raw_tdx.index_kline where period = 'minute1' and trade_date = %s",
            today,
        )
        assert rows == [(240, True, 240)]
        noon = bench.rows(
            "select source_label, (bar_end at time zone 'Asia/Shanghai')::time"
            " from raw_tdx.index_kline where period = 'minute1' and source_label = '13:00'"
        )
        assert noon == [("13:00", time(11, 30))]
