"""Days of minutes and ticks without a trade are no trading days."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from loaders.engine.window import Window
from loaders.tdx.bars import plausibility, records
from loaders.tdx.bars.untraded import any_traded

DAYS = [date(2025, 5, 23), date(2025, 5, 26), date(2025, 5, 27)]
WINDOW = Window(DAYS, DAYS[-1], 0, lambda _: False, date(2025, 6, 30))
NOW = datetime(2025, 6, 30, 10, tzinfo=UTC)


def flat(period: str, route: str = "vipdoc/minline") -> records.Records:
    """Three whole days of one price without volume."""
    labels = records.grid(period)
    bars = np.zeros(len(DAYS) * len(labels), records.RECORD)
    bars["day"] = np.repeat(records.to_numbers(DAYS), len(labels))
    bars["label"] = np.tile(labels, len(DAYS))
    for name in records.PRICES:
        bars[name] = 9_970
    return records.set_source(bars, route, NOW)


def days_taken(bars: records.Records, period: str) -> list[date]:
    good, rejected = plausibility.check("sh688041", bars, period, WINDOW)
    assert rejected == []
    return records.days_in(good)


@pytest.mark.parametrize("period", ["minute1", "minute5", "minute15", "minute30"])
def test_only_days_with_a_trade_are_taken(period: str) -> None:
    bars = flat(period)
    assert days_taken(bars, period) == []
    bars["volume"][len(bars) // 2] = 1
    assert days_taken(bars, period) == [DAYS[1]]


def test_a_day_whose_price_moves_or_that_begins_in_the_middle_is_taken() -> None:
    bars = flat("minute1")
    for name in records.PRICES:
        bars[name][300:480] = 9_980
    assert days_taken(bars, "minute1") == [DAYS[1]]
    assert days_taken(flat("minute1")[1:240], "minute1") == [DAYS[0]]


def test_a_running_day_is_taken_from_its_first_trade_on() -> None:
    bars = flat("minute1", "/api/kline-history")[:100]
    assert days_taken(bars, "minute1") == []
    bars["volume"][99] = 1
    good, _ = plausibility.check("sh688041", bars, "minute1", WINDOW)
    assert len(good) == 100


def test_half_a_day_of_suspension_keeps_all_minutes() -> None:
    """Traded until 10:00, and from 13:30 on."""
    bars = flat("minute1")[:240]
    bars["volume"][:30], bars["volume"][150:] = 100, 100
    good, _ = plausibility.check("sh688041", bars, "minute1", WINDOW)
    assert len(good) == 240


def test_ticks_without_volume_are_no_trade() -> None:
    assert not any_traded([])
    assert not any_traded([0, 0])
    assert any_traded([0, 1])


def test_the_minutes_of_an_index_need_no_volume() -> None:
    assert days_taken(flat("minute1", "/api/index"), "minute1") == DAYS
