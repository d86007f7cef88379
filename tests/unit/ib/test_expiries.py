"""Kinds of expirations."""

from datetime import date, timedelta

from loaders.ib.contracts.expiries import (
    choose,
    classify,
    monthly,
    monthly_of_vix,
    quarterly,
)

ALL = ("monthly", "quarterly", "weekly")


def test_where_the_third_friday_is_a_holiday_the_session_before_counts() -> None:
    assert monthly(2025, 4) == date(2025, 4, 17)
    assert monthly(2026, 6) == date(2026, 6, 18)
    assert monthly(2027, 6) == date(2027, 6, 17)
    assert monthly(2026, 11) == date(2026, 11, 20)


def test_a_quarter_ends_with_its_last_session() -> None:
    assert quarterly(2026, 12) == date(2026, 12, 31)
    assert quarterly(2027, 6) == date(2027, 6, 30)
    assert quarterly(2026, 9) == date(2026, 9, 30)


def test_any_other_expiration_is_weekly() -> None:
    assert classify(date(2026, 11, 27)) == {"weekly"}
    assert classify(date(2026, 12, 18)) == {"monthly"}
    assert classify(date(2026, 12, 31)) == {"quarterly"}


def test_kinds_and_days_to_expiration_narrow_the_list() -> None:
    today = date(2026, 11, 19)
    listed = [today + timedelta(days=n) for n in (-1, 0, 1, 8, 29, 42)]
    assert choose(listed, today, kinds=ALL, max_dte=None) == listed[1:]
    monthly = choose(listed, today, kinds=("monthly",), max_dte=None)
    assert monthly == [date(2026, 11, 20), date(2026, 12, 18)]
    assert choose(listed, today, kinds=("monthly", "quarterly"), max_dte=40) == monthly


def test_an_index_lists_its_months_by_the_session_before() -> None:
    today = date(2026, 11, 2)
    days = [date(2026, 11, 19), date(2026, 12, 17), date(2027, 1, 14), date(2027, 6, 16)]
    assert choose(days, today, kinds=("monthly",), max_dte=None, index="SPX") == days
    # what trades on the third Friday has its month there
    weekly = [date(2026, 11, day) for day in (18, 19, 20, 27)] + [date(2026, 12, 31)]
    assert choose(weekly, today, kinds=("monthly",), max_dte=None, index="SPX") == [weekly[2]]
    both = choose(weekly, today, kinds=("monthly", "quarterly"), max_dte=None, index="XSP")
    assert both == [date(2026, 11, 20), date(2026, 12, 31)]
    # a stock has no such listings
    assert choose(days, today, kinds=("monthly",), max_dte=None) == []


def test_vix_expires_thirty_days_before_a_third_friday() -> None:
    assert monthly_of_vix(2026, 11) == date(2026, 11, 18)
    # the third Friday of June is a holiday
    assert monthly_of_vix(2026, 5) == date(2026, 5, 19)
    listed = [date(2026, 11, 10), date(2026, 11, 17), date(2026, 12, 15), date(2026, 12, 22)]
    chosen = choose(listed, date(2026, 11, 2), kinds=("monthly",), max_dte=None, index="VIX")
    assert chosen == [date(2026, 11, 17), date(2026, 12, 15)]
