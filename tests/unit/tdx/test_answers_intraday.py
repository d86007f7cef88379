"""Shapes of intraday bars and minute points."""

from collections import Counter
from datetime import date
from typing import Any

import pytest
from fake_tdx import bar, days, envelope, kline_data, minute_bar, reply, upper

from loaders.tdx.client.answers import BarShape, open_envelope
from loaders.tdx.client.answers_intraday import (
    MinutePoints,
    TimedBars,
    labels,
    read_minute_points,
    read_timed_bars,
)
from loaders.tdx.client.reply import WrongShape

DAY = date(2024, 11, 8)
HISTORY = BarShape("List", "Count", "minute1")


def read(rows: Any, shape: BarShape = HISTORY, **counters: Counter[str]) -> TimedBars:
    return read_timed_bars(reply("kline-history", upper(rows), **counters), shape)


def points(rows: Any, day: date | None = DAY, **counters: Counter[str]) -> MinutePoints:
    answer = reply("minute", upper(rows, date=f"{DAY:%Y%m%d}"), **counters)
    return read_minute_points(answer, day)


def whole_day(day: date = DAY) -> list[dict[str, Any]]:
    return [minute_bar(f"{day}T{label}", 10_000 + i) for i, label in enumerate(labels("minute1"))]


def whole_points() -> list[dict[str, Any]]:
    return [{"Time": label, "Price": 10_000, "Number": 7} for label in labels("minute1")]


@pytest.mark.parametrize(
    ("period", "size", "some"),
    [
        ("minute1", 240, ("09:31", "11:30", "13:01", "15:00")),
        ("minute5", 48, ("09:35", "11:30", "13:05", "15:00")),
        ("minute15", 16, ("09:45", "11:30", "13:15", "15:00")),
        ("minute30", 8, ("10:00", "11:30", "13:30", "15:00")),
        ("hour", 4, ("10:30", "11:30", "14:00", "15:00")),
    ],
)
def test_labels_are_the_ends_of_bars_within_the_sessions(
    period: str, size: int, some: tuple[str, ...]
) -> None:
    result = labels(period)
    assert len(result) == size
    assert set(some) <= set(result)
    assert list(result) == sorted(result)


def test_a_day_of_minutes_comes_back_as_it_was_with_its_labels() -> None:
    bars = read(whole_day())
    assert bars.stamps == [f"2024-11-08T{label}:00" for label in labels("minute1")]
    assert bars.close == [10_000 + i for i in range(240)]
    assert bars.period == "minute1"
    assert bars.take([1]).stamps == ["2024-11-08T09:32:00"]


def test_noon_keeps_the_label_that_it_came_with() -> None:
    rows = [minute_bar(f"{DAY}T{clock}") for clock in ("11:29", "13:00", "13:01")]
    assert [stamp[11:16] for stamp in read(rows).stamps] == ["11:29", "13:00", "13:01"]


@pytest.mark.parametrize("offset", ["Z", "+08:00", "+09:00", "-05:00", ""])
def test_the_offset_of_a_label_never_moves_it(offset: str) -> None:
    rows = [bar(DAY, Time=f"{DAY}T09:31:00{offset}")]
    assert read(rows).stamps == ["2024-11-08T09:31:00"]


@pytest.mark.parametrize(
    "stamp",
    [
        "2024-11-08T09:31:30+08:00",
        "2024-11-08T24:01:00Z",
        "2024-11-08T9:31:00Z",
        "2024-11-08",
        "20241108T09:31:00",
        "2024-13-08T09:31:00Z",
        "2024-11-31T09:31:00Z",
        "",
    ],
)
def test_a_label_that_is_no_minute_refuses_the_answer_and_names_its_row(stamp: str) -> None:
    with pytest.raises(WrongShape, match="row 2 field Time"):
        read([*whole_day()[:2], bar(DAY, Time=stamp)])


def test_days_where_minutes_were_asked_for_are_refused() -> None:
    with pytest.raises(WrongShape, match=r"field Time: .* minute1"):
        read([bar(d) for d in days(5)])


