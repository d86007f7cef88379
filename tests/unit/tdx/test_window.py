"""Which days a load wants, and how many bars reach back to them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from loaders.engine.window import Window
from loaders.tdx.bars import records

DAYS = [d for d in (date(2025, 6, 2) + timedelta(days=i) for i in range(12)) if d.weekday() < 5]
FIRST, MONDAY, LAST = DAYS[0], DAYS[5], DAYS[-1]  # 2, 9 and 13 June


def window(due: date = LAST, today: date = LAST, **more: Any) -> Window:
    return Window(DAYS, due, overlap=3, closed=lambda _: False, today=today, **more)


@pytest.mark.parametrize(
    ("more", "cursor", "wanted"),
    [
        ({}, None, True),
        ({}, MONDAY, True),
        ({}, LAST, False),
        ({"until": MONDAY}, MONDAY, False),
        ({"until": MONDAY}, FIRST, True),
        ({"until": LAST + timedelta(days=30)}, LAST, False),
        ({"since": FIRST}, LAST, True),
        ({"from_start": True}, LAST, True),
    ],
)
def test_a_code_is_wanted_until_its_cursor_is_at_the_last_day(
    more: dict[str, Any], cursor: date | None, wanted: bool
) -> None:
    assert window(**more).wants(cursor) is wanted


@pytest.mark.parametrize(
    ("more", "cursor", "limit"),
    [
        ({}, MONDAY, 4 + 3 + 1),  # days since, the overlap, and one that is unfinished
        ({}, LAST, 0 + 3 + 1),
        ({}, None, None),
        ({"since": MONDAY}, LAST, 4 + 3 + 1),
        ({"since": LAST}, MONDAY, 4 + 3 + 1),
        ({"since": MONDAY}, None, 4 + 3 + 1),
        ({"from_start": True}, LAST, None),
    ],
)
def test_as_many_bars_are_asked_for_as_reach_back_over_the_overlap(
    more: dict[str, Any], cursor: date | None, limit: int | None
) -> None:
    assert window(**more).limit(cursor) == limit


@pytest.mark.parametrize(
    ("more", "newest"),
    [
        ({}, DAYS[-4:]),
        ({"due": DAYS[-2]}, DAYS[-5:-1]),
        ({"until": MONDAY}, DAYS[2:6]),
        ({"since": DAYS[-2]}, DAYS[-2:]),
        ({"since": MONDAY, "until": MONDAY}, [MONDAY]),
        ({"since": LAST + timedelta(days=1)}, []),
    ],
)
def test_the_newest_days_are_finished_and_lie_within_the_bounds(
    more: dict[str, Any], newest: list[date]
) -> None:
    assert window(**more).newest(4) == newest


@pytest.mark.parametrize(
    ("stored", "within"),
    [
        (False, DAYS[5:9]),
        (True, DAYS[:9]),  # a day left out beside stored ones would be a gap
    ],
)
def test_days_are_taken_within_both_bounds(stored: bool, within: list[date]) -> None:
    bounded = window(since=MONDAY, until=DAYS[8])
    assert [DAYS[i] for i in bounded.within(DAYS, stored=stored)] == within
    assert window().within(DAYS, stored=stored) == list(range(len(DAYS)))


@pytest.mark.parametrize(
    ("clock", "size"),
    [
        ((0, 0), 480),  # 08:00 in Shanghai: two finished days
        ((1, 25), 480),
        ((2, 0), 480 + 36),  # five minutes for the other clock, and the running one
        ((7, 4), 480 + 240),
    ],
)
def test_bars_of_the_running_session_are_counted_as_far_as_it_has_come(
    clock: tuple[int, int], size: int
) -> None:
    now = datetime(LAST.year, LAST.month, LAST.day, *clock, tzinfo=UTC)
    running = window(due=DAYS[-2])
    assert records.bars_back_to(running, DAYS[-3], "minute1", now) == size


def test_a_finished_day_is_counted_once() -> None:
    evening = datetime(2025, 6, 13, 8, 0, tzinfo=UTC)
    assert records.bars_back_to(window(), DAYS[-2], "minute1", evening) == 480
    assert records.bars_back_to(window(), DAYS[-2], "minute30", evening) == 16
