"""Bars that the service or its vendor builds.

Weeks, months, longer minutes and the adjusted series.
"""

from datetime import date, datetime, time
from typing import Any

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench, days_until
from tests.integration.tdx_load.conftest import OpenBench

STOCK, FUND = "sh600000", "sh510300"
LONG, TIMED = ("kline_weekly", "kline_monthly"), ("kline_5m", "kline_15m", "kline_30m", "kline_60m")
BARS = """
    select code, period, bar_end, trade_date, open, high, low, close, volume, is_final
    from raw_tdx.kline_period order by code, period, bar_end
"""
ADJUSTED = """
    select code, trade_date, open, high, low, close, volume, is_final
    from raw_tdx.kline_adjusted order by code, trade_date
"""


def load(bench: Bench, datasets: tuple[str, ...], *codes: str, **request: Any) -> Any:
    return bench.load(codes=codes or (STOCK,), datasets=datasets, **request)


def tasks_of(result: Any, datasets: tuple[str, ...]) -> list[Any]:
    return [task for task in result.tasks if task.dataset in datasets]


@pytest.mark.long
def test_an_unfinished_week_or_month_is_one_row_that_becomes_final(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    newest = """
        select distinct on (period) period, trade_date, bar_end at time zone 'Asia/Shanghai',
            is_final
        from raw_tdx.kline_period order by period, bar_end desc
    """
    friday, monday = datetime(2025, 6, 27, 15), datetime(2025, 6, 30, 15)
    with open_bench(small_market, clock=date(2025, 6, 25)) as bench:
        load(bench, LONG)
        wednesday = date(2025, 6, 25)
        assert bench.rows(newest) == [
            ("month", wednesday, monday, False),
            ("week", wednesday, friday, False),
        ]
        count = len(bench.rows(BARS))

        for day in (date(2025, 6, 27), date(2025, 6, 30)):
            bench.sandbox.set_clock(day)
            result = load(bench, LONG)

        assert result.status == "succeeded"
        assert bench.rows(newest) == [
            ("month", date(2025, 6, 30), monday, True),
            ("week", date(2025, 6, 30), datetime(2025, 7, 4, 15), False),
        ]
        assert len(bench.rows(BARS)) == count + 1
        keys = bench.rows(
            "select dataset, key, last_success_date from ops.ingestion_state"
            " where dataset = any(%s) order by key",
            list(LONG),
        )
        assert keys == [
            ("kline_monthly", f"{STOCK} month", date(2025, 6, 30)),
            ("kline_weekly", f"{STOCK} week", date(2025, 6, 27)),
        ]


@pytest.mark.long
def test_longer_minutes_come_whole_and_the_next_day_by_a_short_answer(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_bench(small_market, clock=days[-2]) as bench:
        assert load(bench, TIMED).status == "succeeded"
        bench.sandbox.set_clock(days[-1])
        bench.sandbox.log.clear()

        result = load(bench, TIMED)

        assert [(t.rows_new, t.status) for t in tasks_of(result, TIMED)] == [
            (48, "succeeded"),
            (16, "succeeded"),
            (8, "succeeded"),
            (4, "succeeded"),
        ]
        routes = {e.route for e in bench.sandbox.log if e.params.get("code") == STOCK}
        assert routes == {"kline-history"}
        counts = bench.rows(
            "select period, count(*), count(distinct trade_date), bool_and(is_final)"
            " from raw_tdx.kline_period group by period"
        )
        sizes = {"minute5": 48, "minute15": 16, "minute30": 8, "hour": 4}
        assert {p: (n, d, f) for p, n, d, f in counts} == {
            period: (len(days) * size, len(days), True) for period, size in sizes.items()
        }
        hours = bench.rows(
            "select distinct (bar_end at time zone 'Asia/Shanghai')::time"
            " from raw_tdx.kline_period where period = 'hour' order by 1"
        )
        assert [at for (at,) in hours] == [time(10, 30), time(11, 30), time(14), time(15)]
        before = bench.rows(BARS)
        assert {t.skipped for t in tasks_of(load(bench, TIMED), TIMED)} == {1}
        assert bench.rows(BARS) == before


@pytest.mark.long
def test_a_suspended_code_is_asked_for_again_once_it_trades(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    suspended, days = "sz000002", days_until(small_market)
    traded = {date.fromisoformat(stamp[:10]) for stamp in small_market.day_bars(suspended).stamps}
    halted = next(at for at, day in enumerate(days) if day not in traded)
    resumed = next(at for at in range(halted, len(days)) if days[at] in traded)

    def requests(bench: Bench, day: date) -> int:
        bench.sandbox.set_clock(day)
        bench.sandbox.log.clear()
        assert load(bench, ("kline_daily", "kline_60m"), STOCK, suspended).exit_code == 0
        asked = [(e.params.get("type"), e.params.get("code")) for e in bench.sandbox.log]
        return asked.count(("hour", suspended))

    stored = (
        f"select count(*), max(trade_date) from raw_tdx.kline_period where code = '{suspended}'"
    )
    with open_bench(small_market, clock=days[halted - 1]) as bench:
        assert requests(bench, days[halted - 1]) > 0
        [(before, _)] = bench.rows(stored)
        assert [requests(bench, day) for day in days[halted:resumed]] == [0] * (resumed - halted)
        assert bench.rows(stored) == [(before, days[halted - 1])]
        # the first load after it trades again has all days since
        assert requests(bench, days[resumed + 1]) == 1
        assert bench.rows(stored) == [(before + 2 * 4, days[resumed + 1])]


@pytest.mark.long
def test_the_adjusted_series_is_rewritten_whole_and_never_shortened(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    days = days_until(small_market)
    with open_bench(small_market, clock=days[-2]) as bench:
        bench.sandbox.faults.add("ths-missing-action:*:code=sh600000")
        load(bench, ("kline_adjusted",), STOCK, FUND)
        assert len(bench.rows(ADJUSTED)) == 2 * (len(days) - 1)
        bench.sandbox.set_clock(days[-1])
        bench.sandbox.faults.clear()

        task = tasks_of(load(bench, ("kline_adjusted",), STOCK, FUND), ("kline_adjusted",))[0]

        assert task.rows_new == 2
        assert task.rows_changed > 10  # the days before an action that the vendor had missed
        before = bench.rows(ADJUSTED)
        bench.sandbox.faults.add("short:kline-all/ths:keep=20")

        result = load(bench, ("kline_adjusted",), STOCK, FUND, mode="init")

        task = tasks_of(result, ("kline_adjusted",))[0]
        assert set(task.failures) == {STOCK, FUND}
        assert "Nothing was overwritten" in task.failures[STOCK]
        assert bench.rows(ADJUSTED) == before
