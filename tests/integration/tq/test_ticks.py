"""The lane of ticks against the real client, the simulated servers and the warehouse as the store."""

from contextlib import closing
from datetime import date
from typing import Any

import pytest

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
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Any] = []
    read = PostgresStore.index
    monkeypatch.setattr(PostgresStore, "index", lambda *given: reads.append(0) or read(*given))
    before = {row[:2]: row for row in made.rows(INDEX)}
    made.sandbox.faults.add(f"revise-mains:contract={NEW}:by=-1")
    build_schedule(made)
    made.asked()
    assert made.load("ticks").status == "succeeded"
    assert (asked_days(made), len(reads)) == (1, 1)
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


def test_less_than_is_stored_takes_no_place_where_a_day_bar_was_corrected(made: Bench) -> None:
    day = TRADED[1]
    before = made.rows(INDEX)
    made.sandbox.faults.add(f"short:contract={OLD}:day={day}:keep=10")
    made.execute(
        "update raw_tq.contract_daily set volume = volume * 2 "
        f"where contract = '{OLD}' and trade_date = '{day}'"
    )
    result = made.load("ticks")
    assert result.status == "succeeded"
    assert "that are stored stay" in str(result.warnings)
    assert (made.rows(INDEX), stored(made, OLD, day).num_rows) == (before, 150)
    assert made.load("ticks").tasks == ()
    named = made.load("ticks", keys=(f"{SERIES} {OLD} {day}",))  # as a repair asks
    assert (named.total("done"), stored(made, OLD, day).num_rows) == (1, 10)


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
