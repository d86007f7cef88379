"""Corporate actions from the quote servers: what becomes of the numbers of a record."""

import struct
from datetime import date
from decimal import Decimal

import orjson
import pytest

from loaders.tdx.actions import PRECISION, CorporateAction
from loaders.tdx.servers.codec import Event
from loaders.tdx.servers.xdxr import build_actions

GOOD = Event(20110603, 1, (1.0, 0.0, 0.0, 0.0))


def single(value: float) -> float:
    """`value` as single precision carries it."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def action(category: int, *values: float) -> CorporateAction:
    event = Event(20110603, category, tuple(map(single, values)))
    (row,) = build_actions("sh600000", [event]).rows
    return row


def test_a_dividend_with_bonus_and_rights_is_mapped_and_rounded() -> None:
    row = action(1, 1.6, 8.45, 3, 0.3)
    assert (row.code, row.ex_date, row.source) == ("sh600000", date(2011, 6, 3), "xdxr")
    assert [
        row.cash_per10_yuan,
        row.bonus_total_per10,
        row.rights_per10,
        row.rights_price_yuan,
    ] == [Decimal("1.6"), Decimal(3), Decimal("0.3"), Decimal("8.45")]
    # the sum alone is known, and whether the row adjusts is not said
    assert (row.bonus_per10, row.transfer_per10, row.adjusts_price) == (None, None, None)
    assert row.total_shares_10k is None


@pytest.mark.parametrize("text", ["1.27356", "0.084513", "0.1234567", "12.5", "3", "199.9999"])
def test_up_to_seven_digits_survive_a_single_float(
    text: str,
) -> None:
    places = PRECISION["cash_per10_yuan"][1]
    assert action(1, float(text), 0, 0, 0).cash_per10_yuan == round(Decimal(text), places)


def test_counts_of_shares_are_not_blurred_by_seven_digits() -> None:
    # 24 bits of a single float are more than seven digits
    assert action(5, 0, 0, 0, 16777213).total_shares_10k == 16777213


def test_a_split_carries_its_ratio_and_no_amounts() -> None:
    row = action(11, 9, 9, 1.2, 9)
    assert (row.category, row.split_ratio) == (11, Decimal("1.2"))
    assert row.cash_per10_yuan == row.bonus_total_per10 == 0


def test_a_share_count_change_carries_the_counts_after_it() -> None:
    row = action(5, 1, 2, 60000, 361500)
    assert (row.total_shares_10k, row.float_shares_10k) == (361500, 60000)
    assert row.cash_per10_yuan == 0


@pytest.mark.parametrize("category", [12, 13, 14, 15])
def test_categories_that_adjust_nothing_carry_nothing(category: int) -> None:
    row = action(category, 1, 2, 3, float("nan"))
    assert (row.category, row.split_ratio, row.total_shares_10k) == (category, None, None)


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        (GOOD._replace(category=0), "category", "0"),
        (GOOD._replace(category=16), "category", "16"),
        (GOOD._replace(values=(-1.0, 0.0, 0.0, 0.0)), "cash_per10_yuan", "-1.0"),
        (GOOD._replace(values=(float("nan"), 0.0, 0.0, 0.0)), "cash_per10_yuan", "nan"),
        (GOOD._replace(values=(0.0, 0.0, 0.0, float("inf"))), "rights_per10", "inf"),
        (GOOD._replace(category=11), "split_ratio", "0.0"),
        (GOOD._replace(day=20111303), "day", "20111303"),
        (GOOD._replace(day=18890603), "day", "18890603"),
        (GOOD._replace(day=2**32 - 1), "day", "4294967295"),
    ],
)
def test_an_impossible_record_is_rejected_and_the_others_are_kept(
    event: Event, field: str, value: str
) -> None:
    actions = build_actions("sh600000", [event, GOOD])
    assert len(actions.rows) == 1
    assert actions.covers == frozenset()
    assert [(r.row_key, r.field, r.value) for r in actions.rejected] == [
        ("xdxr sh600000 row 0", field, value)
    ]


def test_a_rejected_record_keeps_its_code_day_category_and_numbers() -> None:
    event = GOOD._replace(values=(single(-1.6), single(8.45), 3.0, 0.0))
    (bad,) = build_actions("sh600000", [event]).rejected
    assert orjson.loads(bad.payload) == {
        "code": "sh600000",
        "ex_date": "2011-06-03",
        "category": 1,
        "values": ["-1.6", "8.45", "3.0", "0.0"],
    }
