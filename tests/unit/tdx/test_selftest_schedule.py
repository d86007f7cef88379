"""When a schedule of self-tests is due: cron text in exchange time."""

from datetime import datetime

import pytest

from loaders.errors import SettingsError
from loaders.tdx.selftest.schedule import Schedule
from loaders.trading_time import SHANGHAI


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def due(cron: str, last: str | None, now: str) -> bool:
    return Schedule("s", cron, {}, at(last) if last else None).is_due(at(now))


def test_a_schedule_that_never_ran_is_due() -> None:
    assert due("30 9 * * sat", None, "2026-01-07T12:00")


def test_a_schedule_is_due_once_its_time_has_passed_since_the_last_run() -> None:
    ran = "2026-01-03T09:30"  # a Saturday
    assert not due("30 9 * * sat", ran, "2026-01-03T10:00")
    assert not due("30 9 * * sat", ran, "2026-01-10T09:29")
    assert due("30 9 * * sat", ran, "2026-01-10T09:30")
    assert due("30 9 * * sat", ran, "2026-02-01T00:00")


def test_the_time_is_that_of_the_exchange() -> None:
    from datetime import UTC

    ran = datetime(2026, 1, 3, 2, 0, tzinfo=UTC)
    schedule = Schedule("s", "30 9 * * sat", {}, ran)
    assert not schedule.is_due(datetime(2026, 1, 10, 1, 29, tzinfo=UTC))
    assert schedule.is_due(datetime(2026, 1, 10, 1, 30, tzinfo=UTC))


@pytest.mark.parametrize("saturday", ["6", "sat", "SAT"])
def test_weekdays_are_numbered_as_cron_does(saturday: str) -> None:
    assert due(f"30 9 * * {saturday}", "2026-01-09T12:00", "2026-01-10T09:30")
    assert not due(f"30 9 * * {saturday}", "2026-01-10T12:00", "2026-01-11T09:30")


def test_ranges_and_steps_of_weekdays_are_understood() -> None:
    assert due("0 16 * * 1-5", "2026-01-08T16:00", "2026-01-09T16:00")
    assert not due("0 16 * * 1-5", "2026-01-09T16:00", "2026-01-11T23:00")
    assert due("0 16 */2 * *", "2026-01-08T16:00", "2026-01-09T16:00")
    assert due("0 16 * * 0", "2026-01-10T16:00", "2026-01-11T16:00")


@pytest.mark.parametrize("cron", ["", "nightly", "30 9 * *", "61 9 * * sat", "30 9 * * someday"])
def test_a_text_that_is_no_cron_is_refused_with_the_schedule_named(cron: str) -> None:
    with pytest.raises(SettingsError, match="weekly"):
        Schedule("weekly", cron).is_due(at("2026-01-10T09:30"))


def test_options_are_numbers_or_refused() -> None:
    assert Schedule("s", "", {"bulk_timeout": 60}).number("bulk_timeout", 30) == 60.0
    assert Schedule("s", "").number("bulk_timeout", 30) == 30.0
    with pytest.raises(SettingsError, match="bulk_timeout"):
        Schedule("s", "", {"bulk_timeout": "long"}).number("bulk_timeout", 30)
