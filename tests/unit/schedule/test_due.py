"""Jobs that checks at any times start.

Never twice; never late where that is of no use; caught up where it is.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestration.schedule import due
from orchestration.schedule.due import Decision
from orchestration.schedule.jobs import Job, Row
from orchestration.schedule.timing import Timing, parse_rule

BEGIN = datetime(2026, 10, 31, 5, tzinfo=UTC)  # a day before New York's clock goes back
WHENS = ("daily 01:30", "every 30m in session", "cron */20 * * * *", "weekly sat 09:30")
MINUTES = st.lists(st.integers(0, 6000), min_size=1, max_size=40)


def timing_of(when: str) -> Timing:
    rule = parse_rule(when, "America/New_York", "XNYS" if "session" in when else "")
    assert rule is not None
    return rule


def looked(
    when: str, looks: list[datetime], *, catch_up: bool, since: datetime = BEGIN
) -> list[tuple[datetime, Decision]]:
    """Decisions at some times, one after the other, as a ledger records them; no run takes long."""
    timing = timing_of(when)
    job = Job("job", ("x", "y"), timing, timing.zone.key, None, "skip", 1, catch_up)
    row, decisions = Row("job", timing=job.rule, next_run_at=timing.next_after(since)), []
    for now in looks:
        decision = due.decide_start(job, row, now)
        assert (decision.start is None) or due.may_be_due(row, job, now)
        row = replace(row, next_run_at=decision.next_run_at, missed_at=decision.missed_at)
        if decision.start is not None:
            row = replace(row, last_run_at=now, last_finished_at=now, last_exit_code=0)
        decisions.append((now, decision))
    return decisions


def started(decisions: list[tuple[datetime, Decision]]) -> list[datetime]:
    return [decision.start for _, decision in decisions if decision.start]


@given(st.sampled_from(WHENS), st.integers(0, 3800))
def test_checks_each_minute_make_every_start_once_and_in_time(when: str, minutes: int) -> None:
    begin = BEGIN + timedelta(minutes=minutes)
    looks = [begin + timedelta(minutes=n) for n in range(200)]
    decisions = looked(when, looks, catch_up=False, since=begin)
    assert started(decisions) == list(timing_of(when).starts(begin, looks[-1]))
    for now, decision in decisions:
        if decision.start:
            late = now - decision.start
            assert timedelta() <= late < timedelta(minutes=1)
            assert (decision.why, decision.missed_at) == ("", None)


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
    looks = sorted(BEGIN + timedelta(minutes=n) for n in minutes)
    for now, decision in looked(when, looks, catch_up=True):
        come = list(timing.starts(through, now))
        assert decision.start == (come[-1] if come else None)
        if len(come) > 1:
            assert f" {len(come) - 1} " in decision.why
        assert decision.missed_at is None
        assert decision.next_run_at == timing.next_after(now)
        through = now


@given(st.sampled_from(WHENS), MINUTES)
def test_starts_of_no_use_later_are_skipped_and_on_record(when: str, minutes: list[int]) -> None:
    timing, through, missed_at = timing_of(when), BEGIN, None
    looks = sorted(BEGIN + timedelta(minutes=n) for n in minutes)
    for now, decision in looked(when, looks, catch_up=False):
        come = list(timing.starts(through, now))
        in_time = bool(come) and now - come[-1] <= due.GRACE
        assert decision.start == (come[-1] if in_time else None)
        late = [at for at in come if at < now - due.GRACE and at != decision.start]
        missed_at = max(late, default=missed_at)
        assert decision.missed_at == missed_at
        through = now
