"""Which ticks of an answer may be stored."""

import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from loaders.tq.tick_days.conversion import SHOWN, count_outside, sift_ticks
from loaders.tq.trading_day import nanoseconds, to_time
from quotemill.ticks.columns import QUOTED, DayKey

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
    sifted = sift_ticks(given, KEY, START, END)
    assert (sifted.refused, sifted.rejected) == (0, [])
    assert sifted.ticks.equals(given.select(sifted.ticks.column_names))


def test_the_largest_float_is_a_number_that_there_is_not() -> None:
    most = sys.float_info.max
    given = answer(last_price=[most, 2, 3, 4], bid_volume1=[-most, 2, 3, 4])
    sifted = sift_ticks(given, KEY, START, END)
    assert sifted.refused == 0
    assert sifted.ticks.equals(answer(last_price=[None, 2, 3, 4], bid_volume1=[None, 2, 3, 4]))


def test_late_ticks_and_empty_levels_of_the_book_pass() -> None:
    stamps = [FIRST, FIRST + 2, FIRST + 1, FIRST + 3]
    sifted = sift_ticks(
        answer(datetime_ns=stamps, bid_price5=[None] * 4, bid_volume5=[None] * 4), KEY, START, END
    )
    assert sifted.refused == 0
    assert sifted.ticks["datetime_ns"].to_pylist() == stamps


@pytest.mark.parametrize(
    ("field", "values", "rule"),
    [
        ("datetime_ns", [FIRST - 1, FIRST, FIRST + 1, FIRST + 2], "trading day"),
        ("datetime_ns", [nanoseconds(END), FIRST, FIRST + 1, FIRST + 2], "trading day"),
        ("volume", [None, 1, 2, 3], "missing"),
        ("volume", [1.5, 2, 3, 4], "whole number"),
        ("bid_volume3", [-1, 2, 3, 4], "negative"),
        ("open_interest", [0.25, 2, 3, 4], "whole number"),
        ("amount", [-0.5, 2, 3, 4], "negative"),
        ("last_price", [float("inf"), 2, 3, 4], "15 digits"),
    ],
)
def test_an_impossible_tick_is_refused_with_its_reason(
    field: str, values: list[Any], rule: str
) -> None:
    sifted = sift_ticks(answer(**{field: values}), KEY, START, END)
    assert (sifted.refused, sifted.ticks.num_rows) == (1, 3)
    [rejected] = sifted.rejected
    assert rejected.field == field
    assert rule in rejected.rule
    assert rejected.row_key.startswith("SHFE.cu2511 2025-10-14 ")


def test_a_repeated_tick_is_stored_once_but_not_one_of_the_same_stamp() -> None:
    given = answer()
    twice = pa.concat_tables([given, given])
    sifted = sift_ticks(twice, KEY, START, END)
    assert (sifted.refused, len(sifted.rejected)) == (4, 4)
    same_stamp = sift_ticks(answer(datetime_ns=[FIRST] * 4), KEY, START, END)
    assert (same_stamp.refused, same_stamp.ticks.num_rows) == (0, 4)


def test_some_of_many_refused_rows_are_listed_and_all_are_counted() -> None:
    count = SHOWN + 30
    sifted = sift_ticks(answer(count, volume=[-1] * count), KEY, START, END)
    assert (sifted.refused, len(sifted.rejected)) == (count, SHOWN + 1)
    assert sifted.rejected[-1].value == "30 more"


def test_strays_are_counted_beyond_the_auctions_around_the_sessions() -> None:
    spans = [(START, START + timedelta(hours=1))]
    minutes = np.array([-16, -14, 30, 74, 76], np.int64) * 60_000_000_000 + FIRST
    assert count_outside(minutes, spans) == 2
    assert count_outside(minutes, []) == 0
    assert to_time(FIRST) == START
