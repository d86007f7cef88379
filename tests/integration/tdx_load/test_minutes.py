"""One-minute bars: which days are asked for, what is final, and what never overwrites what."""

from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.vipdoc_files import write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench, bench, days_until
from tests.integration.tdx_load.conftest import OpenBench

BOTH = ("kline_daily", "minute_1m")
STOCK, FUND = "sh600000", "sh510300"
MINUTES = """
    select code, bar_end, source_label, open, high, low, close, volume * volume_unit / 100 as hands,
        amount, is_final
    from raw_tdx.kline_minute order by code, bar_end
"""
BY_DAY = """
    select trade_date, count(*), bool_and(is_final), sum(volume)::bigint
    from raw_tdx.kline_minute where code = %s group by trade_date order by trade_date
"""


def calls(bench: Bench, route: str) -> list[dict[str, str]]:
    """What was asked on a route for minutes."""
    return [
        entry.params
        for entry in bench.sandbox.log
        if entry.route == route and entry.params.get("type", "minute1") == "minute1"
    ]


def without_labels(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*row[:2], *row[3:]) for row in rows]


def without_turnover(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*row[:2], *row[3:8], row[9]) for row in rows]


def load(bench: Bench, *codes: str, **request: Any) -> LoadResult:
    return bench.load(codes=codes or (STOCK,), datasets=request.pop("datasets", BOTH), **request)


def minutes_task(result: LoadResult) -> Any:
    return next(task for task in result.tasks if task.dataset == "minute_1m")


def test_a_first_load_lands_the_newest_days_final_and_later_ones_fill_gaps(
    market_bench: Bench, small_market: SyntheticMarket
) -> None:
    result = load(market_bench, STOCK, FUND)

    assert result.status == "succeeded"
    days = days_until(small_market)[-3:]
    for code in (STOCK, FUND):
        rows = market_bench.rows(BY_DAY, code)
        assert [row[:3] for row in rows] == [(day, 240, True) for day in days]
    assert {p["limit"] for p in calls(market_bench, "kline-history")} == {"720"}
    assert calls(market_bench, "kline-all") == calls(market_bench, "minute") == []
    noon = market_bench.rows(
        "select distinct (bar_end at time zone 'Asia/Shanghai')::time, source_label"
        " from raw_tdx.kline_minute where source_label in ('11:30', '13:00')"
    )
    assert set(noon) == {(time(11, 30), "11:30"), (time(11, 30), "13:00")}

    expected = market_bench.rows(MINUTES)
    market_bench.execute(f"delete from raw_tdx.kline_minute where trade_date = '{days[1]}'")

    assert minutes_task(load(market_bench, STOCK, FUND)).rows_new == 480
    assert without_labels(market_bench.rows(MINUTES)) == without_labels(expected)


def test_a_first_load_of_many_days_reads_the_whole_series(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, minute_days=5) as bench:
        load(bench)

        rows = bench.rows(BY_DAY, STOCK)
        assert [row[:3] for row in rows] == [(d, 240, True) for d in days_until(small_market)[-5:]]
        assert calls(bench, "kline-history") == []
        # twice: 60 days are a multiple of 800 bars, where a history may have been cut off
        assert len(calls(bench, "kline-all")) == 2


