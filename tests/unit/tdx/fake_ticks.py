"""Ticks as the service would answer them, of two days with a holiday between."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from loaders.tdx.bars.tick_days import DayBar
from loaders.tdx.client.answers_trades import Ticks

FRIDAY = date(2019, 2, 1)
MONDAY = date(2019, 2, 11)  # the trading day after: the new year's holidays lie between
LATER = datetime(2019, 2, 12, 8, 0, tzinfo=UTC)
BAR = DayBar(10_000, 11_000, 3_000)


def ticks(
    day: date = FRIDAY,
    price: int | list[int] = 10_500,
    volumes: tuple[int, ...] = (1_000, 1_000, 1_000),
    fetched_at: datetime = LATER,
    **changes: Any,
) -> Ticks:
    size = len(volumes)
    minutes = [f"{day}T{9 + (30 + i) // 60:02}:{(30 + i) % 60:02}:00" for i in range(size)]
    prices = price if isinstance(price, list) else [price] * size
    made = Ticks(
        minutes, prices, list(volumes), [0] * size, [0] * size, "trade-history/full", fetched_at
    )
    return replace(made, **changes)