def test_bars_of_another_period_than_asked_for_are_refused_by_their_meta() -> None:
    shape = BarShape("list", "count", "minute5", "tdx")
    with pytest.raises(WrongShape, match=r"meta\.type: .*minute5, .*'day'"):
        read_timed_bars(reply("kline-all", kline_data([bar(DAY)])), shape)


@pytest.mark.parametrize("name", ["Open", "Time", "UpCount"])
def test_a_minute_without_one_of_its_fields_refuses_the_answer(name: str) -> None:
    rows = whole_day()
    del rows[17][name]
    with pytest.raises(WrongShape, match=rf"row 17 field List\.{name}: "):
        read(rows)


def test_a_minute_repeated_at_a_page_border_is_taken_once_and_reported() -> None:
    oddities: Counter[str] = Counter()
    rows = whole_day()
    assert read([*rows[:9], rows[8], *rows[9:]], oddities=oddities) == read(rows)
    assert oddities == {"kline-history.repeated_bar": 1}


def test_minutes_in_another_order_are_sorted_and_reported() -> None:
    oddities: Counter[str] = Counter()
    assert read(whole_day()[::-1], oddities=oddities) == read(whole_day())
    assert oddities == {"kline-history.unsorted": 1}


def test_no_minutes_are_no_bars() -> None:
    assert len(read(None)) == 0


def test_a_field_of_a_minute_that_nobody_knows_is_counted() -> None:
    unknown: Counter[str] = Counter()
    read([row | {"Colour": 1} for row in whole_day()], unknown=unknown)
    assert unknown == {"kline-history.List.Colour": 240}


def test_twenty_days_of_minutes_are_read_from_bytes_as_they_were_sent() -> None:
    rows = [row for day in days(20) for row in whole_day(day)]
    data = open_envelope("kline-history", "x", 200, envelope(upper(rows)), Counter())
    bars = read(data["List"])
    assert (len(bars), bars.stamps[-1]) == (4800, "2019-01-21T15:00:00")


def test_points_of_a_day_that_is_over_are_240() -> None:
    result = points(whole_points())
    assert (len(result), result.labels[-1], result.price[0], result.number[0]) == (
        240,
        "15:00",
        10_000,
        7,
    )
    assert result.day == DAY


def test_points_of_a_running_session_begin_at_its_first_minute() -> None:
    assert points(whole_points()[:17]).labels[-1] == "09:47"
    assert len(points(None)) == 0


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        (0, whole_points()[1:]),
        (100, whole_points()[:100] + whole_points()[101:]),
        (240, [*whole_points(), {"Time": "15:01", "Price": 1, "Number": 0}]),
        (0, [{"Time": "09:31:00", "Price": 1, "Number": 0}]),
    ],
    ids=["late start", "gap", "after the close", "with seconds"],
)
def test_points_whose_labels_break_the_row_of_minutes_are_refused(row: int, rows: Any) -> None:
    with pytest.raises(WrongShape, match=rf"row {row} field List\.Time"):
        points(rows)


@pytest.mark.parametrize("change", [{"Price": 0}, {"Price": -5}, {"Number": -1}])
def test_points_that_cannot_be_true_are_refused(change: dict[str, int]) -> None:
    rows = whole_points()
    rows[3] |= change
    with pytest.raises(WrongShape, match="row 3"):
        points(rows)


def test_points_of_another_day_than_asked_for_are_refused() -> None:
    with pytest.raises(WrongShape, match=r"field .*'20241108' .*2024-11-07"):
        points(whole_points(), day=date(2024, 11, 7))
    assert points(whole_points(), day=None).day == DAY


def test_points_repeated_or_newest_first_come_out_right_and_are_reported() -> None:
    oddities: Counter[str] = Counter()
    rows = whole_points()
    assert points([rows[0], *rows][::-1], oddities=oddities) == points(rows)
    assert oddities == {"minute.unsorted": 1, "minute.repeated_bar": 1}
