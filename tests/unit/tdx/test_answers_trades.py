"""Shapes of ticks: order is their only key, so nothing is ever sorted or merged."""

from collections import Counter
from datetime import date
from typing import Any

import pytest
from fake_tdx import reply, tick, upper

from loaders.tdx.client.answers_trades import Ticks, read_ticks, read_ticks_of_days
from loaders.tdx.client.reply import WrongShape

DAY, NEXT = date(2019, 2, 1), date(2019, 2, 11)
ROWS = [
    tick("2019-02-01T09:25", 10_720, Status=2),
    tick("2019-02-01T09:30", 10_730, Status=1, Volume=0),
    tick("2019-02-01T09:30", 10_730, Number=3),
    tick("2019-02-01T15:00", 10_710),
]


def read(rows: Any, **counters: Counter[str]) -> Ticks:
    return read_ticks(reply("minute-trade-all", upper(rows), **counters), DAY)


def full_row(stamp: str, price: float = 10.72) -> dict[str, Any]:
    return {name.lower(): value for name, value in tick(stamp).items()} | {"price": price}


def full(rows: list[dict[str, Any]] | None, **changes: Any) -> dict[str, Any]:
    covered = sorted({row["time"][:10].replace("-", "") for row in rows or []})
    return {
        "code": "sh600000",
        "count": len(rows or []),
        "covered_dates": covered,
        "limit": 0,
        "list": rows,
        "start_date": str(DAY),
        "end_date": str(NEXT),
        "truncated": False,
    } | changes


def read_full(data: Any, **counters: Counter[str]) -> dict[date, Ticks]:
    return read_ticks_of_days(reply("trade-history/full", data, **counters), "sh600000", DAY, NEXT)


TWO_DAYS = [
    full_row("2019-02-01T09:25", 10.72),
    full_row("2019-02-01T15:00", 11.2),
    full_row("2019-02-11T09:30", 13),
]


def test_ticks_come_back_in_the_order_of_the_answer() -> None:
    result = read(ROWS)
    assert result.stamps[:3] == ["2019-02-01T09:25:00", *["2019-02-01T09:30:00"] * 2]
    assert result.price == [10_720, 10_730, 10_730, 10_710]
    assert (result.side, result.volume) == ([2, 1, 0, 0], [5, 0, 5, 5])
    assert result.order_count == [0, 0, 3, 0]


def test_equal_ticks_are_all_kept() -> None:
    assert len(read([ROWS[0]] * 3)) == 3


def test_no_ticks_are_none() -> None:
    assert len(read(None)) == 0
    assert read_full(full(None)) == {}
    assert read_full(full([], covered_dates=None)) == {}


def test_ticks_in_another_order_are_refused() -> None:
    with pytest.raises(WrongShape, match=r"field Time: 2019-02-01T09:30:00 .* 2019-02-01T15:00:00"):
        read(ROWS[::-1])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"Time": "2019-02-11T09:30:00+08:00"}, "2019-02-11 is not 2019-02-01"),
        ({"Time": "2019-02-01T08:00:00+08:00"}, "no trade can happen at 08:00"),
        ({"Time": "2019-02-01T15:31:00+08:00"}, "no trade can happen at 15:31"),
        ({"Time": "2019-02-01"}, "is not a minute of a day"),
        ({"Price": 0}, "0 is not at least 1"),
        ({"Price": -10}, "-10 is not at least 1"),
        ({"Volume": -1}, "-1 is not at least 0"),
        ({"Number": 2**31}, "32-bit"),
        ({"Price": 10.72}, "a fraction, not a whole number"),
        ({"Status": "0"}, "a text, not a whole number"),
    ],
)
def test_one_impossible_tick_refuses_the_day(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(WrongShape, match=rule):
        read([*ROWS[:3], ROWS[3] | change])


@pytest.mark.parametrize("name", sorted(ROWS[0]))
def test_a_tick_without_one_of_its_fields_refuses_the_day(name: str) -> None:
    row = {key: value for key, value in ROWS[1].items() if key != name}
    with pytest.raises(WrongShape, match=rf"row 1 field List\.{name}: "):
        read([ROWS[0], row])


def test_a_side_that_nobody_knows_is_kept_and_reported() -> None:
    oddities: Counter[str] = Counter()
    assert read([ROWS[0] | {"Status": 5}], oddities=oddities).side == [5]
    assert oddities == {"minute-trade-all.unknown_side.5": 1}


def test_an_extra_field_of_a_tick_is_counted() -> None:
    unknown: Counter[str] = Counter()
    read([row | {"Ms": 1} for row in ROWS], unknown=unknown)
    assert unknown == {"minute-trade-all.List.Ms": 4}


def test_yuan_of_many_days_become_whole_li_by_day() -> None:
    result = read_full(full(TWO_DAYS))
    assert list(result) == [DAY, NEXT]
    assert result[DAY].price == [10_720, 11_200]
    assert result[NEXT].price == [13_000]
    assert result[NEXT].stamps == ["2019-02-11T09:30:00"]


@pytest.mark.parametrize("price", [0.07, 1.001, 4.35, 11.21, 41.25, 257.87, 1788.99, 99999.999])
def test_every_price_in_yuan_finds_its_li(price: float) -> None:
    assert read_full(full([full_row("2019-02-01T09:30", price)]))[DAY].price == [
        int(str(price).replace(".", "").ljust(len(str(price).partition(".")[0]) + 3, "0"))
    ]


@pytest.mark.parametrize("price", [10.72345, 0, -1.5, "10.72", None])
def test_a_price_that_is_no_amount_of_li_refuses_the_answer(price: Any) -> None:
    with pytest.raises(WrongShape):
        read_full(full([full_row("2019-02-01T09:30", price)]))


def test_the_last_day_of_a_truncated_answer_is_left_out() -> None:
    oddities: Counter[str] = Counter()
    result = read_full(full(TWO_DAYS, truncated=True), oddities=oddities)
    assert list(result) == [DAY]
    assert oddities == {"trade-history/full.truncated": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"start_date": "2019-01-01"},
        {"end_date": "2019-02-12"},
        {"code": "sz000001"},
        {"covered_dates": ["20190201"]},
        {"covered_dates": ["20190201", "20190208", "20190211"]},
        {"covered_dates": ["20190131", "20190201", "20190211"]},
        {"covered_dates": ["2019-02-01", "20190211"]},
        {"covered_dates": [20190201, 20190211]},
        {"truncated": 0},
        {"list": TWO_DAYS[::-1]},
        {"list": [*TWO_DAYS, full_row("2019-02-12T09:30")]},
    ],
)
def test_an_answer_that_contradicts_itself_or_the_question_is_refused(
    change: dict[str, Any],
) -> None:
    with pytest.raises(WrongShape):
        read_full(full(TWO_DAYS, **change))


@pytest.mark.parametrize("name", ["code", "count", "covered_dates", "list", "limit", "truncated"])
def test_an_answer_of_many_days_without_one_of_its_fields_is_refused(name: str) -> None:
    data = full(TWO_DAYS)
    del data[name]
    with pytest.raises(WrongShape, match=f"field {name}: "):
        read_full(data)
