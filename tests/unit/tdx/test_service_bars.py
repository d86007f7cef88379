"""The day that names a week or month, whatever day its newest bar carries."""

from datetime import date, timedelta

from loaders.tdx.long_bars import ends_of

# the weeks of 2025-06-16, -23 and -30; the last goes on into July
KNOWN = [d for d in (date(2025, 6, 16) + timedelta(days=i) for i in range(19)) if d.weekday() < 5]


def test_a_week_is_named_by_the_last_trading_day_of_the_market() -> None:
    days = [date(2025, 6, 18), date(2025, 6, 25), date(2025, 6, 30)]
    assert ends_of(days, "week", KNOWN) == [date(2025, 6, 20), date(2025, 6, 27), date(2025, 7, 4)]


def test_a_holiday_at_the_end_of_a_week_moves_its_end() -> None:
    known = [day for day in KNOWN if day != date(2025, 6, 27)]
    assert ends_of([date(2025, 6, 25)], "week", known) == [date(2025, 6, 26)]


def test_a_month_is_named_by_its_last_trading_day() -> None:
    assert ends_of([date(2025, 6, 18)], "month", KNOWN) == [date(2025, 6, 30)]
    assert ends_of([date(2025, 7, 1)], "month", KNOWN) == [date(2025, 7, 4)]
    december = [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 5)]
    assert ends_of([date(2025, 12, 30)], "month", december) == [date(2025, 12, 31)]


def test_of_two_bars_in_one_week_the_earlier_keeps_its_own_day() -> None:
    days = [date(2025, 6, 17), date(2025, 6, 19)]
    assert ends_of(days, "week", KNOWN) == [date(2025, 6, 17), date(2025, 6, 20)]


def test_before_the_first_known_day_a_bar_keeps_its_own_day() -> None:
    assert ends_of([date(1990, 12, 7)], "week", KNOWN) == [date(1990, 12, 7)]
    assert ends_of([], "week", KNOWN) == []
