"""Tasks and slots of a time in New York."""

from datetime import date
from typing import Any

import pytest

from loaders.ib.capture.open_interest_date import asof_date
from loaders.ib.planning.timetable import Timetable
from loaders.ib.settings import IbSettings
from loaders.ib.slots import parse_slot
from quotemill.errors import NotDue, UsageError
from tests.unit.ib.gateways import new_york


def at(text: str, **ib: Any) -> Timetable:
    return Timetable(IbSettings(**ib), new_york(text))


@pytest.mark.parametrize(
    ("now", "label"),
    [
        ("2026-11-19T09:30:00", "09:30"),
        ("2026-11-19T10:01:59", "10:00"),
        ("2026-11-19T10:17:00", "10:00"),
        ("2026-11-19T16:01:59", "16:00"),
        ("2026-11-27T13:01:00", "13:00"),
    ],
)
def test_the_current_slot_is_the_newest_that_has_started(now: str, label: str) -> None:
    assert at(now).current_slot(by_clock=False).label == label


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ("2026-11-19T09:29:59", "the first is at 09:30"),
        ("2026-11-19T16:02:01", "has ended"),
        ("2026-11-26T10:00:00", "2026-11-26 is not a trading day of .* 2026-11-27"),
        ("2026-11-27T13:30:00", "has ended"),
        ("2026-11-21T12:00:00", "not a trading day"),
    ],
)
def test_out_of_hours_there_is_no_slot(now: str, why: str) -> None:
    with pytest.raises(NotDue, match=why):
        at(now).current_slot(by_clock=False)


def test_by_the_clock_a_slot_is_due_until_the_next_one_is_near() -> None:
    assert at("2026-11-19T10:27:59").current_slot(by_clock=True).label == "10:00"
    with pytest.raises(NotDue, match=r"10:28 .* 10:30$"):
        at("2026-11-19T10:28:00").current_slot(by_clock=True)
    narrow = {"slot_range": "09:30-10:00"}
    assert at("2026-11-19T10:29:59", **narrow).current_slot(by_clock=True).label == "10:00"
    with pytest.raises(NotDue, match="10:30"):
        at("2026-11-19T10:30:00", **narrow).current_slot(by_clock=True)


@pytest.mark.parametrize(
    ("slot", "over"),
    [
        ("2026-11-19T09:30:00", "2026-11-19T10:00:00"),
        ("2026-11-19T15:30:00", "2026-11-19T16:00:00"),
        ("2026-11-19T16:00:00", "2026-11-19T16:02:00"),
        ("2026-11-27T13:00:00", "2026-11-27T13:02:00"),
        # no slot of the calendar, and a day without a session
        ("2026-11-19T10:07:00", "2026-11-19T10:30:00"),
        ("2026-11-26T10:00:00", "2026-11-26T10:30:00"),
    ],
)
def test_a_slot_is_over_when_the_next_begins_or_the_session_ends(slot: str, over: str) -> None:
    assert at(slot).slot_ends(new_york(slot)) == new_york(over)


def test_a_named_slot_has_started_today() -> None:
    timetable = at("2026-11-19T10:10:00")
    assert timetable.named_slot("10:00").index == 1
    with pytest.raises(UsageError, match=r"--slot 10:15$") as caught:
        timetable.named_slot("10:15")
    assert "10:00, 10:30" in caught.value.hint
    with pytest.raises(UsageError, match=r"--slot 10:30 .* 10:10 "):
        timetable.named_slot("10:30")
    # a quote of 10:10 would be look-ahead in the slot of 09:30
    for now, over in (("10:10:00", "09:30"), ("17:00:00", "16:00")):
        with pytest.raises(UsageError, match=f"--slot {over} "):
            at(f"2026-11-19T{now}").named_slot(over)


def test_after_the_last_slot_of_the_range_there_is_none() -> None:
    narrow = at("2026-11-19T15:00:05", slot_range="09:30-12:00")
    with pytest.raises(NotDue, match="15:00"):
        narrow.current_slot(by_clock=False)


def test_the_remaining_slots_of_a_day() -> None:
    left = at("2026-11-19T14:31:00").remaining_slots()
    assert [slot.label for slot in left] == ["14:30", "15:00", "15:30", "16:00"]
    narrow = at("2026-11-19T09:00:00", slot_range="10:00-10:30").remaining_slots()
    assert [slot.label for slot in narrow] == ["10:00", "10:30"]
    with pytest.raises(NotDue):
        at("2026-11-19T16:03:00").remaining_slots()


def test_a_setting_adds_a_slot_before_the_close() -> None:
    added = at("2026-11-19T15:46:00", slot_before_close_enabled=True)
    slot = added.current_slot(by_clock=True)
    assert (slot.label, slot.index) == ("15:45", 14)
    assert [slot.label for slot in added.remaining_slots()] == ["15:45", "16:00"]
    assert added.named_slot("15:45") == parse_slot(slot.name) == slot
    # what it lacks is requested again until the close is near
    late = at("2026-11-19T15:56:00", slot_before_close_enabled=True)
    assert late.current_slot(by_clock=True) == slot
    early = at("2026-11-27T12:45:10", slot_before_close_enabled=True).current_slot(by_clock=True)
    assert (early.label, early.index) == ("12:45", 8)
    assert at("2026-11-19T15:46:00").current_slot(by_clock=False).label == "15:30"


def test_day_bars_are_final_two_hours_after_the_close() -> None:
    assert at("2026-11-20T18:00:00").finished_session().trade_date == date(2026, 11, 20)
    assert at("2026-11-22T08:00:00").finished_session().trade_date == date(2026, 11, 20)
    with pytest.raises(NotDue, match=r"2026-11-27 .* 15:00 "):
        at("2026-11-27T08:00:00").finished_session()


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-20T04:00:00", "2026-11-18"),  # not published yet
        ("2026-11-20T06:30:00", "2026-11-19"),
        ("2026-11-22T12:00:00", "2026-11-19"),  # Friday's comes on Monday
        ("2026-11-23T07:30:00", "2026-11-20"),
        ("2026-11-27T07:30:00", "2026-11-25"),  # over a holiday
    ],
)
def test_open_interest_is_that_before_the_newest_publication(now: str, day: str) -> None:
    assert f"{asof_date(new_york(now), '06:30')}" == day
