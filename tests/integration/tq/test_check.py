"""`loaders check tq` and `--dry-run`: licence, what may be loaded, what it takes."""

from datetime import date, datetime, timedelta

import pytest

from loaders.engine.check import Check
from loaders.engine.request import LoadRequest
from loaders.tq import landed
from loaders.tq.check import check
from loaders.tq.estimate import estimate_due, preview, read_measured
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench
from tests.integration.tq.worlds import DAYS, END, TRADED

NOW = datetime(END.year, END.month, END.day, 20, tzinfo=SHANGHAI)


def checked(made: Bench) -> Check:
    return check(made.settings, NOW)


@pytest.mark.long
def test_a_check_says_what_the_licence_allows_and_what_is_due(mapped: Bench) -> None:
    answer = checked(mapped)
    assert answer.status == "ok"
    assert "professional licence (sandbox) until " in answer.text
    assert f"{DAYS} days of ticks are due" in answer.text
    assert answer.figures["licence_days_left"] == 365
    assert answer.figures["estimate"]["days"] == DAYS
    # a variety that was added since is of a backfill too
    tq = mapped.settings.tq.model_copy(update={"varieties": ["SHFE.cu", "SHFE.au"]})
    more = mapped.settings.model_copy(update={"tq": tq})
    warehouse = open_warehouse(mapped.settings)
    due = estimate_due(more, warehouse, TRADED)
    assert due is not None
    assert due.days == DAYS + len(TRADED)
    shown = preview(more, warehouse, LoadRequest("tq"), None)
    assert "SHFE.au: not in the schedule yet" in str(shown)
    mapped.sandbox.faults.add("licence:days=5:type=trial")
    mapped.sandbox.faults.add("permission:feature=tq_dl")
    answer = checked(mapped)
    assert "free licence (trial) until" in answer.text
    assert "days of ticks are due" not in answer.text
    no_history, ends = answer.figures["warnings"]
    assert "only the newest 8,000 ticks" in no_history
    assert "in 5 days" in ends
    mapped.sandbox.faults.clear()
    lacks_days = mapped.sandbox.faults.add("licence:days=10:without=daysleft")
    answer = checked(mapped)
    left = answer.figures["licence_ends"] - END
    assert answer.figures["licence_days_left"] == left.days
    mapped.sandbox.faults.remove(lacks_days)
    mapped.sandbox.faults.add("licence:status=502")
    assert "the servers do not say when it ends" in checked(mapped).text


def test_a_new_variety_is_counted_from_the_first_day_of_earlier_loads(mapped: Bench) -> None:
    """A home has one window: a later tq.start, or none, changes nothing of what a load takes."""

    def first(start: date | None) -> date:
        warehouse = open_warehouse(mapped.settings)
        return warehouse.ask(lambda conn: landed.window_start(conn, start, END))

    assert [first(TRADED[-2]), first(None)] == [TRADED[0]] * 2
    assert first(date(2025, 1, 2)) == date(2025, 1, 2)
    mapped.execute("delete from raw_tq.main_harvest")
    assert [first(TRADED[-2]), first(None)] == [TRADED[-2], END - timedelta(days=365)]


def test_an_evening_that_waited_for_the_servers_slows_no_estimate(mapped: Bench) -> None:
    mapped.execute(
        "insert into ops.ingestion_job_tasks "
        "(job_id, task_no, dataset, status, done, started_at, finished_at) "
        "select max(job_id), 900 + n, 'ticks', 'succeeded', "
        "case n when 1 then 30 else 1 end, now(), "
        "now() + case n when 1 then interval '60 s' else interval '30 min' end "
        "from ops.ingestion_jobs cross join generate_series(1, 20) as n group by n"
    )
    measured = open_warehouse(mapped.settings).ask(read_measured)
    assert measured.seconds_per_day == pytest.approx(2.0)


@pytest.mark.long
def test_a_dry_run_lists_the_days_that_a_load_would_fetch(mapped: Bench) -> None:
    warehouse = open_warehouse(mapped.settings)
    mapped.sandbox.log.clear()
    shown = preview(mapped.settings, warehouse, LoadRequest("tq"), None)
    assert shown.lines[0] == f"SHFE.cu: {DAYS} days from {TRADED[0]} to {END}"
    assert shown.detail["estimate"]["days"] == DAYS
    since = LoadRequest("tq", since=END - timedelta(days=1))
    assert preview(mapped.settings, warehouse, since, None).detail["days"] == {"SHFE.cu": 2}
    assert not mapped.sandbox.log
    assert mapped.load("ticks").status == "succeeded"
    done = preview(mapped.settings, warehouse, LoadRequest("tq"), None)
    assert done.detail["days"] == {}
    assert done.lines == (f"the schedule ends {END}", "no day of ticks is due")
    assert (
        preview(mapped.settings, None, LoadRequest("tq"), None).lines[0].startswith("no schedule")
    )
