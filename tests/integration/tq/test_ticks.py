"""The lane of ticks against the real client, the simulated servers and the warehouse as the store."""

from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from loaders.engine.load import LoadResult
from loaders.ticks.choice import open_store
from loaders.ticks.postgres import PostgresStore
from loaders.ticks.store import IndexRow, StoreError
from loaders.ticks.tables import DAY_INDEX
from loaders.tq import backlog
from loaders.tq.due import due
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench, build_schedule
from tests.integration.tq.worlds import (
    BEFORE_ROLL,
    DAYS,
    END,
    INDEX,
    NEW,
    NEXT,
    OLD,
    ROLL,
    SERIES,
    TRADED,
)


def days(made: Bench) -> list[tuple[Any, ...]]:
    return [(contract, day.day, status) for contract, day, *_, status in made.rows(INDEX)]


def asked_days(made: Bench) -> int:
    """Ranges of ticks that the client began to ask for since the last call."""
    return len(made.asked('"duration": 0', "focus_datetime"))


def stored(made: Bench, contract: str, day: date) -> Any:
    store = open_store(made.settings, open_warehouse(made.settings))
    with closing(store):
        return store.read_day(SERIES, contract, day)


def failures(result: LoadResult) -> dict[str, str]:
    return {key: text for task in result.tasks for key, text in task.failures.items()}


def test_every_tick_of_the_schedule_is_stored_as_the_servers_have_it(made: Bench) -> None:
    for day, contract in made.sandbox.schedule("SHFE.cu"):
        assert contract is not None
        expected, found = made.sandbox.tick_table(contract, day), stored(made, contract, day)
        assert found.num_rows == expected.num_rows == 150
        for name in expected.column_names:
            assert found[name].to_pylist() == expected[name].to_pylist(), name
    expected_days = [(OLD if day < ROLL else NEW, day.day, "complete") for day in TRADED]
    assert days(made) == expected_days
    assert OLD != NEW
    assert due(made.settings, open_warehouse(made.settings)) == []


def test_a_route_that_the_schedule_is_not_built_of_extends_nothing(made: Bench) -> None:
    reach = "update raw_tq.main_harvest set last_day = last_day {} 7 where route = '{}'"
    made.execute(reach.format("+", "history"))
    assert due(made.settings, open_warehouse(made.settings)) == []
    made.execute(reach.format("-", "history") + "; " + reach.format("+", "backtest"))
    [extend] = due(made.settings, open_warehouse(made.settings))
    assert "extends the schedule" in extend
    made.execute(reach.format("-", "backtest"))


def test_a_second_run_asks_for_nothing(made: Bench) -> None:
    made.asked()
    result = made.load("ticks")
    assert (result.status, result.tasks) == ("succeeded", ())
    assert made.asked() == []


