"""The lane of ticks with the real client, simulated servers and the warehouse as the store."""

import re
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.tq.varieties import TO_2300, VARIETIES, Variety
from loaders.sandbox.tq.world import World
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb import server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.tq.next_steps import list_next_steps
from loaders.tq.tick_days import schedule
from loaders.tq.tick_days.ledger import LedgerRow
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import SettingsError
from quotemill.ticks.columns import DayKey
from tests.integration.ticks.servers import require_questdb
from tests.integration.tq.bench import Bench, bench, build_schedule, count_days
from tests.integration.tq.worlds import (
    BEFORE_ROLL,
    DAYS,
    END,
    FIRST,
    INDEX,
    NEW,
    NEXT,
    OLD,
    ROLL,
    SERIES,
    TRADED,
    world,
)


def days(made: Bench) -> list[tuple[Any, ...]]:
    return [(contract, day.day, status) for contract, day, *_, status in made.rows(INDEX)]


def asked_days(made: Bench) -> int:
    """Ranges of ticks that the client began to ask for since the last call."""
    return len(made.asked('"duration": 0', "focus_datetime"))


def stored(made: Bench, contract: str, day: date) -> Any:
    store = open_store(made.settings, open_warehouse(made.settings))
    with closing(store):
        return store.read_day(DayKey(SERIES, contract, day))


def test_every_tick_of_the_schedule_is_stored_as_the_servers_have_it(made: Bench) -> None:
    for day, contract in made.sandbox.schedule("SHFE.cu"):
        assert contract is not None
        expected, landed = made.sandbox.tick_table(contract, day), stored(made, contract, day)
        assert landed.num_rows == expected.num_rows == 150
        for name in expected.column_names:
            assert landed[name].to_pylist() == expected[name].to_pylist(), name
    expected_days = [(OLD if day < ROLL else NEW, day.day, "complete") for day in TRADED]
    assert days(made) == expected_days
    assert OLD != NEW
    assert list_next_steps(made.settings, open_warehouse(made.settings)) == []


