"""Main contracts of servers that stand still, refuse, know less or revise: what is stored stays."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from loaders.errors import SettingsError
from loaders.sandbox.tq.world import World
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.test_mapping import END, EVENTS


@pytest.fixture
def small(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """One variety for two weeks, after its first load."""
    served = World(("SHFE.cu",), first=date(2025, 10, 13), end=END, ticks_per_day=200)

    def fill(dsn: str) -> None:
        with bench(served, dsn, tmp_path / "first") as made:
            assert made.load().status == "succeeded"

    with bench(served, filled_database("main contracts", fill), tmp_path) as made:
        yield made


def test_a_source_that_stands_still_fails_and_what_is_stored_stays(small: Bench) -> None:
    before = small.rows(EVENTS)
    result = small.load(clock=datetime(2025, 10, 28, 18))  # ours goes on, theirs does not
    assert result.status == "partial"
    failures = [text for task in result.tasks for text in task.failures.values()]
    # the other route is a table without bars: it cannot know
    assert len(failures) == 1
    assert "end 2025-10-24, though the trading day 2025-10-28 is over" in failures[0]
    assert small.rows(EVENTS) == before


def test_a_holiday_announced_late_takes_its_day_back_and_a_day_that_was_held_stays(
    small: Bench,
) -> None:
    """The day may be over by the next load, and is lost by none."""
    served, query = small.sandbox.world, "select trade_date from raw_tq.trading_day order by 1"
    known = [day for (day,) in small.rows(query)]
    soon, late = date(2025, 11, 3), date(2025, 11, 10)
    assert {soon, late} <= set(known)

    served.holidays = sorted({*served.holidays, late})
    assert small.load(datasets=("trading_day",)).status == "succeeded"
    assert [day for (day,) in small.rows(query)] == [day for day in known if day != late]

    served.holidays = sorted({*served.holidays, soon})
    after = datetime(2025, 11, 6, 18)
    assert small.load(clock=after, datasets=("trading_day",)).status == "succeeded"
    found = [day for (day,) in small.rows(query) if day <= known[-1]]
    assert found == [day for day in known if day not in (soon, late)]

    served.holidays = sorted({*served.holidays, date(2025, 11, 4)})
    result = small.load(clock=after, datasets=("trading_day",))
    assert [list(task.failures.values()) for task in result.tasks if task.failures] == [
        ["the trading calendar lost 1 days it had, the first 2025-11-04: what is stored is kept"]
    ]
    assert (date(2025, 11, 4),) in small.rows(query)


def test_wrong_credentials_end_the_load_at_once_and_are_in_no_record(small: Bench) -> None:
    small.sandbox.faults.add("auth:status=401")
    result = small.load()
    assert (result.status, result.exit_code) == ("failed", SettingsError.exit_code)
    assert "QUOTEMILL_TQ__PASSWORD" in result.hint
    told = f"{result} {small.heard.lines} {small.rows('select * from ops.ingestion_logs')}"
    assert "sandbox-password" not in told


def test_an_unknown_variety_fails_by_name_and_costs_no_other(small: Bench) -> None:
    result = small.load(keys=("SHFE.cu", "SHFE.zz"), datasets=("contract", "main_events"))
    assert result.status == "partial"
    failed = {key for task in result.tasks for key in task.failures}
    assert failed == {"SHFE.zz", "SHFE.zz backtest", "SHFE.zz history"}
    assert "SHFE.zz" in str(result.tasks)
    assert small.rows("select distinct variety from raw_tq.main_event") == [("SHFE.cu",)]


def test_an_empty_answer_is_a_failure_and_keeps_what_is_stored(small: Bench) -> None:
    before = small.rows(EVENTS)
    assert before
    small.sandbox.faults.add("no-mains:variety=SHFE.cu")
    result = small.load()
    assert result.status == "partial"
    assert {key for task in result.tasks for key in task.failures} == {
        "SHFE.cu backtest", "SHFE.cu history",
    }  # fmt: skip
    assert small.rows(EVENTS) == before


def test_a_revision_of_the_past_replaces_the_events_and_is_said(small: Bench) -> None:
    served = small.sandbox.world
    roll, contract = served.main_table("SHFE.cu")[1]
    before = served.previous(roll)
    assert served.first < before < END
    small.sandbox.faults.add(f"revise-mains:contract={contract}:by=-1")
    result = small.load(datasets=("main_events",))
    assert result.status == "succeeded"
    assert any(f"revised from {before}" in warning for warning in result.warnings)
    days = small.rows(
        "select distinct trading_day from raw_tq.main_event where contract = %s", contract
    )
    assert days == [(before,)]