def test_another_day_costs_a_day_and_stamps_nothing(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.rows(INDEX)
    made.sandbox.set_clock(NEXT)
    assert made.load(datasets=("main_events", "contract_daily")).status == "succeeded"
    [extend] = due(made.settings, open_warehouse(made.settings))
    assert "extends the schedule of SHFE.cu" in extend
    build_schedule(made)
    with monkeypatch.context() as patch:  # what is complete is not read
        patch.setattr(IndexRow, "__init__", None)
        patch.setattr(backlog, "read_schedule", None)
        assert due(made.settings, open_warehouse(made.settings)) == [
            "1 days of ticks of SHFE.cu are missing: `loaders run tq` fetches them"
        ]
    made.asked()
    assert made.load("ticks").total("rows_new") == 1
    assert asked_days(made) == 1
    assert made.rows(INDEX)[:-1] == before


def test_a_revision_fetches_the_days_whose_contract_changed_and_stamps_the_rest(
    made: Bench,
) -> None:
    before = {row[:2]: row for row in made.rows(INDEX)}
    made.sandbox.faults.add(f"revise-mains:contract={NEW}:by=-1")
    build_schedule(made)
    made.asked()
    assert made.load("ticks").status == "succeeded"
    assert asked_days(made) == 1
    after = {row[:2]: row for row in made.rows(INDEX)}
    revised = BEFORE_ROLL
    assert (after[OLD, revised][-1], after[NEW, revised][-1]) == (
        "superseded", "complete",
    )  # fmt: skip
    for key, row in before.items():
        same_rows = row[4:6] == after[key][4:6]
        stamped = row[2:4] != after[key][2:4]
        assert (same_rows, stamped) == (True, key[1] >= ROLL), key
    assert stored(made, OLD, revised).num_rows == 0
    frame = stored(made, NEW, END)
    assert set(frame["schedule_hash"].to_pylist()) == {after[NEW, revised][3]}
    revisions = made.rows(
        "select old_contract, new_contract, old_hash, new_hash from raw_tq.tick_revision"
    )
    assert revisions == [
        (OLD, NEW, before[OLD, revised][5], after[NEW, revised][5])
    ]  # fmt: skip
    assert made.load("ticks").tasks == ()


def test_a_revision_that_is_taken_back_after_a_stop_leaves_no_day_without_ticks(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.sandbox.faults.add(f"revise-mains:contract={NEW}:by=-1")
    build_schedule(made)

    def stopped(*_: Any) -> None:
        raise StoreError("stopped before the index was written")

    with monkeypatch.context() as patch:
        patch.setattr(PostgresStore, "put_index", stopped)
        assert made.load("ticks").status != "succeeded"
    made.sandbox.faults.clear()
    build_schedule(made)
    assert made.load("ticks").status == "succeeded"
    assert (OLD, BEFORE_ROLL.day, "complete") in days(made)
    assert stored(made, OLD, BEFORE_ROLL).num_rows == 150
    assert stored(made, NEW, BEFORE_ROLL).num_rows == 0


def test_a_day_without_a_tick_is_on_record_after_two_sessions_and_asked_again_much_later(
    mapped: Bench,
) -> None:
    mapped.sandbox.faults.add("empty:contract=SHFE.cu2511:day=2025-10-15")
    mapped.asked()
    result = mapped.load("ticks")
    assert (result.status, result.total("skipped")) == ("succeeded", 1)
    assert asked_days(mapped) == DAYS + 1
    [(contract, day, reason, attempts)] = mapped.rows(
        "select contract, trading_day, reason, attempts from raw_tq.no_data_day"
    )
    assert (contract, day, attempts) == ("SHFE.cu2511", date(2025, 10, 15), 2)
    assert "day bar of" in reason
    mapped.asked()
    assert mapped.load("ticks").tasks == ()
    assert mapped.asked() == []
    mapped.sandbox.faults.clear()
    later = datetime(2025, 10, 22, 18) + timedelta(days=mapped.settings.tq.recheck_after)
    assert mapped.load("ticks", clock=later).total("rows_new") == 1
    assert ("SHFE.cu2511", 15, "complete") in days(mapped)


def test_a_day_that_has_just_settled_and_was_traded_is_never_on_record(mapped: Bench) -> None:
    mapped.sandbox.faults.add(f"empty:contract={NEW}:day={END}")
    result = mapped.load("ticks")
    assert (result.status, list(failures(result))) == ("partial", [f"{SERIES} {NEW} {END}"])
    assert "only just settled: asked again by each load until" in str(failures(result))
    assert mapped.rows("select * from raw_tq.no_data_day") == []


def test_emptiness_of_all_days_of_a_contract_is_no_evidence(mapped: Bench) -> None:
    mapped.sandbox.faults.add(f"empty:contract={NEW}")
    result = mapped.load("ticks")
    assert result.status == "partial"
    assert set(failures(result)) == {f"{SERIES} {NEW} {day}" for day in TRADED if day >= ROLL}
    assert "asked again by each load until 2025-11-21" in str(failures(result))
    assert mapped.rows("select * from raw_tq.no_data_day") == []
    assert "days of ticks" in str(due(mapped.settings, open_warehouse(mapped.settings)))
    # and after a month of that it is
    later = datetime(2025, 10, 22, 18) + timedelta(days=mapped.settings.tq.recheck_after)
    result = mapped.load("ticks", clock=later, since=END)
    assert (result.status, result.total("skipped")) == ("succeeded", 1)
    [(day, attempts)] = mapped.rows("select trading_day, attempts from raw_tq.no_data_day")
    assert (day, attempts) == (END, 4)


def test_the_newest_day_is_not_complete_before_its_ticks_add_up(mapped: Bench) -> None:
    mapped.sandbox.faults.add(f"short:contract={NEW}:day=2025-10-22:keep=60")
    result = mapped.load("ticks")
    assert [text.rpartition(": ")[2] for text in failures(result).values()] == ["not complete yet"]
    assert (NEW, 22, "complete") not in days(mapped)
    mapped.sandbox.faults.clear()
    assert mapped.load("ticks").total("rows_new") == 1
    assert (NEW, 22, "complete") in days(mapped)


def test_a_day_whose_day_bar_was_corrected_is_fetched_once_more_and_no_more(made: Bench) -> None:
    day = TRADED[1]
    assert made.rows(
        "select count(*) from raw_tq.symbol_day where volume > 0 and volume = day_volume"
    ) == [(DAYS,)]
    before = made.rows(INDEX)
    of_day = f"where contract = '{OLD}' and trade_date = '{day}'"
    made.execute(f"update raw_tq.contract_daily set volume = volume * 1.005 {of_day}")
    assert due(made.settings, open_warehouse(made.settings)) == []  # of so little none are missing
    made.execute(f"update raw_tq.contract_daily set volume = volume * 2 {of_day}")
    [line] = due(made.settings, open_warehouse(made.settings))
    assert "1 days of ticks of SHFE.cu are missing" in line
    made.asked()
    result = made.load("ticks")
    assert (result.status, asked_days(made)) == ("succeeded", 2)
    assert "lots, where the day bar has" in str(result.warnings)
    assert made.rows(INDEX) == before
    assert due(made.settings, open_warehouse(made.settings)) == []
    assert made.load("ticks").tasks == ()


def test_ticks_that_come_twice_or_late_are_stored_once_and_told(mapped: Bench) -> None:
    mapped.sandbox.faults.add("duplicate:contract=SHFE.cu2511:day=2025-10-15")
    mapped.sandbox.faults.add("late:contract=SHFE.cu2511:day=2025-10-16")
    assert mapped.load("ticks", until=date(2025, 10, 16)).status == "succeeded"
    for day in (date(2025, 10, 15), date(2025, 10, 16)):
        expected = mapped.sandbox.tick_table("SHFE.cu2511", day)
        found = stored(mapped, "SHFE.cu2511", day)
        assert found["datetime_ns"].to_pylist() == sorted(expected["datetime_ns"].to_pylist())
    [(rules,)] = mapped.rows("select count(distinct rule) from raw_tq.rejected_row")
    assert rules == 1


def test_without_the_permission_the_newest_ticks_land_marked_and_the_rest_is_said(
    mapped: Bench,
) -> None:
    mapped.sandbox.faults.add("permission:feature=tq_dl")
    result = mapped.load("ticks")
    assert result.status == "succeeded"
    assert any("tq_dl" in warning and "only the newest" in warning for warning in result.warnings)
    routes = mapped.rows("select trading_day, source_route, rows from raw_tq.symbol_day order by 1")
    assert routes
    assert {route for _, route, _ in routes} == {"recent_ticks"}
    assert {rows for *_, rows in routes} == {150}
    [line] = due(mapped.settings, open_warehouse(mapped.settings))
    assert "`loaders run tq`" in line


def test_the_copy_of_the_index_is_made_again_from_the_store(made: Bench) -> None:
    before = made.rows(INDEX)
    made.execute("delete from raw_tq.symbol_day where trading_day <> '2025-10-20'")
    made.execute("update raw_tq.symbol_day set rows = 1")
    made.asked()
    assert made.load("ticks", datasets=("tick_index",)).total("done") == DAYS
    assert made.rows(INDEX) == before
    assert made.asked() == []


def test_days_that_the_store_has_lost_are_fetched_again(made: Bench) -> None:
    before = made.rows(INDEX)
    made.execute("drop schema ticks cascade")
    assert made.load("ticks").status == "succeeded"
    assert made.rows(INDEX) == before


def test_a_store_that_lacks_most_of_what_was_stored_is_not_filled_without_a_word(
    made: Bench,
) -> None:
    made.execute(
        "create temp table far as select * from raw_tq.symbol_day; "
        "update far set trading_day = trading_day - 1000; insert into raw_tq.symbol_day table far; "
        "update far set trading_day = trading_day - 1000; insert into raw_tq.symbol_day table far; "
        "update far set trading_day = trading_day - 1000; insert into raw_tq.symbol_day table far; "
        "drop schema ticks cascade"
    )
    before = made.rows(INDEX)
    made.asked()
    result = made.load("ticks")
    assert (result.status, made.rows(INDEX)) == ("failed", before)
    assert f"lacks {4 * DAYS} of {4 * DAYS} days" in str(result.error)
    assert "QUOTEMILL_QUESTDB_URL" in result.hint
    assert made.asked() == []
    assert made.load("ticks", datasets=("tick_index",)).status == "succeeded"
    assert {status for *_, status in days(made)} == {"superseded"}
    assert made.load("ticks").total("done") == DAYS


def test_a_retry_of_a_load_that_ended_before_its_first_day_fetches_what_is_missing(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.execute(
        f"delete from ticks.{DAY_INDEX.name} where underlying_contract = '{NEW}'; "
        f"delete from raw_tq.symbol_day where contract = '{NEW}'"
    )
    with monkeypatch.context() as patch:
        patch.setattr(PostgresStore, "check", lambda _: ["a table is suspended"])
        assert made.load("ticks").status == "failed"
    assert made.load("ticks", retry=True).total("done") == len(
        [day for day in TRADED if day >= ROLL]
    )
