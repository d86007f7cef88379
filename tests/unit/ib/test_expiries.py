"""Kinds of expirations."""

from datetime import date, timedelta

from loaders.ib.contracts.expiries import choose, classify, monthly, quarterly

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
