"""Stores that lost days, stopped loads, corrected bars: what is fetched again."""

import re
from pathlib import Path
from unittest.mock import Mock

import pytest

from loaders.check import Check
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.tables import DAY_INDEX, QUESTDB_TABLES
from loaders.tq.next_steps import list_next_steps
from loaders.tq.tick_days.repair import take_out_unlisted
from loaders.warehouse.postgres import open_warehouse
from quotemill.ticks.questdb_http import QuestdbHttp, StoreError
from tests.integration.ticks.servers import address_of
from tests.integration.tq.bench import Bench, build_schedule, count_days
from tests.integration.tq.test_ticks import asked_days, days, stored
from tests.integration.tq.worlds import (
    BEFORE_ROLL,
    DAYS,
    INDEX,
    NEW,
    OLD,
    ROLL,
    SERIES,
    TRADED,
)


def test_a_revision_taken_back_after_a_stop_leaves_no_day_empty(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.sandbox.faults.add(f"revise-mains:contract={NEW}:by=-1")
    build_schedule(made)

    with monkeypatch.context() as patch:
        patch.setattr(
            QuestdbStore,
            "put_index",
            Mock(side_effect=StoreError("stopped before the index was written")),
        )
        assert made.load("ticks").status != "succeeded"
    made.sandbox.faults.clear()
    build_schedule(made)
    assert made.load("ticks").status == "succeeded"
    assert (OLD, BEFORE_ROLL.day, "complete") in days(made)
    assert stored(made, OLD, BEFORE_ROLL).num_rows == 150
    assert stored(made, NEW, BEFORE_ROLL).num_rows == 0


def test_a_day_with_a_corrected_day_bar_is_short_until_its_ticks_add_up(made: Bench) -> None:
    day = TRADED[1]
    assert made.rows(
        "select count(*) from raw_tq.symbol_day where volume > 0 and volume = day_volume"
    ) == [(DAYS,)]
    before = made.rows(INDEX)
    the_day = f"where contract = '{OLD}' and trade_date = '{day}'"
    made.execute(f"update raw_tq.contract_daily set volume = volume * 1.005 {the_day}")
    assert (
        list_next_steps(made.settings, open_warehouse(made.settings)) == []
    )  # of so little none are missing
    made.execute(f"update raw_tq.contract_daily set volume = volume * 2 {the_day}")
    for _ in range(2):
        [line] = list_next_steps(made.settings, open_warehouse(made.settings))
        assert re.match("1 day .* SHFE.cu short ", line)
        made.asked()
        result = made.load("ticks")
        assert (result.status, asked_days(made)) == ("succeeded", 1)
        assert (OLD, day.day, "short") in days(made)
    made.sandbox.faults.add(f"short:contract={OLD}:day={day}:keep=10")
    assert made.load("ticks").status == "succeeded"
    named = made.load("ticks", keys=(f"{SERIES} {OLD} {day}",))  # as a repair asks
    assert (named.total("done"), stored(made, OLD, day).num_rows) == (0, 150)
    made.execute(f"update raw_tq.contract_daily set volume = volume / 2 {the_day}")
    made.asked()
    assert made.load("ticks").status == "succeeded"
    assert (asked_days(made), made.rows(INDEX)) == (0, before)
    assert made.load("ticks").tasks == ()


def test_days_that_the_store_has_lost_are_fetched_again(made: Bench) -> None:
    before = made.rows(INDEX)
    made.execute("drop schema ticks cascade")
    assert made.load("ticks").status == "succeeded"
    assert made.rows(INDEX) == before


def test_a_store_that_lacks_most_days_is_not_filled_silently(
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
    assert f"is missing {4 * DAYS} of {4 * DAYS} stored days" in str(result.error)
    assert "QUOTEMILL_QUESTDB_URL" in result.hint
    assert made.asked() == []
    # as `verify --repair` would
    with pytest.raises(StoreError, match=f"{4 * DAYS} of {4 * DAYS} "):
        take_out_unlisted(made.settings, open_warehouse(made.settings))
    minutes = made.load("ticks", datasets=("tick_minute",))
    assert (minutes.status, made.rows(INDEX)) == ("failed", before)
    assert made.load("ticks", datasets=("tick_index",)).status == "succeeded"
    assert {status for *_, status in days(made)} == {"superseded"}
    assert made.load("ticks").total("done") == DAYS


def test_a_retry_of_a_load_without_a_first_day_fetches_all(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.execute(
        f"delete from ticks.{DAY_INDEX.name} where underlying_contract = '{NEW}'; "
        f"delete from raw_tq.symbol_day where contract = '{NEW}'"
    )
    with monkeypatch.context() as patch:
        patch.setattr(
            QuestdbStore, "check", lambda _: [Check("tick store", "fail", "a table is suspended")]
        )
        assert made.load("ticks").status == "failed"
    assert made.load("ticks", retry=True).total("done") == len(
        [day for day in TRADED if day >= ROLL]
    )


def test_what_a_stopped_load_did_not_store_is_fetched_again(
    mapped: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(QuestdbStore, "write_days", Mock(side_effect=StoreError("no space")))
        assert mapped.load("ticks").status == "failed"
    mapped.asked()
    assert count_days(mapped.load("ticks", retry=True)) == asked_days(mapped) == DAYS
    assert not [*mapped.settings.home.glob("tq/**/*.parquet")]


def test_a_named_day_that_is_not_in_the_schedule_is_a_warning(made: Bench) -> None:
    named = tuple(f"{SERIES} {contract} {TRADED[0]}" for contract in (OLD, NEW))
    result = made.load("ticks", keys=named)
    assert result.total("done") == 1
    [said] = result.warnings
    assert re.match(rf"1 of 2 requested days .*: {re.escape(named[1])}$", said)


def test_ticks_that_an_older_version_left_in_the_warehouse_are_not_passed_over(
    made: Bench, questdb_folder: Path
) -> None:
    made.keep_ticks()  # as that version stored them
    http = QuestdbHttp(address_of(questdb_folder))
    for table in QUESTDB_TABLES:
        http.rows(f"drop table {table.name}")
    http.close()
    before = made.rows(INDEX)
    made.asked()
    result = made.load("ticks")
    assert (result.status, made.rows(INDEX), made.asked()) == ("failed", before, [])
    assert re.search("schema `ticks` .* older ", str(result.error))
    assert "quotemill questdb copy --to questdb" in result.hint
    with made.connect() as conn:
        conn.execute("drop schema ticks cascade")
    assert made.load("ticks").counts["stored"] == DAYS
