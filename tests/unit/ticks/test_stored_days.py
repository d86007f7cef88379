"""A row of the index: whether readers see its ticks, and how these differ from it."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from loaders.ticks.day_hash import measured
from loaders.ticks.store import Measured, StoredDay
from tests.ticks import KEY, day_of_ticks

SEEN = measured(day_of_ticks(30))


def stored(**more: Any) -> StoredDay:
    place: Any = {"symbol": KEY.symbol, "contract": KEY.contract, "trading_day": KEY.trading_day}
    facts: Any = {"segment_id": 1, "schedule_hash": "0", "volume": 5, "day_volume": 5}
    return StoredDay(**place, **facts, **vars(SEEN), **more)


@pytest.mark.parametrize("name", [field.name for field in fields(Measured)])
def test_each_measure_that_differs_is_named(name: str) -> None:
    day, value = stored(status="complete"), getattr(SEEN, name)
    assert day.find_differences(SEEN) == []
    step: Any = timedelta(seconds=1) if name.endswith("_ts") else 1
    other: Any = "0" * 16 if isinstance(value, str) else value + step
    [difference] = day.find_differences(replace(SEEN, **{name: other}))
    assert difference == f"{name}: the index has {value}, the ticks have {other}"


@pytest.mark.parametrize(
    ("status", "is_visible"), [("complete", True), ("short", True), ("superseded", False)]
)
def test_ticks_are_seen_until_their_day_is_superseded(status: str, is_visible: bool) -> None:
    assert stored(status=status).is_visible is is_visible