def test_a_second_load_requests_nothing_the_next_day_rereads_the_newest(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_bench(small_market, clock=days[-2]) as bench:
        load(bench)
        asked = len(calls(bench, "kline-history"))

        assert minutes_task(load(bench)).skipped == 1
        assert len(calls(bench, "kline-history")) == asked

        bench.sandbox.set_clock(days[-1])
        task = minutes_task(load(bench))

        assert [p["limit"] for p in calls(bench, "kline-history")[asked:]] == ["480"]
        assert (task.rows_read, task.rows_new) == (240, 240)
        assert [row[:3] for row in bench.rows(BY_DAY, STOCK)] == [(d, 240, True) for d in days[-4:]]


def test_the_newest_stored_day_lands_again_if_the_service_corrected_it(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_bench(small_market, clock=days[-2], minute_days=1) as bench:
        load(bench)
        expected = without_labels(bench.rows(MINUTES))
        bench.execute(
            "update raw_tdx.kline_minute set close = close + 10, high = high + 10"
            " where source_label = '15:00'"
        )
        bench.sandbox.set_clock(days[-1])

        # the repaired bar, and the noon bar: its label is 13:00 only on the evening of its own day
        assert minutes_task(load(bench)).rows_changed == 2
        assert without_labels(bench.rows(MINUTES))[:240] == expected


def test_minutes_of_the_running_day_are_provisional_until_the_evening(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    *_, before, today = days_until(small_market)
    with open_bench(small_market, clock=datetime.combine(today, time(10, 0))) as bench:
        load(bench)
        *_, yesterday, running = bench.rows(BY_DAY, STOCK)
        assert yesterday[:3] == (before, 240, True)
        assert running[:3] == (today, 30, False)

        bench.sandbox.set_clock(today)
        load(bench)

        assert bench.rows(BY_DAY, STOCK)[-1][:3] == (today, 240, True)
        cursor = bench.rows(
            "select last_success_date from ops.ingestion_state where key = %s"
            " and dataset = 'minute_1m'",
            STOCK,
        )
        assert cursor == [(today,)]


@pytest.mark.long
def test_realtime_asks_for_what_is_missing_by_now_and_nothing_twice(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    today = days_until(small_market)[-1]

    def fill(bench: Bench, clock: time) -> Any:
        bench.sandbox.set_clock(datetime.combine(today, clock))
        return minutes_task(load(bench, mode="realtime", datasets=("minute_1m",)))

    with open_bench(small_market, clock=datetime.combine(today, time(9, 50))) as bench:
        load(bench, datasets=("kline_daily",))
        assert fill(bench, time(9, 50)).rows_new == 20
        bench.execute("delete from raw_tdx.kline_minute where source_label = '09:40'")

        # the hole, the five newest that were not settled, and five new ones
        task = fill(bench, time(9, 55))
        assert (task.rows_read, task.rows_new) == (11, 6)
        assert calls(bench, "kline-history")[-1]["limit"] == str(16 + 3)

        assert fill(bench, time(11, 40)).rows_read == 95 + 5
        asked = len(calls(bench, "kline-history"))
        assert fill(bench, time(12, 30)).skipped == 1
        assert len(calls(bench, "kline-history")) == asked
        assert bench.rows(BY_DAY, STOCK)[0][:3] == (today, 120, False)


@pytest.mark.long
def test_files_then_the_service_give_the_rows_of_the_service_alone(
    open_bench: OpenBench,
    small_market: SyntheticMarket,
    new_database: Callable[[], str],
    tmp_path: Path,
) -> None:
    days, codes = days_until(small_market), (STOCK, FUND, "sz159915")
    write_vipdoc(
        small_market, tmp_path / "vipdoc", until=datetime.combine(days[-2], time(18)), days=3
    )
    with open_bench(small_market, minute_days=4) as alone:
        load(alone, *codes)
        expected = alone.rows(MINUTES)
    home = tmp_path / "with_files"
    home.mkdir()
    with bench(small_market, new_database(), home, client=str(tmp_path)) as both:
        load(both, *codes)

        rows = both.rows(MINUTES)
        assert without_turnover(rows) == without_turnover(expected)
        for row, other in zip(rows, expected, strict=True):
            assert row[8] == pytest.approx(other[8], rel=1e-6)  # the files hold single floats
        assert {p["limit"] for p in calls(both, "kline-history")} == {"240"}
        routes = both.rows(
            "select route, count(distinct trade_date) from raw_tdx.kline_minute "
            "inner join ops.routes using (route_no) group by 1"
        )
        assert dict(routes) == {"vipdoc/minline": 3, "/api/kline-history": 1}


def test_a_day_that_lacks_volume_is_final_once_a_later_day_repeats_it(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_bench(small_market, clock=days[-2]) as bench:
        load(bench, datasets=("kline_daily",))
        bench.execute(
            f"update raw_tdx.kline_daily set volume = volume + 5000 where trade_date = '{days[-2]}'"
        )
        result = load(bench, datasets=("minute_1m",))
        assert result.status == "succeeded"
        assert [row[2] for row in bench.rows(BY_DAY, STOCK)] == [True, True, False]

        bench.sandbox.set_clock(days[-1])
        load(bench, datasets=("minute_1m",))
        assert [row[2] for row in bench.rows(BY_DAY, STOCK)] == [True, True, True, True]
