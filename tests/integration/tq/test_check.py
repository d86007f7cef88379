"""`loaders check tq` and `--dry-run`: licence, what may be loaded, what is due."""

import re
from datetime import date, datetime, timedelta

import pytest

from loaders.check import Check
from loaders.engine.request import LoadRequest
from loaders.tq import landed
from loaders.tq.check import check
from loaders.tq.next_steps import preview
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench
from tests.integration.tq.worlds import DAYS, END, TRADED

NOW = datetime(END.year, END.month, END.day, 20, tzinfo=SHANGHAI)


def checked(made: Bench) -> Check:
    return check(made.settings, NOW)


@pytest.mark.long
def test_a_check_says_what_the_licence_allows(mapped: Bench) -> None:
    answer = checked(mapped)
    assert answer.verdict == "ok"
    assert re.search(r"\bprofessional .* \(sandbox\) ", answer.sentence)
    assert answer.figures["licence_days_left"] == 365
    mapped.sandbox.faults.add("licence:days=5:type=trial")
    mapped.sandbox.faults.add("permission:feature=tq_dl")
    answer = checked(mapped)
    assert re.search(r"\bfree .* \(trial\) ", answer.sentence)
    no_history, ends = answer.figures["warnings"]
    assert " 8,000 ticks " in no_history
    assert "in 5 days" in ends
    mapped.sandbox.faults.clear()
    lacks_days = mapped.sandbox.faults.add("licence:days=10:without=daysleft")
    answer = checked(mapped)
    left = answer.figures["licence_ends"] - END
    assert answer.figures["licence_days_left"] == left.days
    mapped.sandbox.faults.remove(lacks_days)
    mapped.sandbox.faults.add("licence:status=502")
    assert "do not show when it ends" in checked(mapped).sentence


def test_a_new_variety_is_counted_from_the_first_day_of_earlier_loads(mapped: Bench) -> None:
    """A home has one window: a later tq.start, or none, changes nothing of what a load takes."""

    def first(start: date | None) -> date:
        warehouse = open_warehouse(mapped.settings)
        return warehouse.ask(lambda conn: landed.window_start(conn, start, END))

    assert [first(TRADED[-2]), first(None)] == [TRADED[0]] * 2
    assert first(date(2025, 1, 2)) == date(2025, 1, 2)
    mapped.execute("delete from raw_tq.main_harvest")
    assert [first(TRADED[-2]), first(None)] == [TRADED[-2], END - timedelta(days=365)]


@pytest.mark.long
def test_a_dry_run_lists_the_days_that_a_load_would_fetch(mapped: Bench) -> None:
    warehouse = open_warehouse(mapped.settings)
    mapped.sandbox.log.clear()
    wanted = LoadRequest("tq")
    shown = preview(mapped.settings, warehouse, wanted, None)
    assert re.match(f"SHFE.cu: {DAYS} days .* {TRADED[0]} .* {END}$", shown.lines[0])
    assert shown.lines[-1].startswith(f"{DAYS} days ")
    # a variety that was added since is in no schedule
    tq = mapped.settings.tq.model_copy(update={"varieties": ["SHFE.cu", "SHFE.au"]})
    more = mapped.settings.model_copy(update={"tq": tq})
    assert "SHFE.au: " in str(preview(more, warehouse, wanted, None))
    since = LoadRequest("tq", since=END - timedelta(days=1))
    assert preview(mapped.settings, warehouse, since, None).detail["days"] == {"SHFE.cu": 2}
    assert not mapped.sandbox.log
    assert mapped.load("ticks").status == "succeeded"
    done = preview(mapped.settings, warehouse, LoadRequest("tq"), None)
    assert done.detail["days"] == {}
    assert [f" {END}" in line for line in done.lines] == [True, False]
    assert (
        preview(mapped.settings, None, LoadRequest("tq"), None).lines[0].startswith("no schedule")
    )
