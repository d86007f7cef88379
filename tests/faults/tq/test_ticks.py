"""Days of ticks that are empty, short or doubled are never called complete."""

import re
from datetime import date, datetime

import pytest

from loaders.engine.result import LoadResult
from loaders.tq.check import check
from loaders.tq.next_steps import list_next_steps
from loaders.tq.tick_days import recent_ticks
from loaders.tq.tick_days.manifest_facts import collect_facts
from loaders.tq.tick_days.rules import RECHECK_AFTER
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench, count_days
from tests.integration.tq.test_ticks import asked_days, days, stored
from tests.integration.tq.worlds import DAYS, END, NEW, OLD, ROLL, SERIES, TRADED

NO_DATA = "ticks.ghtrader_no_data_days_v2"


def failures(result: LoadResult) -> dict[str, str]:
    return {key: text for task in result.tasks for key, text in task.failures.items()}


def test_a_traded_day_without_ticks_is_on_record_once_it_is_old(mapped: Bench) -> None:
    mapped.sandbox.faults.add("empty:contract=SHFE.cu2511:day=2025-10-15")
    mapped.asked()
    result = mapped.load("ticks")
    assert (result.status, result.total("skipped")) == ("partial", 0)
    assert asked_days(mapped) == DAYS
    assert " until 2025-11-14" in str(failures(result))
    old = datetime(2025, 11, 14, 18)
    silent = mapped.load("ticks", clock=old)  # no tick of another day in this load
    assert re.search(r" 5 times \(2 ", str(failures(silent)))
    assert mapped.rows("select * from raw_tq.no_data_day") == []
    mapped.execute(
        "delete from ticks.ghtrader_symbol_day_index_v2 where trading_day = '2025-10-14'"
    )
    result = mapped.load("ticks", clock=old)
    assert (result.status, result.total("skipped")) == ("succeeded", 1)
    [(contract, day, reason)] = mapped.rows(
        "select contract, trading_day, reason from raw_tq.no_data_day"
    )
    assert (contract, day) == ("SHFE.cu2511", date(2025, 10, 15))
    assert "the day bar has" in reason
    # as of that load, whatever the clock says
    assert list_next_steps(mapped.settings, open_warehouse(mapped.settings)) == []
    mapped.asked()
    assert mapped.load("ticks", clock=old).tasks == ()
    assert mapped.asked() == []
    mapped.sandbox.faults.clear()
    later = old + RECHECK_AFTER
    assert mapped.load("ticks", clock=later).status == "succeeded"
    assert ("SHFE.cu2511", 15, "complete") in days(mapped)
    for table in ("raw_tq.no_data_day", NO_DATA):
        assert mapped.rows(f"select status from {table}") == [("superseded",)]
    varieties = collect_facts(mapped.settings, open_warehouse(mapped.settings))["varieties"]
    [variety] = varieties.values()  # type: ignore[attr-defined]
    assert [segment["days_without_data"] for segment in variety["segments"]] == [0, 0]
    assert mapped.load("ticks", clock=later).tasks == ()


def test_records_of_a_load_that_ended_early_land_with_the_next(mapped: Bench) -> None:
    mapped.sandbox.faults.add("empty:contract=SHFE.cu2511:day=2025-10-15")
    mapped.execute("update raw_tq.contract_daily set volume = 0 where trade_date = '2025-10-15'")
    until = date(2025, 10, 16)
    assert mapped.load("ticks", until=until, datasets=("ticks",)).status == "succeeded"
    landed = "select trading_day, status from raw_tq.no_data_day"
    assert mapped.rows(landed) == []
    mapped.sandbox.faults.add("ws:status=502")
    assert mapped.load("ticks").exit_code != 0
    assert mapped.rows(landed) == [(date(2025, 10, 15), "no_data")]


def test_emptiness_of_all_days_of_a_contract_is_no_evidence(mapped: Bench) -> None:
    mapped.sandbox.faults.add(f"empty:contract={NEW}")
    result = mapped.load("ticks")
    assert result.status == "partial"
    assert set(failures(result)) == {f"{SERIES} {NEW} {day}" for day in TRADED if day >= ROLL}
    assert " until 2025-11-21" in str(failures(result))
    assert mapped.rows("select * from raw_tq.no_data_day") == []
    assert "days of ticks" in str(list_next_steps(mapped.settings, open_warehouse(mapped.settings)))
    # and after a month of that, and four more loads, it is
    later = datetime(2025, 10, 22, 18) + RECHECK_AFTER
    mapped.execute("update ticks.ghtrader_no_data_days_v2 set attempts = 4")
    result = mapped.load("ticks", clock=later, since=END)
    assert (result.status, result.total("skipped")) == ("succeeded", 1)
    [(day, attempts)] = mapped.rows("select trading_day, attempts from raw_tq.no_data_day")
    assert (day, attempts) == (END, 5)