@pytest.mark.long
def test_a_variety_may_have_an_underscore_in_its_name(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monthly = Variety(
        "DCE.l_f", "塑料月均", tick=1, multiple=5, price=7000, night=TO_2300, interest=9_000
    )
    monkeypatch.setitem(VARIETIES, monthly.code, monthly)
    served = World((monthly.code,), first=FIRST, end=END, ticks_per_day=20, default_ticks=20)
    with bench(served, new_database(), tmp_path) as made:
        assert made.load(keys=(monthly.code,)).status == "succeeded"
        build_schedule(made)
        assert made.load("ticks", keys=(monthly.code,)).status == "succeeded"
        held = "select symbol, contract, status, count(*) from raw_tq.symbol_day group by 1, 2, 3"
        rows = made.rows(held)
        assert {(symbol, status) for symbol, _, status, _ in rows} == {("KQ.m@DCE.l_f", "complete")}
        assert sum(count for *_, count in rows) == DAYS
        bars = made.rows("select distinct contract from raw_tq.contract_daily")
        assert {contract for _, contract, *_ in rows} <= {contract for (contract,) in bars}
        assert verify(made.settings, open_warehouse(made.settings), made.heard).differences == ()


@pytest.mark.long
def test_the_route_without_a_schedule_extends_nothing(made: Bench) -> None:
    reach = "update raw_tq.main_harvest set last_day = last_day {} 7 where route = '{}'"
    assert made.load("cross-check").status == "succeeded"
    made.execute(reach.format("+", "backtest"))
    assert list_next_steps(made.settings, open_warehouse(made.settings)) == []
    made.execute(reach.format("-", "backtest") + "; " + reach.format("+", "history"))
    [extend] = list_next_steps(made.settings, open_warehouse(made.settings))
    assert "`quotemill build`" in extend
    made.execute(reach.format("-", "history"))


def test_a_second_run_requests_nothing(made: Bench) -> None:
    made.asked()
    result = made.load("ticks")
    assert (result.status, result.tasks) == ("succeeded", ())
    assert made.asked() == []
    assert "schedule does not include" not in str(made.heard.lines)


def test_ticks_without_the_mapping_of_a_new_day_say_so(made: Bench) -> None:
    made.sandbox.set_clock(NEXT)
    assert made.load("ticks").status == "succeeded"
    [line] = [line for line in made.heard.lines if "schedule does not include" in line]
    assert f" {NEXT} for SHFE.cu: run `loaders run tq --mode mapping`" in line


def test_another_day_costs_a_day_and_stamps_nothing(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.rows(INDEX)
    made.sandbox.set_clock(NEXT)
    assert made.load(datasets=("main_events", "contract_daily")).status == "succeeded"
    [extend] = list_next_steps(made.settings, open_warehouse(made.settings))
    assert re.search("`quotemill build`.* SHFE.cu, ", extend)
    build_schedule(made)
    with monkeypatch.context() as patch:  # complete days are not read
        patch.setattr(LedgerRow, "__init__", None)
        patch.setattr(schedule, "read_schedule", None)
        [fetch] = list_next_steps(made.settings, open_warehouse(made.settings))
        assert re.match("1 day .* SHFE.cu .*`loaders run tq`", fetch)
    made.asked()
    assert count_days(made.load("ticks")) == 1
    assert asked_days(made) == 1
    assert made.rows(INDEX)[:-1] == before


def test_a_revision_fetches_days_of_other_contracts_and_stamps_the_rest(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Any] = []
    read = QuestdbStore.index
    monkeypatch.setattr(QuestdbStore, "index", lambda *given: reads.append(0) or read(*given))
    before = {row[:2]: row for row in made.rows(INDEX)}
    made.sandbox.faults.add(f"revise-mains:contract={NEW}:by=-1")
    build_schedule(made)
    made.asked()
    assert made.load("ticks").status == "succeeded"
    assert (asked_days(made), len(reads)) == (1, 1)
    after = {row[:2]: row for row in made.rows(INDEX)}
    revised = BEFORE_ROLL
    assert (after[OLD, revised][-1], after[NEW, revised][-1]) == ("superseded", "complete")
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
    assert revisions == [(OLD, NEW, before[OLD, revised][5], after[NEW, revised][5])]
    assert made.load("ticks").tasks == ()


def test_the_ledger_is_made_again_from_the_store(made: Bench) -> None:
    before = made.rows(INDEX)
    made.execute("delete from raw_tq.symbol_day where trading_day <> '2025-10-20'")
    made.execute("update raw_tq.symbol_day set rows = 1, status = 'short'")
    left = list_next_steps(made.settings, open_warehouse(made.settings))
    assert [line.partition(":")[0] for line in left] == [
        f"{DAYS - 1} days of ticks of SHFE.cu missing",
        "1 day of ticks of SHFE.cu short of the day bars",
    ]
    made.asked()
    assert made.load("ticks", datasets=("tick_index",)).total("done") == DAYS
    assert made.rows(INDEX) == before
    assert made.asked() == []


def test_a_load_starts_the_home_s_questdb(schedule_dsn: str, tmp_path: Path) -> None:
    require_questdb()
    own = {"QUOTEMILL_QUESTDB_URL": "local", "QUOTEMILL_QUESTDB__HEAP": "256m"}
    folder = server.server_folder(tmp_path)
    try:
        with bench(world(), schedule_dsn, tmp_path, environ=own) as made:
            first = made.load("ticks")
            assert (first.status, count_days(first)) == ("succeeded", DAYS)
            address = server.find_running(folder)
            assert address is not None
            assert server.stop(folder)
            assert made.load("ticks").status == "succeeded"
            assert server.find_running(folder) == address, "its port is remembered"
            server.stop(folder)
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", int(address.url.rpartition(":")[2])))
                taken.listen()
                assert made.load("ticks").status == "succeeded"
    finally:
        server.remove(folder)


def test_without_java_all_but_ticks_loads(schedule_dsn: str, tmp_path: Path) -> None:
    own = {"QUOTEMILL_QUESTDB_URL": "local", "QUOTEMILL_QUESTDB__JAVA": str(tmp_path / "java")}
    with bench(world(), schedule_dsn, tmp_path, environ=own) as made:
        refused = made.load("ticks")
        assert (refused.status, refused.exit_code) == ("failed", SettingsError.exit_code)
        assert "Java 17 " in str(refused.error)
        assert "questdb.java" in refused.hint
        assert made.load().status == "succeeded"
        assert not server.server_folder(tmp_path).exists()
