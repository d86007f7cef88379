"""Jobs that checks at any times start.

Never twice; never late where that is of no use; caught up where it is.
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.schedule import due
from orchestration.schedule.jobs import Row
from orchestration.schedule.timing import Timing, parse_rule
from quotemill.errors import SettingsError

BEGIN = datetime(2026, 10, 31, 5, tzinfo=UTC)  # a day before New York's clock goes back
WHENS = ("daily 01:30", "every 30m in session", "cron */20 * * * *", "weekly sat 09:30")
MINUTES = st.lists(st.integers(0, 6000), min_size=1, max_size=40)


def timing_of(when: str) -> Timing:
    rule = parse_rule(when, "America/New_York", "XNYS" if "session" in when else "")
    assert rule is not None
    return rule


def looked(
    when: str, looks: list[datetime], *, catch_up: bool, since: datetime = BEGIN
) -> list[tuple[datetime, due.Verdict]]:
    """Verdicts at some times, one after the other, as a ledger records them."""
    timing, through, verdicts = timing_of(when), since, []
    for now in looks:
        verdict = due.find_due_start(timing, through, now, catch_up=catch_up)
        through = verdict.through
        verdicts.append((now, verdict))
    return verdicts


def started(verdicts: list[tuple[datetime, due.Verdict]]) -> list[datetime]:
    return [verdict.start for _, verdict in verdicts if verdict.start]


@settings(max_examples=12)
@given(st.sampled_from(WHENS), st.integers(0, 3800))
def test_checks_each_minute_make_every_start_once_and_in_time(when: str, minutes: int) -> None:
    begin = BEGIN + timedelta(minutes=minutes)
    looks = [begin + timedelta(minutes=n) for n in range(200)]
    verdicts = looked(when, looks, catch_up=False, since=begin)
    assert started(verdicts) == list(timing_of(when).starts(begin, looks[-1]))
    for now, verdict in verdicts:
        if verdict.start:
            late = now - verdict.start
            assert timedelta() <= late < timedelta(minutes=1)
            assert verdict.missed == 0


@given(st.sampled_from(WHENS), MINUTES, st.booleans())
def test_a_clock_that_jumps_starts_nothing_twice(
    when: str, minutes: list[int], catch_up: bool
) -> None:
    """Back and forth within a day: what was started before the jump has been."""
    looks = [BEGIN + timedelta(minutes=n % 1400) for n in minutes]
    made = started(looked(when, looks, catch_up=catch_up))
    assert made == sorted(set(made))


@given(st.sampled_from(WHENS), MINUTES)
def test_after_a_sleep_one_run_stands_for_all_that_was_missed(
    when: str, minutes: list[int]
) -> None:
    timing, through = timing_of(when), BEGIN
    for now in (BEGIN + timedelta(minutes=n) for n in sorted(minutes)):
        come = list(timing.starts(through, now))
        verdict = due.find_due_start(timing, through, now, catch_up=True)
        assert verdict.start == (come[-1] if come else None)
        assert verdict.missed == max(len(come) - 1, 0)
        assert verdict.missed_at is None
        through = verdict.through
        assert not list(timing.starts(through, now))


@given(st.sampled_from(WHENS), MINUTES)
def test_starts_of_no_use_later_are_skipped_and_counted(when: str, minutes: list[int]) -> None:
    looks = sorted(BEGIN + timedelta(minutes=n) for n in minutes)
    verdicts = looked(when, looks, catch_up=False)
    for now, verdict in verdicts:
        if verdict.start:
            assert now - verdict.start <= due.GRACE
    passed = sum(verdict.missed + bool(verdict.start) for _, verdict in verdicts)
    assert passed == len(list(timing_of(when).starts(BEGIN, looks[-1])))
    missed_at = [verdict.missed_at for _, verdict in verdicts if verdict.missed]
    assert all(at is not None for at in missed_at)


def test_a_clock_behind_the_last_start_on_record_is_refused() -> None:
    rows = [Row("daily", due_through=BEGIN), Row("five", due_through=BEGIN - due.TOLERANCE)]
    due.check_clock([*rows, Row("new")], BEGIN - due.TOLERANCE)
    with pytest.raises(SettingsError, match="starts up to 2026-10-31 05:00 UTC are on") as refused:
        due.check_clock(rows, BEGIN - due.TOLERANCE - timedelta(seconds=1))
    assert refused.value.hint.endswith("quotemill schedule enable JOB, for daily")
