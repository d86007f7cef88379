"""Jobs started, turned on or withdrawn by hand, and what tells that nothing starts them."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from loaders.settings import load_settings
from orchestration.checks import gather
from orchestration.schedule import due, jobs, ledger
from orchestration.schedule.jobs import Job
from orchestration.schedule.settings import JobSettings
from quotemill.warehouse.postgres import Warehouse
from tests.integration.schedule.conftest import DAILY, DAY, FIVE, FRIDAY, HOUR, MINUTE, Book


def test_a_manual_run_needs_no_due_start_and_changes_none(book: Book) -> None:
    book.ran(DAILY, FRIDAY - HOUR)
    book.do(ledger.disable, DAILY, FRIDAY - HOUR)
    assert book.take(DAILY, FRIDAY - HOUR, forced=True, is_check=False).start == FRIDAY - HOUR
    book.end(DAILY, 0, FRIDAY - HOUR)
    book.do(ledger.enable, DAILY, FRIDAY - HOUR)
    assert book.ran(DAILY, FRIDAY) == FRIDAY


def test_a_run_by_hand_promises_no_start_where_nothing_schedules(book: Book) -> None:
    assert book.take(DAILY, FRIDAY - HOUR, forced=True, is_check=False).start == FRIDAY - HOUR
    # its own start passed meanwhile
    book.end(DAILY, 0, FRIDAY + HOUR)
    row = book.row(DAILY)
    assert (row.next_run_at, row.last_exit_code, row.missed_at) == (None, 0, None)
    assert not ledger.list_overdue([row], {DAILY.name: DAILY}, FRIDAY + 30 * DAY)

    # a scheduler that is installed later counts from then on
    later = FRIDAY + 2 * DAY
    assert due.may_be_due(row, DAILY, later)
    assert book.ran(DAILY, later) is None
    assert book.row(DAILY).next_run_at == FRIDAY + 3 * DAY
    # and its promise stays in further runs by hand
    book.take(DAILY, later + HOUR, forced=True, is_check=False)
    assert book.row(DAILY).next_run_at == FRIDAY + 3 * DAY


def test_no_start_is_promised_by_enabling_a_job_by_hand(book: Book) -> None:
    book.do(ledger.enable, DAILY, FRIDAY - HOUR)
    assert book.row(DAILY).next_run_at is None
    book.do(ledger.disable, DAILY, FRIDAY - HOUR)
    book.do(ledger.enable, DAILY, FRIDAY - HOUR)
    row = book.row(DAILY)
    assert (row.is_enabled, row.next_run_at) == (True, None)
    assert not ledger.list_overdue([row], {DAILY.name: DAILY}, FRIDAY + 30 * DAY)
    assert due.may_be_due(row, DAILY, FRIDAY)
    assert book.ran(DAILY, FRIDAY) == FRIDAY  # by a scheduler that is there


def test_withdrawn_starts_are_promised_again_by_who_goes_on_checking(book: Book) -> None:
    def withdraw() -> list[str]:
        jobs = ["daily", "queueing", "elsewhere"]
        return [row.name for row in book.warehouse.ask(lambda c: ledger.withdraw_starts(c, jobs))]

    queueing = replace(FIVE, name="queueing", on_overlap="queue")
    elsewhere = replace(DAILY, name="elsewhere")
    start_at = FRIDAY - 3 * HOUR
    for job in (DAILY, queueing):
        book.ran(job, start_at)
    book.ran(elsewhere, FRIDAY - DAY)
    with book.warehouse.connect() as conn:
        conn.execute("update ops.runs set host = 'beta' where schedule = 'elsewhere'")
    assert withdraw() == ["elsewhere"]
    assert book.row(DAILY).next_run_at is None
    assert not ledger.list_overdue([book.row(DAILY)], {"daily": DAILY}, FRIDAY + 30 * DAY)
    assert book.row(elsewhere).next_run_at == FRIDAY

    # after a run that ends then nothing more is started
    assert book.take(queueing, start_at + 6 * MINUTE, is_check=False).start is None
    assert book.row(queueing).next_run_at is None
    # another scheduler, such as `serve`: no start is lost
    assert due.may_be_due(book.row(DAILY), DAILY, FRIDAY)
    assert book.ran(DAILY, FRIDAY) == FRIDAY
    assert book.row(DAILY).next_run_at == FRIDAY + 3 * DAY


def test_nothing_is_withdrawn_where_the_table_is_gone(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn:
        conn.execute("drop table ops.schedules cascade")
        assert ledger.withdraw_starts(conn, ["daily"]) == []
        conn.rollback()


def test_may_be_due_is_true_for_jobs_with_a_start_to_make(book: Book) -> None:
    def waits(job: Job, now: datetime) -> bool:
        return due.may_be_due(book.row(job), job, now)

    assert due.may_be_due(None, DAILY, FRIDAY)
    book.ran(DAILY, FRIDAY - HOUR)
    assert not waits(DAILY, FRIDAY - HOUR)
    assert waits(DAILY, FRIDAY)
    assert waits(replace(DAILY, timing=None), FRIDAY - HOUR)
    book.take(DAILY, FRIDAY)
    assert waits(DAILY, FRIDAY + HOUR)  # it was interrupted
    book.end(DAILY, 0, FRIDAY + HOUR)
    assert not waits(DAILY, FRIDAY + HOUR)


def test_a_job_that_nothing_starts_is_reported_by_the_doctor(
    warehouse: Warehouse, book: Book
) -> None:
    settings = load_settings(
        {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}, warehouse_url=warehouse.url
    )

    def check_result(now: datetime, **more: Any) -> tuple[str, str]:
        changed = settings.model_copy(update=more)
        [check] = [c for c in gather.examine(changed, now) if c.name == "schedule"]
        return check.verdict, check.sentence

    idle = check_result(FRIDAY)
    assert (idle[0], " automatically" in idle[1]) == ("ok", True)
    daily = jobs.read_jobs(settings)["tdx_daily"]
    book.take(daily, FRIDAY - HOUR, forced=True, is_check=False)
    assert check_result(FRIDAY) == idle
    book.ran(daily, FRIDAY - HOUR)
    assert check_result(FRIDAY + timedelta(minutes=29)) == (
        "ok",
        f"{len(jobs.read_jobs(settings))} jobs",
    )
    late = check_result(FRIDAY + timedelta(minutes=31))
    assert late[0] == "warn"
    assert late[1].endswith(" tdx_daily of 2026-11-20 17:30 Shanghai")
    book.do(ledger.disable, daily, FRIDAY + HOUR)
    assert check_result(FRIDAY + HOUR)[0] == "ok"
    wrong = JobSettings(when="at five")
    assert check_result(FRIDAY, schedule={"tdx_daily": wrong})[0] == "fail"
