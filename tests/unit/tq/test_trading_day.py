"""Clock → trading day, held against an oracle that walks the clock hour by hour."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.tq.datasets import trading_day as trading_day_dataset
from loaders.tq.trading_day import (
    Session,
    bounds,
    close_of,
    has_night,
    sessions_on,
    spans,
    trading_day_of,
)
from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError

FIRST = date(2025, 9, 1)
NIGHT = Session("night", 0, 21 * 3600, 25 * 3600)
DAY = [Session("day", 0, 9 * 3600, 36900), Session("day", 1, 37800, 54000)]


def days(holidays: set[date], count: int = 60) -> list[date]:
    every = (FIRST + timedelta(days=n) for n in range(count))
    return [day for day in every if day.weekday() < 5 and day not in holidays]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


OCTOBER = {date(2025, 10, n) for n in range(1, 9)}
CALENDAR = days(OCTOBER)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("2025-09-02T09:00:00", date(2025, 9, 2)),
        ("2025-09-02T17:59:59.999999", date(2025, 9, 2)),
        ("2025-09-02T18:00:00", date(2025, 9, 3)),
        ("2025-09-03T00:59:00", date(2025, 9, 3)),
        ("2025-09-05T21:00:00", date(2025, 9, 8)),  # Friday night
        ("2025-09-06T00:30:00", date(2025, 9, 8)),  # Saturday, after midnight
        ("2025-09-30T14:00:00", date(2025, 9, 30)),
        ("2025-09-30T21:00:00", date(2025, 10, 9)),  # the eve of a holiday
        ("2025-10-03T10:00:00", date(2025, 10, 9)),
    ],
)
def test_a_clock_belongs_to_the_trading_day_whose_sessions_hold_it(
    clock: str, expected: date
) -> None:
    assert trading_day_of(at(clock), CALENDAR) == expected
    assert trading_day_of(at(clock).astimezone(UTC), CALENDAR) == expected


def test_after_the_last_day_nothing_is_known() -> None:
    assert trading_day_of(at("2025-10-30T18:00:00"), CALENDAR) is None
    assert trading_day_of(at("2025-10-30T17:59:00"), CALENDAR) == CALENDAR[-1]
    assert trading_day_of(at("2025-09-02T09:00:00"), []) is None


def oracle(clock: datetime, calendar: list[date]) -> date | None:
    """Go on from evening to evening, to the first that ends a trading day."""
    evening = datetime.combine(clock.date(), time(18), SHANGHAI)
    while evening <= clock or evening.date() not in calendar:
        evening += timedelta(days=1)
        if evening.date() > calendar[-1]:
            return None
    return evening.date()


@given(
    minutes=st.integers(0, 65 * 24 * 60),
    holidays=st.sets(st.integers(0, 59).map(lambda n: FIRST + timedelta(days=n)), max_size=25),
)
def test_every_minute_of_every_calendar_agrees_with_the_oracle(
    minutes: int, holidays: set[date]
) -> None:
    calendar = days(holidays)
    clock = datetime.combine(FIRST, time(), SHANGHAI) + timedelta(minutes=minutes)
    day = trading_day_of(clock, calendar)
    assert day == oracle(clock, calendar)
    if day and day != calendar[0]:
        start, end = bounds(day, calendar)
        assert start <= clock < end


@given(holidays=st.sets(st.integers(0, 59).map(lambda n: FIRST + timedelta(days=n)), max_size=25))
def test_bounds_of_neighbours_touch_and_hold_their_sessions(holidays: set[date]) -> None:
    calendar = days(holidays)
    for before, day in pairwise(calendar[1:]):
        assert bounds(before, calendar)[1] == bounds(day, calendar)[0]
        start, end = bounds(day, calendar)
        held = spans(day, [*DAY, NIGHT], calendar)
        assert len(held) == 2 + has_night(day, calendar)
        assert held == sorted(held)
        assert all(start <= s < e <= end for s, e in held)
        assert {trading_day_of(s, calendar) for s, _ in held} == {day}


def test_no_night_is_held_before_a_public_holiday() -> None:
    assert has_night(date(2025, 9, 8), CALENDAR)  # over a weekend
    assert not has_night(date(2025, 10, 9), CALENDAR)
    assert not has_night(FIRST, CALENDAR)  # what was before is not known
    [night, *_] = spans(date(2025, 9, 8), [*DAY, NIGHT], CALENDAR)
    assert night == (at("2025-09-05T21:00"), at("2025-09-06T01:00"))
    assert (
        close_of(date(2025, 9, 8), DAY) == close_of(date(2025, 9, 8), []) == at("2025-09-08T15:00")
    )


def test_a_day_without_one_before_it_has_no_bounds() -> None:
    for day in (FIRST, date(2025, 10, 1), date(2026, 1, 1)):
        with pytest.raises(DataQualityError, match=f"{day}"):
            bounds(day, CALENDAR)


def test_the_oldest_hours_stand_for_all_time_before_them() -> None:
    versions = {date(2025, 9, 8): DAY, date(2025, 9, 15): [*DAY, NIGHT]}
    assert sessions_on(date(2020, 1, 2), versions) == DAY
    assert sessions_on(date(2025, 9, 12), versions) == DAY
    assert sessions_on(date(2025, 9, 15), versions) == [*DAY, NIGHT]
    assert sessions_on(date(2025, 9, 15), {}) == ()


@pytest.mark.parametrize(
    ("today", "ends"),
    [
        (date(2025, 12, 20), False),
        (date(2025, 12, 31), False),  # the last day that the list knows
        (date(2026, 1, 1), True),
        (date(2026, 1, 20), True),
    ],
)
def test_a_calendar_that_was_not_renewed_fails_from_its_first_missing_day(
    today: date, ends: bool
) -> None:
    known = [day for n in range(62) if (day := date(2025, 11, 1) + timedelta(n)).year == 2025]
    ctx: Any = SimpleNamespace(
        first_day=date(2025, 11, 3),
        today=today,
        ask=lambda _: [],
        harvest=SimpleNamespace(calendar=lambda first, last: [d for d in known if d <= last]),
        lineage={"fetched_at": None, "is_final": True},
    )
    outcome = trading_day_dataset._load_calendar(ctx, "CN")
    assert (outcome.failure is not None) == ends
    assert len(outcome.rows or ()) == len([day for day in known if day <= today + timedelta(31)])
