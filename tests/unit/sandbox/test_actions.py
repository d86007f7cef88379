"""Corporate actions: effect on prices, and the file."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from loaders.sandbox.world.actions import (
    COLUMNS,
    SPLIT,
    Action,
    actions_csv,
    events,
    forward_segments,
    read_actions,
)
from quotemill.errors import UsageError

DAY = date(2008, 6, 16)


def action(**values: object) -> Action:
    given = {"code": "sz000002", "ex_date": DAY, **values}
    return Action(**given)  # type: ignore[arg-type]


def test_cash_bonus_and_rights_of_one_row_move_the_price_together() -> None:
    joint = action(
        cash=Decimal(3), bonus=Decimal("8.5"), rights=Decimal(1), rights_price=Decimal(16)
    )
    (event,) = events([joint])
    assert (event.m, event.c) == (Fraction(39, 20), Fraction(-13, 10))


def test_rows_of_one_day_are_summed_before_they_move_the_price() -> None:
    (event,) = events([action(cash=Decimal(1)), action(bonus=Decimal(6))])
    assert event.ex_price(Fraction("16.50")) == Fraction("10.25")


def test_a_split_divides_by_its_ratio() -> None:
    (event,) = events([action(category=SPLIT, split_ratio=Decimal(2))])
    assert event.ex_price(Fraction(3)) == Fraction(3, 2)


def test_offers_and_share_counts_move_nothing() -> None:
    assert events([action(rights_price=Decimal(9)), action(category=5, cash=Decimal(1))]) == []


def test_the_forward_map_walks_from_the_newest_event_to_the_oldest() -> None:
    """The hand check of the reference: SZ000002 on 2008-06-13 is 0.625 P - 0.2825."""
    rows = [
        action(cash=Decimal(1), transfer=Decimal(6)),
        action(ex_date=date(2009, 6, 8), cash=Decimal("0.5")),
        action(ex_date=date(2010, 5, 18), cash=Decimal("0.7")),
        action(ex_date=date(2011, 5, 27), cash=Decimal(1)),
    ]
    first = forward_segments(events(rows))[0]
    assert first == (None, Fraction("0.625"), Fraction("-0.2825"))


def test_the_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        action(cash=Decimal("1.5000"), total_shares=100, float_shares=60),
        action(ex_date=date(2010, 1, 4), category=SPLIT, split_ratio=Decimal("2.000000")),
    ]
    file = tmp_path / "actions.csv"
    file.write_text(actions_csv(rows), encoding="utf-8")
    assert file.read_text().splitlines()[0].split(",") == list(COLUMNS)
    assert read_actions(file) == rows


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "actions.csv"
    file.write_text(actions_csv([action()]).replace("2008-06-16", "16.6.2008"))
    with pytest.raises(UsageError, match="line 2"):
        read_actions(file)


def test_a_file_with_the_required_columns_alone_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/datasets/corporate_actions.md").read_text("utf-8")
    file = tmp_path / "corporate_actions.csv"
    file.write_text(
        page.partition("```text\n")[2].partition("```")[0] + "600000.SH,2003-01-06,1,0,0,0,Y\n"
    )
    rows = read_actions(file)
    assert [(row.code, row.cash, row.bonus) for row in rows] == [
        ("sh600000", Decimal(2), Decimal(5)),
        ("sh600000", Decimal(1), Decimal(0)),
        ("sz000002", Decimal(0), Decimal(0)),
    ]
