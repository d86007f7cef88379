"""`loaders check tq` and `--dry-run`: licence, what may be loaded, what it takes."""

from datetime import datetime, timedelta

from loaders.engine.check import Check
from loaders.engine.request import LoadRequest
from loaders.tq.check import check
from loaders.tq.estimate import estimate_due, preview
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench
from tests.integration.tq.worlds import DAYS, END, TRADED

NOW = datetime(END.year, END.month, END.day, 20, tzinfo=SHANGHAI)


def checked(made: Bench) -> Check:
    return check(made.settings, NOW)


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
    mapped.sandbox.faults.add("licence:status=502")
    assert "the servers do not say when it ends" in checked(mapped).text


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
    assert preview(mapped.settings, warehouse, LoadRequest("tq"), None).detail["days"] == {}
    assert (
        preview(mapped.settings, None, LoadRequest("tq"), None).lines[0].startswith("no schedule")
    )
