"""An answer → what may be stored of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loaders.ticks.frame import QUOTED, DayKey
from loaders.tq.stored import instant, nanoseconds
from loaders.tq.tick_days.conversion import SHOWN, outside, ticks_of

KEY = DayKey("KQ.m@SHFE.cu", "SHFE.cu2511", date(2025, 10, 14))
START, END = datetime(2025, 10, 13, 10, tzinfo=UTC), datetime(2025, 10, 14, 10, tzinfo=UTC)
FIRST = nanoseconds(START)


def answer(rows: int = 4, **changed: list[Any]) -> pa.Table:
    columns = {"datetime_ns": pa.array([FIRST + n * 500_000_000 for n in range(rows)], pa.int64())}
    for name, _ in QUOTED:
        columns[name] = pa.array([float(n + 1) for n in range(rows)], pa.float64())
    for name, values in changed.items():
        columns[name] = pa.array(values, columns[name].type)
    return pa.table(columns)


def test_ticks_in_order_of_their_day_pass_as_they_came() -> None:
    given = answer()
    found = ticks_of(given, KEY, START, END)
    assert (found.refused, found.rejected) == (0, [])
    assert found.ticks.equals(given.select(found.ticks.column_names))


def test_late_ticks_and_empty_levels_of_the_book_are_right() -> None:
    stamps = [FIRST, FIRST + 2, FIRST + 1, FIRST + 3]
    found = ticks_of(
        answer(datetime_ns=stamps, bid_price5=[None] * 4, bid_volume5=[None] * 4), KEY, START, END
    )
    assert found.refused == 0
    assert found.ticks["datetime_ns"].to_pylist() == stamps


@pytest.mark.parametrize(
    ("field", "values", "rule"),
    [
        ("datetime_ns", [FIRST - 1, FIRST, FIRST + 1, FIRST + 2], "trading day"),
        ("datetime_ns", [nanoseconds(END), FIRST, FIRST + 1, FIRST + 2], "trading day"),
        ("volume", [None, 1, 2, 3], "missing"),
        ("volume", [1.5, 2, 3, 4], "whole number"),
        ("bid_volume3", [-1, 2, 3, 4], "below 0"),
        ("open_interest", [0.25, 2, 3, 4], "whole number"),
        ("amount", [-0.5, 2, 3, 4], "below 0"),
        ("last_price", [float("inf"), 2, 3, 4], "15 digits"),
    ],
)
def test_a_tick_that_cannot_be_true_is_refused_with_its_reason(
    field: str, values: list[Any], rule: str
) -> None:
    found = ticks_of(answer(**{field: values}), KEY, START, END)
    assert (found.refused, found.ticks.num_rows) == (1, 3)
    [rejected] = found.rejected
    assert rejected.field == field
    assert rule in rejected.rule
    assert rejected.row_key.startswith("SHFE.cu2511 2025-10-14 ")


def test_a_tick_that_comes_twice_is_stored_once_and_one_of_the_same_stamp_is_another() -> None:
    given = answer()
    twice = pa.concat_tables([given, given])
    found = ticks_of(twice, KEY, START, END)
    assert (found.refused, len(found.rejected)) == (4, 4)
    same_stamp = ticks_of(answer(datetime_ns=[FIRST] * 4), KEY, START, END)
    assert (same_stamp.refused, same_stamp.ticks.num_rows) == (0, 4)


def test_of_many_refused_rows_some_are_kept_and_all_are_counted() -> None:
    count = SHOWN + 30
    found = ticks_of(answer(count, volume=[-1] * count), KEY, START, END)
    assert (found.refused, len(found.rejected)) == (count, SHOWN + 1)
    assert found.rejected[-1].value == "30 more"


def test_strays_are_counted_beyond_the_auctions_around_the_sessions() -> None:
    held = [(START, START + timedelta(hours=1))]
    minutes = np.array([-16, -14, 30, 74, 76], np.int64) * 60_000_000_000 + FIRST
    assert outside(minutes, held) == 2
    assert outside(minutes, []) == 0
    assert instant(FIRST) == START
