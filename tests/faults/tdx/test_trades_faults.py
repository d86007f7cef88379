"""Days of ticks beside their day bar, or of another security."""
# ruff: noqa: F811

from collections.abc import Iterator
from datetime import date

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.test_trades import STOCK, days, stored, tiny_market  # noqa: F401


@pytest.fixture
def loaded(
    open_bench: OpenBench, tiny_market: SyntheticMarket, days: list[date]
) -> Iterator[Bench]:
    """Six days of ticks of a stock, loaded on the day before the last."""
    with open_bench(tiny_market, clock=days[-2], tick_days=6) as made:
        made.load(codes=(STOCK,))
        yield made


def squeeze(bench: Bench, day: date) -> None:
    """The stored day bar gets a narrower range than its ticks have."""
    bench.execute(
        "update raw_tdx.kline_daily set high = (low + high) / 2, open = low, close = low "
        f"where code = '{STOCK}' and trade_date = '{day}'"
    )


def test_ticks_beside_their_day_bar_land_once_they_came_alike_twice(
    loaded: Bench, days: list[date]
) -> None:
    odd = days[-4]
    squeeze(loaded, odd)
    named = ("tick_trade",)
    for _ in range(2):  # the same evening proves nothing
        assert loaded.load(codes=(STOCK,), datasets=named).exit_code == 6
        assert odd not in stored(loaded)
    loaded.sandbox.set_clock(days[-1], restart=True)

    assert loaded.load(codes=(STOCK,), datasets=named).exit_code == 0

    assert stored(loaded)[odd][2] is True
    low, high = loaded.rows(
        "select min(t.price) - min(k.low), max(t.price) - min(k.high) from raw_tdx.tick_trade "
        "as t join raw_tdx.kline_daily as k using (code, trade_date) where t.trade_date = %s",
        odd,
    )[0]
    assert low < 0 or high > 0
    assert loaded.rows("select distinct is_withdrawn from raw_tdx.rejected_row") == [(True,)]


def test_ticks_of_another_security_never_land(loaded: Bench, days: list[date]) -> None:
    odd = days[-4]
    loaded.execute(
        "update raw_tdx.kline_daily set open = open / 3, high = high / 3, low = low / 3, "
        f"close = close / 3 where code = '{STOCK}' and trade_date = '{odd}'"
    )
    assert loaded.load(codes=(STOCK,), datasets=("tick_trade",)).exit_code == 6
    for _ in range(2):
        loaded.sandbox.set_clock(days[-1], restart=True)
        assert loaded.load(codes=(STOCK,), datasets=("tick_trade",)).exit_code == 6
    assert odd not in stored(loaded)
