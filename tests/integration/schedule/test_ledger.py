"""ops.schedules and ops.runs: what is started, and who may start it again."""

import signal
import threading
from dataclasses import replace
from datetime import datetime, timedelta

from loaders import log
from orchestration.run import history
from orchestration.schedule import due, ledger
from orchestration.schedule.due import Decision
from orchestration.schedule.timing import parse_rule
from quotemill.errors import UpstreamError
from tests.integration.schedule.conftest import DAILY, DAY, FIVE, FRIDAY, HOUR, MINUTE, Book


def test_a_start_is_taken_once(book: Book) -> None:
    assert book.ran(DAILY, FRIDAY - HOUR) is None
    assert book.ran(DAILY, FRIDAY - timedelta(seconds=1)) is None
    assert book.ran(DAILY, FRIDAY) == FRIDAY
    assert book.ran(DAILY, FRIDAY) is None
    assert book.ran(DAILY, FRIDAY + HOUR) is None
    row = book.row(DAILY)
    assert (row.last_run_at, row.last_finished_at, row.last_exit_code) == (FRIDAY, FRIDAY, 0)
    assert row.next_run_at == FRIDAY + 3 * DAY
    assert book.ran(DAILY, FRIDAY + 2 * DAY) is None
    assert book.ran(DAILY, FRIDAY + 3 * DAY) == FRIDAY + 3 * DAY


def test_a_run_whose_source_was_away_or_that_was_killed_is_made_again(book: Book) -> None:
    job, away = replace(DAILY, retry=60), UpstreamError.exit_code
    assert book.ran(job, FRIDAY) == FRIDAY
    monday = FRIDAY + 3 * DAY
    assert book.take(job, monday).start == monday
    book.end(job, away, monday + HOUR)
    assert book.row(job).next_run_at == monday + 2 * HOUR
    assert book.take(job, monday + HOUR).start is None
    again = book.take(job, monday + 2 * HOUR)
    assert (again.start, again.why) == (monday + 2 * HOUR, "its source was unreachable")
    assert book.row(job).next_run_at == monday + DAY
    book.end(job, 128 + signal.SIGKILL, monday + 2 * HOUR)
    killed = book.take(job, monday + 3 * HOUR)
    assert (killed.start, killed.why) == (monday + 3 * HOUR, "it was killed")
    # another failure needs a person, and is not made again
    book.end(job, 6, monday + 3 * HOUR)
    assert book.row(job).next_run_at == monday + DAY
    assert book.ran(job, monday + 5 * HOUR) is None


def test_the_next_start_replaces_one_that_is_made_again(book: Book) -> None:
    job = replace(DAILY, retry=60)
    assert book.take(job, FRIDAY).start == FRIDAY
    book.end(job, UpstreamError.exit_code, FRIDAY + MINUTE)
    following = FRIDAY + 3 * DAY
    assert book.ran(job, following) == following  # the machine was off until then
    assert book.row(job).next_run_at == following + DAY
    # one that was left out as too late replaces it too
    late = replace(job, name="late", catch_up=False)
    assert book.take(late, FRIDAY).start == FRIDAY
    book.end(late, UpstreamError.exit_code, FRIDAY + MINUTE)
    assert book.ran(late, following + HOUR) is None
    assert book.row(late).next_run_at == following + DAY
    # and so does turning it off
    assert book.take(late, following + DAY).start == following + DAY
    book.end(late, UpstreamError.exit_code, following + DAY + MINUTE)
    book.do(ledger.disable, late, following + DAY + MINUTE)
    book.do(ledger.enable, late, following + DAY + HOUR + HOUR)
    assert book.ran(late, following + DAY + HOUR + HOUR) is None
    assert book.row(late).next_run_at == following + 2 * DAY
    # and without the setting nothing is made again
    plain = replace(DAILY, name="plain")
    assert book.take(plain, FRIDAY).start == FRIDAY
    book.end(plain, UpstreamError.exit_code, FRIDAY + MINUTE)
    assert book.row(plain).next_run_at == following


def test_the_first_timer_of_an_unknown_job_starts_it(book: Book) -> None:
    assert book.ran(DAILY, FRIDAY + timedelta(minutes=9)) == FRIDAY
    other = replace(DAILY, name="other")
    assert book.ran(other, FRIDAY + timedelta(minutes=11)) is None
    assert book.row(other).next_run_at == FRIDAY + 3 * DAY


