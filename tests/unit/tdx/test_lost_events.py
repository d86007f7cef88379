"""Which stored events a newer version of a source lacks."""

from datetime import date, timedelta

import pytest

from loaders.tdx.lost_events import NEAR, Event, find_lost

DAY = date(2020, 6, 30)


def event(days: int = 0, cash: int = 1, code: str = "sz000001", category: int = 1) -> Event:
    return Event(code, DAY + timedelta(days), category, (cash, 0, 0, 0))


@pytest.mark.parametrize(
    ("stored", "present", "lost"),
    [
        ([event(), event(90)], [event(90), event()], []),
        ([event()], [event(1)], []),  # moved by a day
        ([event()], [event(-NEAR.days)], []),
        ([event()], [event(NEAR.days + 1)], [event()]),  # the same numbers, a later dividend's
        ([event()], [event(1, cash=2)], [event()]),
        ([event()], [event(cash=2)], []),  # corrected on its day
        ([event()], [event(category=5)], [event()]),
        ([event()], [event(code="sz000002")], [event()]),
        ([event(), event()], [event()], [event()]),  # of equal ones each counts
        ([event(), event()], [event(1)], [event()]),  # one moves to a day
        ([event(), event(365)], [event(365), event(730)], [event()]),  # a stored day is not new
    ],
)
def test_an_event_is_lost_unless_it_is_there_corrected_or_moved(
    stored: list[Event], present: list[Event], lost: list[Event]
) -> None:
    assert find_lost(stored, present) == lost
