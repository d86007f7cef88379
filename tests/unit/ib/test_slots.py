"""Sessions and slots, across daylight-saving changes, early closes and holidays."""

import itertools
import sys
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.ib import slots as module
from loaders.ib.slots import (
    NEW_YORK,
    latest_slot,
    parse_slot,
    require_session,
    session_after,
    session_before,
    session_on,
    sessions_between,
    within,
)

EARLY = ["2025-07-03", "2025-11-28", "2025-12-24", "2026-11-27", "2026-12-24", "2027-11-26"]


def utc(day: str, index: int) -> str:
    session = require_session(date.fromisoformat(day))
    return f"{session.slots[index].at:%H:%M}"


@given(st.dates(date(2025, 1, 1), date(2027, 12, 31)))
def test_slots_are_every_half_hour_from_the_open_to_the_close(day: date) -> None:
    session = session_on(day)
    if session is None:
        assert session_after(day).trade_date > day > session_before(day).trade_date
        return
    slots = session.slots
    assert len(slots) == (8 if session.is_early_close else 14)
    assert [slot.index for slot in slots] == list(range(len(slots)))
    assert (slots[0].label, slots[-1].at) == ("09:30", session.close_at)
    assert {b.at - a.at for a, b in itertools.pairwise(slots)} == {timedelta(minutes=30)}
    assert {slot.at.tzinfo for slot in slots} == {UTC}
    assert [parse_slot(slot.name) for slot in slots] == list(slots)
    assert sorted(slot.name for slot in slots) == [slot.name for slot in slots]


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 30), timezones=st.just(UTC))
    | st.sampled_from([slot.at for slot in require_session(date(2026, 11, 27)).slots])
)
def test_the_slot_of_a_time_is_the_newest_that_has_started(at: datetime) -> None:
    day = at.astimezone(NEW_YORK).date()
    session = session_on(day)
    slots = session.slots if session else ()
    started = [slot for slot in slots if slot.at <= at]
    assert latest_slot(slots, at) == max(started, key=lambda s: s.at, default=None)


def test_the_clocks_of_new_york_move_the_slots_of_utc() -> None:
    assert (utc("2026-03-06", 0), utc("2026-03-09", 0)) == ("14:30", "13:30")
    assert (utc("2026-10-30", -1), utc("2026-11-02", -1)) == ("20:00", "21:00")


def test_early_closes_and_holidays_are_those_of_the_exchange() -> None:
    sessions = sessions_between(date(2025, 1, 1), date(2027, 12, 31))
    assert [f"{s.trade_date}" for s in sessions if s.is_early_close] == EARLY
    assert {f"{s.close_at.astimezone(NEW_YORK):%H:%M}" for s in sessions} == {"13:00", "16:00"}
    for holiday in ("2026-04-03", "2026-06-19", "2026-07-03", "2026-11-26"):
        assert session_on(date.fromisoformat(holiday)) is None


def test_both_ends_of_a_slot_range_are_included() -> None:
    session = require_session(date(2026, 11, 19))
    last = within(session.slots, (time(15, 30), time(16, 0)))
    assert [slot.label for slot in last] == ["15:30", "16:00"]
    assert within(session.slots, None) == list(session.slots)


@pytest.mark.parametrize("name", ["2026-11-19T15:10Z", "2026-11-26T15:00Z", "2026-11-19"])
def test_an_unknown_slot_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        parse_slot(name)


def test_without_a_calendar_every_weekday_is_a_guessed_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)
    module._year.cache_clear()
    try:
        thanksgiving = session_on(date(2026, 11, 26))
        assert thanksgiving is not None
        assert (thanksgiving.is_guess, len(thanksgiving.slots)) == (True, 14)
        assert session_on(date(2026, 11, 28)) is None
    finally:
        module._year.cache_clear()
