"""Corporate actions from the quote servers: what becomes of the fields of an answer."""

import struct
from collections import OrderedDict
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from loaders.tdx.actions import PRECISION
from loaders.tdx.client.xdxr import read_answer

FIELDS = (
    "fenhong",
    "peigujia",
    "songzhuangu",
    "peigu",
    "suogu",
    "panqianliutong",
    "panhouliutong",
    "qianzongguben",
    "houzongguben",
    "fenshu",
    "xingquanjia",
)


def single(value: float) -> float:
    """`value` as single precision carries it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def answer_row(category: int, day: date = date(2011, 6, 3), **values: Any) -> OrderedDict[str, Any]:
    """A row as pytdx gives it: fields that the category does not carry are None."""
    head = {"year": day.year, "month": day.month, "day": day.day, "category": category, "name": "x"}
    return OrderedDict(head | dict.fromkeys(FIELDS) | values)


def test_a_dividend_with_bonus_and_rights_is_mapped_and_rounded() -> None:
    row = answer_row(
        1, fenhong=single(1.6), peigujia=single(8.45), songzhuangu=single(3), peigu=single(0.3)
    )
    (action,), rejected = read_answer("sh600000", [row])
    assert rejected == []
    assert (action.code, action.ex_date, action.source) == ("sh600000", date(2011, 6, 3), "xdxr")
    assert [
        action.cash_per10_yuan,
        action.bonus_total_per10,
        action.rights_per10,
        action.rights_price_yuan,
    ] == [Decimal("1.6"), Decimal(3), Decimal("0.3"), Decimal("8.45")]
    # the sum alone is known, and whether the row adjusts is not said
    assert (action.bonus_per10, action.transfer_per10, action.adjusts_price) == (None, None, None)
    assert action.total_shares_10k is None


@pytest.mark.parametrize("text", ["1.27356", "0.084513", "0.1234567", "12.5", "3", "199.9999"])
def test_up_to_seven_digits_survive_a_single_float(
    text: str,
) -> None:
    (action,), _ = read_answer("sh600000", [answer_row(1, fenhong=single(float(text)))])
    places = PRECISION["cash_per10_yuan"][1]
    assert action.cash_per10_yuan == round(Decimal(text), places)


def test_counts_of_shares_are_not_blurred_by_seven_digits() -> None:
    # 24 bits of a single float are more than seven digits
    (action,), _ = read_answer("sh600000", [answer_row(5, houzongguben=16777213.0)])
    assert action.total_shares_10k == 16777213


def test_a_split_carries_its_ratio_and_no_amounts() -> None:
    (action,), _ = read_answer("sh510050", [answer_row(11, suogu=single(1.2))])
    assert (action.category, action.split_ratio) == (11, Decimal("1.2"))
    assert action.cash_per10_yuan == action.bonus_total_per10 == 0


def test_a_share_count_change_carries_the_counts_after_it() -> None:
    row = answer_row(
        5, panqianliutong=1.0, panhouliutong=60000.0, qianzongguben=2.0, houzongguben=361500.0
    )
    (action,), _ = read_answer("sh600000", [row])
    assert (action.total_shares_10k, action.float_shares_10k) == (361500, 60000)
    assert action.cash_per10_yuan == 0


@pytest.mark.parametrize(
    ("category", "values"),
    [(12, {"suogu": 2.0}), (13, {"fenshu": 1.0, "xingquanjia": 2.0}), (14, {"fenshu": 1.0})],
)
def test_categories_that_adjust_nothing_carry_nothing(category: int, values: Any) -> None:
    (action,), _ = read_answer("sh600000", [answer_row(category, **values)])
    assert (action.category, action.split_ratio) == (category, None)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (answer_row(0), "category"),
        (answer_row(15), "category"),
        (answer_row(1, fenhong=-1.0), "fenhong"),
        (answer_row(1, fenhong=float("nan")), "fenhong"),
        (answer_row(1, peigu=float("inf")), "peigu"),
        (answer_row(11, suogu=0.0), "suogu"),
        (answer_row(1) | {"month": 13}, "day"),
        (answer_row(1) | {"year": 1889}, "day"),
    ],
)
def test_an_impossible_row_is_rejected_and_the_others_are_kept(
    row: OrderedDict[str, Any], field: str
) -> None:
    good, rejected = read_answer("sh600000", [row, answer_row(1, fenhong=1.0)])
    assert len(good) == 1
    assert [(r.row_key, r.field) for r in rejected] == [("xdxr sh600000 row 0", field)]