def test_concurrent_claims_of_a_start_give_it_once(book: Book) -> None:
    job = replace(DAILY, retry=60)
    assert book.ran(job, FRIDAY) == FRIDAY
    monday = FRIDAY + 3 * DAY

    def claim_at_once(now: datetime) -> list[datetime]:
        gate, claims = threading.Barrier(4), list[Decision]()

        def claim_once() -> None:
            run_id = log.new_run_id()
            alive = history.take_lock(book.warehouse, run_id)
            assert alive is not None
            with alive:
                gate.wait()
                claims.append(book.do(ledger.claim_start, job, now, run_id=run_id))
                gate.wait()

        threads = [threading.Thread(target=claim_once) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [taken.start for taken in claims if taken.start]

    assert claim_at_once(monday) == [monday]
    assert (book.runs(job), book.row(job).next_run_at) == (2, monday + DAY)
    # so it is with a run that was cut off, whose repeat leaves the next start as it is
    assert claim_at_once(monday + HOUR) == [monday]
    # and with one that is made again
    book.end(job, UpstreamError.exit_code, monday + HOUR)
    assert claim_at_once(monday + 2 * HOUR) == [monday + 2 * HOUR]
    assert book.runs(job) == 4


def test_missed_starts_are_caught_up_once_or_not_at_all(book: Book) -> None:
    book.ran(DAILY, FRIDAY - HOUR)
    book.ran(FIVE, FRIDAY - 3 * HOUR)  # at 14:30, which is a start
    assert book.ran(FIVE, FRIDAY) is None
    later = FRIDAY + 4 * DAY + 3 * HOUR  # Tuesday, after Friday's, Monday's and Tuesday's
    taken = book.take(DAILY, later)
    assert (taken.start, " 2 " in taken.why) == (FRIDAY + 4 * DAY, True)
    assert book.row(FIVE).missed_at == FRIDAY - 2.5 * HOUR


def test_another_rule_counts_from_now(book: Book) -> None:
    book.ran(DAILY, FRIDAY - HOUR)
    earlier = replace(DAILY, timing=parse_rule("daily 09:00", "Asia/Shanghai", "XSHG"))
    assert book.ran(earlier, FRIDAY + HOUR) is None
    assert book.row(earlier).next_run_at == FRIDAY + 3 * DAY - timedelta(hours=8.5)


def test_a_disabled_job_starts_nothing_and_loses_its_queued_start(book: Book) -> None:
    queueing = replace(FIVE, on_overlap="queue")
    start_at = FRIDAY - 3 * HOUR
    following = start_at + timedelta(minutes=5)
    with book.alive(queueing, book.take(queueing, start_at)) as run:
        assert book.take(queueing, following).why.startswith("queued: ")
        assert book.row(queueing).waits(following)
        run.end(0, at=following)
    assert book.row(queueing).next_run_at == following
    assert book.do(ledger.disable, queueing, following)
    assert not book.do(ledger.disable, queueing, following)
    assert book.take(queueing, following).start is None
    assert book.row(queueing).next_run_at is None
    back = following + timedelta(minutes=12)
    book.do(ledger.enable, queueing, back)
    assert book.row(queueing).next_run_at is None  # by hand: a scheduler's check promises it
    taken = book.take(queueing, back)
    assert taken.start is None  # starts skipped while it was disabled are not caught up
    assert book.row(queueing).next_run_at == start_at + timedelta(minutes=20)


def test_a_start_during_a_run_is_skipped_or_queued(book: Book) -> None:
    start_at = FRIDAY - 3 * HOUR
    for on_overlap, then in (("skip", None), ("queue", start_at + timedelta(minutes=10))):
        job = replace(FIVE, name=on_overlap, on_overlap=on_overlap, catch_up=True)
        assert book.take(job, start_at).start == start_at
        end = start_at + timedelta(minutes=11)
        book.end(job, 6, end)
        assert book.take(job, end).start == then
        assert book.row(job).next_run_at == start_at + timedelta(minutes=15)
        assert book.row(job).last_exit_code == (6 if then is None else None)


def test_a_run_whose_source_was_away_is_made_again_after_a_skipped_start(book: Book) -> None:
    job = replace(FIVE, timing=parse_rule("daily 14:30 14:40 20:00", "Asia/Shanghai"), retry=30)
    start_at = FRIDAY - 3 * HOUR
    assert book.take(job, start_at).start == start_at
    end = start_at + timedelta(minutes=11)
    book.end(job, UpstreamError.exit_code, end)
    assert book.take(job, end).why == "skipped: it was still running"
    assert book.row(job).next_run_at == end + timedelta(minutes=30)


def test_a_queued_start_without_catch_up_may_wait_long_but_not_be_late(book: Book) -> None:
    """What it waits for ends twenty minutes after it: from then on it may be as late as any."""
    start_at = FRIDAY - 3 * HOUR
    second, end = start_at + timedelta(minutes=5), start_at + timedelta(minutes=9)
    for name, after, then in (("in time", MINUTE, second), ("late", 2.5 * MINUTE, None)):
        timing = parse_rule("daily 14:30 14:35 20:00", "Asia/Shanghai")
        job = replace(FIVE, name=name, on_overlap="queue", timing=timing)
        with book.alive(job, book.take(job, start_at)) as run:
            assert book.take(job, end).why.startswith("queued: ")
            assert not book.row(job).is_overdue(end + DAY, HOUR)
            run.end(0, at=end)
        assert book.take(job, end + after).start == then
        row = book.row(job)
        assert row.missed_at == (None if then else second)
        assert row.next_run_at == FRIDAY + 2.5 * HOUR


def test_an_interrupted_run_is_started_again_once(book: Book) -> None:
    book.take(DAILY, FRIDAY)
    again = book.take(DAILY, FRIDAY + HOUR)
    assert (again.start, again.why) == (FRIDAY, "its last run was interrupted")
    assert book.take(DAILY, FRIDAY + 2 * HOUR).start is None
    monday = FRIDAY + 3 * DAY
    assert book.take(DAILY, monday).start == monday
    assert book.take(DAILY, monday + HOUR).start is None  # the run before was cut off too
    assert book.ran(DAILY, monday + DAY) == monday + DAY
    assert book.take(DAILY, monday + 2 * DAY).start == monday + 2 * DAY
    assert book.take(DAILY, monday + 2 * DAY + HOUR).why == again.why


def test_an_interrupted_run_does_not_count_as_running(book: Book) -> None:
    job, start_at = replace(FIVE, on_overlap="skip"), FRIDAY - 3 * HOUR
    taken = book.take(job, start_at)
    with book.alive(job, taken) as run:
        following = start_at + timedelta(minutes=5)
        assert book.row(job).is_running
        assert book.take(job, following).why.startswith("skipped: ")
        assert book.row(job).next_run_at == start_at + timedelta(minutes=10)
        run.end(0, at=following)
    # no end was recorded, as when the machine fails
    with book.warehouse.connect() as conn:
        conn.execute("update ops.runs set finished_at = null")
    due = start_at + timedelta(minutes=10)
    assert book.take(job, due).start == due


def test_without_catch_up_an_interrupted_run_restarts_only_in_time(book: Book) -> None:
    then, minute = FRIDAY - 3 * HOUR, timedelta(minutes=1)
    book.take(FIVE, then)
    assert book.take(FIVE, then + minute).start == then
    assert book.take(FIVE, then + 2 * minute).start is None
    book.take(FIVE, then + 5 * minute)
    assert book.take(FIVE, then + 8 * minute).start is None


def test_disabling_a_job_ends_the_restart_of_its_interrupted_run(book: Book) -> None:
    book.take(DAILY, FRIDAY)
    book.do(ledger.disable, DAILY, FRIDAY + HOUR)
    book.do(ledger.enable, DAILY, FRIDAY + 21 * DAY - HOUR)
    assert book.take(DAILY, FRIDAY + 21 * DAY - HOUR).start is None
    assert book.row(DAILY).last_exit_code == 130
    assert book.take(DAILY, FRIDAY + 21 * DAY).start == FRIDAY + 21 * DAY
    assert book.take(DAILY, FRIDAY + 21 * DAY + HOUR).why.endswith(" interrupted")


def test_disabling_a_job_does_not_end_the_run_that_is_alive(book: Book) -> None:
    with book.alive(DAILY, book.take(DAILY, FRIDAY)) as run:
        book.do(ledger.disable, DAILY, FRIDAY + MINUTE)
        book.do(ledger.enable, DAILY, FRIDAY + 2 * MINUTE)
        assert book.row(DAILY).is_running
        run.end(0, at=FRIDAY + HOUR)
    assert book.row(DAILY).last_exit_code == 0


def test_a_clock_that_was_ahead_leaves_no_job_without_a_start(book: Book) -> None:
    book.ran(DAILY, FRIDAY - HOUR)
    book.ran(FIVE, FRIDAY - HOUR)
    ahead = FRIDAY + 70 * DAY
    assert book.ran(DAILY, ahead) is not None
    assert book.ran(FIVE, ahead) is None
    assert book.row(FIVE).missed_at is not None
    for job, following in ((DAILY, FRIDAY), (FIVE, FRIDAY + 3 * DAY - 8 * HOUR)):
        now = FRIDAY - HOUR
        assert due.may_be_due(book.row(job, now), job, now)
        assert book.take(job, now).start is None
        assert book.row(job).next_run_at == following
    assert book.ran(DAILY, FRIDAY) == FRIDAY
    assert book.ran(DAILY, FRIDAY + HOUR) is None
    # within the tolerance nothing starts twice
    assert book.ran(DAILY, FRIDAY - 5 * MINUTE) is None


def test_a_run_that_a_clock_ahead_has_dated_still_runs(book: Book) -> None:
    ahead = FRIDAY + 3 * DAY
    with book.alive(DAILY, book.take(DAILY, ahead)):
        assert book.take(DAILY, FRIDAY).start is None
        assert book.take(DAILY, FRIDAY, forced=True, is_check=False).start is None
    assert book.runs(DAILY) == 1