def test_the_newest_day_read_again_takes_no_smaller_answer(mapped: Bench) -> None:
    assert mapped.load("ticks").status == "succeeded"
    mapped.sandbox.faults.add(f"short:contract={NEW}:day=2025-10-22:keep=60")
    [refused] = failures(mapped.load("ticks", options={"date": "last"})).values()
    assert "--accept-loss`" in refused
    named = {"datasets": ("ticks",), "options": {"date": "last"}, "accept_loss": True}
    assert mapped.load("ticks", **named).status == "succeeded"
    assert (NEW, 22, "short") in days(mapped)


def test_ticks_that_come_twice_or_late_are_stored_once(mapped: Bench) -> None:
    mapped.sandbox.faults.add("duplicate:contract=SHFE.cu2511:day=2025-10-15")
    mapped.sandbox.faults.add("late:contract=SHFE.cu2511:day=2025-10-16")
    result = mapped.load("ticks", until=date(2025, 10, 16))
    assert (result.status, result.exit_code) == ("succeeded", 0)
    assert any(f"{result.total('rows_rejected'):,} rejected" in text for text in result.summary())
    for day in (date(2025, 10, 15), date(2025, 10, 16)):
        expected = mapped.sandbox.tick_table("SHFE.cu2511", day)
        ticks = stored(mapped, "SHFE.cu2511", day)
        assert ticks["datetime_ns"].to_pylist() == sorted(expected["datetime_ns"].to_pylist())
    [(rules,)] = mapped.rows("select count(distinct rule) from raw_tq.rejected_row")
    assert rules == 1


def test_without_the_permission_only_the_newest_ticks_land_marked(mapped: Bench) -> None:
    mapped.sandbox.faults.add("permission:feature=tq_dl")
    result = mapped.load("ticks")
    assert (result.status, result.exit_code, result.total("skipped")) == ("succeeded", 0, 0)
    [said] = result.warnings
    assert "(tq_dl" in said
    assert re.search(rf" 1 of .* {TRADED[0]}\) ", said)
    routes = "select trading_day, source_route, rows from raw_tq.symbol_day order by 1"
    landed = [(day, "recent_ticks", 150) for day in TRADED[1:]]
    assert mapped.rows(routes) == landed
    [line] = list_next_steps(mapped.settings, open_warehouse(mapped.settings))
    assert re.match("1 day .* SHFE.cu due ", line)
    may = "select value from ops.settings where key = 'tq_history'"  # for futures.tick_coverage
    assert mapped.rows(may) == [("false",)]
    checked = check(mapped.settings, datetime(2025, 10, 22))
    assert "tq_dl" in str(checked.figures["warnings"])
    # another stamp, or a copy that is made again, says nothing of how the ticks came
    mapped.execute("update futures.main_schedule set schedule_hash = repeat('f', 16)")
    assert mapped.load("ticks").status == "succeeded"
    assert mapped.rows("select distinct schedule_hash from raw_tq.symbol_day") == [("f" * 16,)]
    assert mapped.rows(routes) == landed


def test_days_that_an_account_may_not_read_are_due_without_alerts(
    mapped: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_ticks, "NEWEST", 200)  # a day and a part of one
    monkeypatch.setattr(
        recent_ticks, "REACH", 2
    )  # reaches back to no day of the contract before the roll
    mapped.sandbox.faults.add("permission:feature=tq_dl")
    assert count_days(mapped.load("ticks")) == 1
    assert days(mapped) == [(NEW, END.day, "complete")]
    for _ in range(2):
        mapped.asked()
        result = mapped.load("ticks")
        assert (result.status, result.exit_code, result.tasks) == ("succeeded", 0, ())
        assert f"Of {DAYS - 1} due days" in str(result.warnings)
        charts = mapped.asked('"duration": 0', '"aid": "set_chart"', NEW)
        assert len(charts) == 1
        assert mapped.rows("select * from raw_tq.no_data_day") == []
    named = mapped.load("ticks", keys=(f"{SERIES} {OLD} {TRADED[0]}",))
    assert (named.status, named.total("skipped")) == ("succeeded", 1)
    # with the permission all of them come
    mapped.sandbox.faults.clear()
    assert count_days(mapped.load("ticks")) == DAYS - 1
    assert mapped.rows("select value from ops.settings where key = 'tq_history'") == [("true",)]
    assert list_next_steps(mapped.settings, open_warehouse(mapped.settings)) == []
