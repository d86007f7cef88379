"""Weeks and months: the day that names each, and what of an answer joins what is stored."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from fake_tdx import bar, bars_of

from loaders.engine.window import Window
from loaders.tdx.bars import records
from loaders.tdx.bars.long_bars import find_period_ends, select_bars
from loaders.tdx.bars.stored_bars import LostHistory, Stored, join_or_reload
from loaders.tdx.client.answers import Bars

# the weeks of 2025-06-16, -23 and -30; the last goes on into July
KNOWN = [d for d in (date(2025, 6, 16) + timedelta(days=i) for i in range(19)) if d.weekday() < 5]


def test_a_week_is_named_by_the_last_trading_day_of_the_market() -> None:
    days = [date(2025, 6, 18), date(2025, 6, 25), date(2025, 6, 30)]
    assert find_period_ends(days, "week", KNOWN) == [
        date(2025, 6, 20),
        date(2025, 6, 27),
        date(2025, 7, 4),
    ]


def test_a_holiday_at_the_end_of_a_week_moves_its_end() -> None:
    known = [day for day in KNOWN if day != date(2025, 6, 27)]
    assert find_period_ends([date(2025, 6, 25)], "week", known) == [date(2025, 6, 26)]


def test_a_month_is_named_by_its_last_trading_day() -> None:
    assert find_period_ends([date(2025, 6, 18)], "month", KNOWN) == [date(2025, 6, 30)]
    assert find_period_ends([date(2025, 7, 1)], "month", KNOWN) == [date(2025, 7, 4)]
    december = [date(2025, 12, 30), date(2025, 12, 31), date(2026, 1, 5)]
    assert find_period_ends([date(2025, 12, 30)], "month", december) == [date(2025, 12, 31)]


def test_of_two_bars_in_one_week_the_earlier_keeps_its_own_day() -> None:
    days = [date(2025, 6, 17), date(2025, 6, 19)]
    assert find_period_ends(days, "week", KNOWN) == [date(2025, 6, 17), date(2025, 6, 20)]


def test_before_the_first_known_day_a_bar_keeps_its_own_day() -> None:
    assert find_period_ends([date(1990, 12, 7)], "week", KNOWN) == [date(1990, 12, 7)]
    assert find_period_ends([], "week", KNOWN) == []


FRIDAYS = [date(2024, 10, 18), date(2024, 10, 25), date(2024, 11, 1), date(2024, 11, 8)]


def weeks(*days: date) -> Bars:
    """Fetched on 2024-11-08 at 16:00 in Shanghai."""
    return bars_of([bar(day) for day in days])


@pytest.mark.parametrize(
    ("answer", "cursor", "span", "limited", "readings"),
    [
        (FRIDAYS[2:], FRIDAYS[2], Stored(FRIDAYS[0], FRIDAYS[2]), True, 1),
        (FRIDAYS[3:], FRIDAYS[2], None, True, 2),  # a gap before the answer
        (FRIDAYS[3:], FRIDAYS[2], None, False, 1),
        (FRIDAYS[1:3], FRIDAYS[2], Stored(FRIDAYS[0], FRIDAYS[3]), True, 2),  # ends too early
        (FRIDAYS[1:], None, Stored(FRIDAYS[0], FRIDAYS[3]), False, 2),  # begins too late
        (FRIDAYS[1:], FRIDAYS[2], Stored(FRIDAYS[0], FRIDAYS[3]), True, 1),
    ],
)
def test_an_answer_that_does_not_join_what_is_stored_is_read_again_whole(
    answer: list[date], cursor: date | None, span: Stored | None, limited: bool, readings: int
) -> None:
    again = list[int]()

    async def all_bars() -> Bars:
        again.append(1)
        return weeks(*FRIDAYS)

    bars = asyncio.run(join_or_reload(weeks(*answer), all_bars, cursor, span, limited=limited))

    assert 1 + len(again) == readings
    assert bars.dates == (answer if readings == 1 else FRIDAYS)


def test_a_whole_series_without_stored_days_is_refused() -> None:
    async def all_bars() -> Bars:
        return weeks(*FRIDAYS[1:3])

    span = Stored(FRIDAYS[0], FRIDAYS[2])
    with pytest.raises(LostHistory, match=r"2024-10-25, .* 2024-10-18"):
        asyncio.run(join_or_reload(weeks(*FRIDAYS[1:3]), all_bars, None, span, limited=False))
    span = Stored(FRIDAYS[1], FRIDAYS[3])
    with pytest.raises(LostHistory, match=r"2024-11-01, .* 2024-11-08"):
        asyncio.run(join_or_reload(weeks(*FRIDAYS[1:3]), all_bars, None, span, limited=False))


@pytest.mark.parametrize(("stored", "landing"), [(True, FRIDAYS[:3]), (False, FRIDAYS[1:3])])
def test_since_begins_a_history_and_opens_no_gap_in_one(stored: bool, landing: list[date]) -> None:
    window = Window(FRIDAYS, FRIDAYS[-1], 10, lambda _: False, FRIDAYS[-1], FRIDAYS[1], FRIDAYS[2])
    result = select_bars("sh600000", weeks(*FRIDAYS), window, "week", FRIDAYS, stored=stored)
    assert records.days_in(result.rows) == landing
    assert result.cursor == FRIDAYS[2]


def test_a_week_is_final_once_its_last_trading_day_is_over() -> None:
    # on Friday at 16:00: a stock that stopped on Wednesday, and a month that goes on
    wednesday, known = weeks(date(2024, 11, 6)), [*FRIDAYS, date(2024, 11, 29)]
    window = Window(FRIDAYS, FRIDAYS[-1], 10, lambda _: False, FRIDAYS[-1])
    week, month = (
        records.table([select_bars("sh600000", wednesday, window, period, known, stored=False)])
        for period in ("week", "month")
    )
    assert week["is_final"].to_pylist() == [True]
    assert month["is_final"].to_pylist() == [False]
    assert week["bar_end"].to_pylist() == [datetime(2024, 11, 8, 7, 0, tzinfo=UTC)]
    assert week["trade_date"].to_pylist() == [date(2024, 11, 6)]
