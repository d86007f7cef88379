"""A service that stands still answers as if nothing had happened; a load must not."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from loaders import trading_time
from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.datasets import trading_calendar
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

BARS = ("kline_daily",)  # with the codes and the calendar, which come first
STALE = ("stale:workday/range:rows={}", "stale:kline-all:rows={}", "stale:index/all:rows={}")


def freeze(bench: Bench, days: int) -> None:
    bench.sandbox.faults.clear()
    for rule in STALE:
        bench.sandbox.faults.add(rule.format(days))


def test_a_service_that_stands_still_fails_each_night_and_names_the_day(
    open_loaded: OpenBench, days: list[date]
) -> None:
    with open_loaded(clock=days[-6]) as bench:
        for nights in (1, 5):
            bench.sandbox.set_clock(days[-6 + nights], restart=True)
            freeze(bench, nights)

            result = bench.load(datasets=BARS)

            assert result.exit_code == 6
            assert any(
                f"ends {days[-6]}" in text and str(days[-6 + nights]) in text
                for text in result.warnings
            )
        bench.sandbox.faults.clear()
        assert bench.load(datasets=BARS).exit_code == 0


def test_a_first_load_from_one_lands_what_there_is_and_says_so(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(small_market, clock=days[-1]) as bench:
        freeze(bench, 3)
        assert bench.load(datasets=BARS).exit_code == 6
        assert bench.rows("select max(trade_date) from raw_tdx.kline_daily") == [(days[-4],)]


def test_a_day_that_the_exchange_was_shut_fails_until_the_next_is_over(
    open_bench: OpenBench, days: list[date]
) -> None:
    world = SyntheticMarket(codes=12, days=60, seed=3)
    shut = days[-3]
    world.days.remove(shut)
    with open_bench(world, clock=shut) as bench:
        assert bench.load(datasets=("trading_calendar",)).exit_code == 6
        bench.sandbox.set_clock(days[-2])
        assert bench.load(datasets=("trading_calendar",)).exit_code == 0


def test_before_the_close_no_day_is_missing(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(small_market, clock=days[-2]) as bench:
        bench.sandbox.set_clock(f"{days[-1]}T14:00:00", restart=True)
        freeze(bench, 1)
        assert bench.load(datasets=("trading_calendar",)).exit_code == 0


@pytest.mark.parametrize(("last_known", "stands_still"), [("12-20", True), ("12-31", False)])
def test_days_past_the_announced_holidays_call_nothing_frozen(
    last_known: str, stands_still: bool
) -> None:
    end = trading_time.horizon()
    days = [date.fromisoformat(f"{end.year}-{last_known}")]
    later = datetime(end.year + 1, 2, 1, 12, tzinfo=UTC)
    assert (trading_calendar.explain_frozen(days, later) is not None) is stands_still


def test_a_replay_of_old_files_does_not_stand_still(
    open_bench: OpenBench, real_tdx_data: Path
) -> None:
    with open_bench(ReplayMarket(real_tdx_data)) as bench:
        named = ("trading_calendar", "kline_daily")
        long_after = bench.sandbox.clock + timedelta(days=400)
        assert bench.load(clock=long_after, datasets=named, codes=("sh600000",)).exit_code == 0


TRADED = """
    select code from raw_tdx.kline_daily
    where trade_date = (select max(trade_date) from raw_tdx.kline_daily) order by code
"""


def test_day_bars_behind_the_calendar_are_asked_for_by_each_load_until_they_come(
    open_loaded: OpenBench, days: list[date]
) -> None:
    with open_loaded(clock=days[-3]) as bench:
        traded = bench.rows(TRADED)
        late = [code for (code,) in traded[1:]]
        for nights in (1, 2):
            bench.sandbox.faults.clear()
            for code in late:
                bench.sandbox.faults.add(f"stale:kline-all:code={code}:rows={nights}")
            bench.sandbox.set_clock(days[-3 + nights])
            assert bench.load(datasets=BARS).exit_code == 0
            assert bench.rows(TRADED) == traded[:1]
        bench.sandbox.faults.clear()
        assert bench.load(datasets=BARS).exit_code == 0
        assert bench.rows(TRADED) == traded
