"""Which expirations are standard."""

from datetime import date, timedelta

from loaders.ib.contracts.expiries import chosen, kinds_of, monthly, quarterly

ALL = ("monthly", "quarterly", "weekly")


def test_a_third_friday_that_is_a_holiday_gives_way_to_the_session_before() -> None:
    assert monthly(2025, 4) == date(2025, 4, 17)
    assert monthly(2026, 6) == date(2026, 6, 18)
    assert monthly(2027, 6) == date(2027, 6, 17)
    assert monthly(2026, 11) == date(2026, 11, 20)


def test_a_quarter_ends_with_its_last_session() -> None:
    assert quarterly(2026, 12) == date(2026, 12, 31)
    assert quarterly(2027, 6) == date(2027, 6, 30)
    assert quarterly(2026, 9) == date(2026, 9, 30)


def test_what_is_neither_is_weekly() -> None:
    assert kinds_of(date(2026, 11, 27)) == {"weekly"}
    assert kinds_of(date(2026, 12, 18)) == {"monthly"}
    assert kinds_of(date(2026, 12, 31)) == {"quarterly"}


def test_the_kinds_and_the_days_to_expiration_narrow_what_is_listed() -> None:
    today = date(2026, 11, 19)
    listed = [today + timedelta(days=n) for n in (-1, 0, 1, 8, 29, 42)]
    assert chosen(listed, today, ALL, None) == listed[1:]
    assert chosen(listed, today, ("monthly",), None) == [date(2026, 11, 20), date(2026, 12, 18)]
    assert chosen(listed, today, ("monthly", "quarterly"), 40) == chosen(
        listed, today, ("monthly",), None
    )
