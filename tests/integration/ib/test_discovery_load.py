"""Contracts of a session by the simulated gateway: frozen once, added to, or an older set."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.ib.client import contract_details, ib_client
from loaders.ib.queries.landed import TERMS, read_chains
from loaders.sandbox.ib.splits import Split
from tests.integration.ib.bench import Bench, bench, write_universe

SETS = (
    "select symbol, policy, stale_from_date::text, first_seen_slot, count(*)::int "
    "from raw_ib.session_contract where trade_date = %s group by 1, 2, 3, 4 order by 1, 2"
)


def test_a_set_is_frozen_and_impossible_contracts_requested_once(made: Bench) -> None:
    made.at("2026-11-19T09:25:00")
    assert made.rows(SETS, "2026-11-19") == [
        ("AAPL", "session_freeze", None, None, 28),
        ("MSFT", "session_freeze", None, None, 16),
    ]
    classes = made.rows("select distinct trading_class from raw_ib.contract order by 1")
    assert classes == [("2AAPL",), ("AAPL",), ("MSFT",)]
    impossible = made.rows("select count(*)::int from raw_ib.negative_contract")[0][0]
    assert impossible > 0
    before = made.table("session_contract")
    made.sandbox.log.clear()
    again = made.load("discover")
    assert (again.status, again.total("rows_new")) == ("succeeded", 0)
    assert made.table("session_contract") == before
    assert made.sandbox.asked("reqContractDetails") == []


def test_known_contracts_are_not_requested_again_the_next_day(made: Bench) -> None:
    made.sandbox.log.clear()
    result = made.at("2026-11-20T09:25:00").load("discover")
    assert result.exit_code == 0
    known = made.rows("select count(*)::int from raw_ib.contract")[0][0]
    new = known - 44
    refused = made.rows(
        "select count(*)::int from raw_ib.negative_contract where trade_date = '2026-11-20'"
    )[0][0]
    assert len(made.sandbox.asked("reqContractDetails")) == new + refused
    expired = (
        "select count(*) from raw_ib.session_contract join raw_ib.contract using (conid) "
        "where trade_date > expiry"
    )
    assert made.rows(expired) == [(0,)]


def test_a_refresh_at_midday_only_adds(made: Bench) -> None:
    before = made.table("session_contract")
    later = made.with_settings(midday_refresh_time="12:15", max_strikes_per_expiry=4)
    made.at("2026-11-19T12:20:00")
    assert later.load("discover").exit_code == 0
    after = made.table("session_contract")
    assert all(row in after for row in before)
    added = [row for row in after if row not in before]
    assert {(row["policy"], row["first_seen_slot"]) for row in added} == {("midday_refresh", 6)}
    assert later.load("discover").total("rows_new") == 0


def test_discovery_fails_until_each_contract_is_looked_up(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    runs = "select planned, captured, errors, status from raw_ib.slot_run order by sample_time"
    few: dict[str, Any] = {"midday_refresh_time": "12:15", "stage": 0, "symbols": ["MSFT"]}
    few["universe"] = write_universe(tmp_path, ["MSFT"])
    with bench(new_database(), tmp_path / "home", timeout=0.5, **few) as made:
        world, now = made.sandbox.world, made.sandbox.clock
        chain = [row for row in world.chain("MSFT", now.date()).values() if row.right == "P"]
        nearest = sorted(chain, key=lambda row: abs(row.strike - world.spot("MSFT", now)))[:12]
        for row in nearest:
            made.sandbox.faults.add(f"details-hang:conid={row.conid}")
        failed = made.load("discover")
        [(known,)] = made.rows("select count(*)::int from raw_ib.session_contract")
        count = 16 - known
        assert (failed.exit_code, 0 < count < 16) == (6, True)
        why = f"{count} contracts could not be looked up: "
        [reason] = [t.failures["MSFT"] for t in failed.tasks if t.dataset == "contract"]
        assert reason.startswith(why)
        # slots go on with the contracts that are known
        assert made.at("2026-11-19T10:00:05").load("snapshot", slot="now").exit_code == 0
        assert made.rows(runs) == [(known, known, 0, "complete")]
        made.sandbox.log.clear()
        assert made.at("2026-11-19T10:10:00").load("discover").exit_code == 6
        assert len(made.sandbox.asked("reqContractDetails")) == count
        # by the clock it is looked up again at each slot
        for clock, asked in (("10:15:00", count), ("10:33:00", count), ("10:38:00", 0)):
            made.sandbox.log.clear()
            made.at(f"2026-11-19T{clock}").due()
            assert len(made.sandbox.asked("reqContractDetails")) == asked
        made.sandbox.faults.clear()
        assert made.at("2026-11-19T12:20:00").load("discover").exit_code == 0
        assert made.rows("select count(*)::int from raw_ib.session_contract") == [(16,)]
        assert made.at("2026-11-19T12:30:05").load("snapshot", slot="now").exit_code == 0
        assert made.rows(runs)[-1] == (16, 16, 0, "complete")


@pytest.mark.parametrize("fault", ["secdef-empty:symbol=MSFT", "secdef-hang:symbol=MSFT"])
def test_a_symbol_without_parameters_keeps_its_older_set(fault: str, made: Bench) -> None:
    made.sandbox.faults.add(fault)
    result = made.at("2026-11-20T09:25:00").with_settings(timeout=0.5).load("discover")
    assert (result.status, result.exit_code) == ("partial", 6)
    sets = {row[0]: row[1:3] for row in made.rows(SETS, "2026-11-20")}
    assert sets == {"AAPL": ("session_freeze", None), "MSFT": ("discovery_stale", "2026-11-19")}


def test_options_of_other_exchanges_than_smart_are_taken_and_named(made: Bench) -> None:
    before = made.rows(SETS, "2026-11-19")
    made.sandbox.faults.add("secdef-elsewhere:symbol=MSFT")
    assert made.at("2026-11-20T09:25:00").load("discover").exit_code == 0
    assert [row[:2] for row in made.rows(SETS, "2026-11-20")] == [row[:2] for row in before]
    [said] = [line for line in made.heard.lines if "SMART" in line]
    assert said.startswith("MSFT: ")


def test_a_lost_gateway_leaves_older_sets_and_exit_code_4(made: Bench) -> None:
    made.at("2026-11-20T09:25:00")
    made.sandbox.faults.add("secdef-hang")
    slow = made.with_settings(timeout=0.5, retry_waits=[])
    # it breaks off after the clock was read, and stays away
    result = slow.load("discover", on_start=lambda _: made.sandbox.go_away(3600))
    assert result.exit_code == 4
    assert made.rows(SETS, "2026-11-20") == []
    with made.connect() as conn:  # the sets of the day before stand in
        chains = read_chains(conn, date(2026, 11, 20))
    assert {symbol: chain.set_date for symbol, chain in chains.items()} == dict.fromkeys(
        ("AAPL", "MSFT"), date(2026, 11, 19)
    )


@pytest.mark.long
def test_after_three_symbols_without_parameters_discovery_ends(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    names = ("AAPL", "MSFT", "SPY", "DIS", "AMZN", "META")
    own = write_universe(tmp_path, names)
    home = tmp_path / "home"
    # few contracts, so that none waits that long for its turn on the wire
    hasty = {"timeout": 0.5, "max_dte": 30}
    with bench(new_database(), home, symbols=names, universe=own, stage=2, **hasty) as made:
        made.sandbox.faults.add("secdef-hang:symbol=AAPL")
        made.sandbox.faults.add("secdef-hang:symbol=SPY")
        result = made.load("discover")  # not in a row
        assert result.exit_code == 6
        made.sandbox.faults.clear()
        made.sandbox.faults.add("secdef-hang")
        made.sandbox.log.clear()
        result = made.at("2026-11-20T09:25:00").load("discover")
        assert result.exit_code == 4
        assert " 3 symbols " in str(result.error)
        assert len(made.sandbox.asked("reqSecDefOptParams")) == 3
        # symbols that hung before come last
        warned = [line.split(":")[1] for line in made.heard.lines if "after 3 symbols" in line]
        assert warned == [" AAPL", " SPY", " MSFT"]
        sets = made.rows(SETS, "2026-11-20")
        stale = {("MSFT", "discovery_stale"), ("META", "discovery_stale")}
        assert stale < {row[:2] for row in sets}


def test_a_set_older_than_five_sessions_does_not_stand_in(made: Bench) -> None:
    made.sandbox.faults.add("secdef-empty")
    result = made.at("2026-11-30T09:25:00").load("discover")
    assert result.exit_code == 6
    assert made.rows(SETS, "2026-11-30") == []


def test_contracts_that_do_not_fit_a_slot_are_named_and_taken(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    tight: dict[str, Any] = {"rate_limits": {"snapshot": {"per_minute": 0.1}}}
    tight["max_concurrent_snapshots"] = 4
    with bench(new_database(), tmp_path / "tight", **tight) as made:
        loaded = made.load("discover")
        assert loaded.exit_code == 0
        [warning] = [text for text in loaded.warnings if "not fit into a slot" in text]
        assert re.search("fix: .* ib.max_strikes_per_expiry .* ib.max_dte", warning)
        assert [row[-1] for row in made.rows(SETS, "2026-11-19")] == [28, 16]


def test_terms_that_a_number_had_before_a_split_are_stored(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    ex = date(2026, 11, 20)
    few: dict[str, Any] = {"symbols": ["AAPL"], "stage": 0, "max_dte": 60}
    splits = [Split("AAPL", ex, 4, keeps_numbers=True)]
    with bench(new_database(), tmp_path / "home", splits=splits, **few) as made:
        assert made.load("discover").exit_code == 0
        before = {row["conid"]: row for row in made.table("contract")}
        assert made.at("2026-11-20T09:25:00").load("discover").exit_code == 0
        former = made.table("former_contract")
        now = {row["conid"]: row for row in made.table("contract")}
        assert len(former) >= 8
        for row in former:
            terms = {name: before[row["conid"]][name] for name in TERMS}
            assert {name: row[name] for name in TERMS} == terms
            assert row["valid_to"] == ex
            assert now[row["conid"]]["strike"] == round(row["strike"] / 4, 2)
        assert made.rows("select count(*)::int from raw_ib.rejected_row") == [(0,)]
        assert made.load("discover").exit_code == 0
        assert made.table("former_contract") == former


@pytest.mark.parametrize("where", ["at=contracts", "at=contracts:after=15", "at=history"])
def test_a_silent_socket_is_left_and_costs_no_contract(
    new_database: Callable[[], str],
    tmp_path: Path,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ib_client, "SIGN_OF_LIFE", 0.5)
    with bench(new_database(), tmp_path, faults=[f"stall:{where}"], timeout=0.5) as made:
        assert made.load("discover").exit_code == 0
        assert [row[-1] for row in made.rows(SETS, "2026-11-19")] == [28, 16]


def test_contracts_that_could_not_be_looked_up_are_not_said_not_to_exist(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract_details, "_fits", lambda *_: False)
    with bench(new_database(), tmp_path) as made:
        failures = {task.dataset: task.failures for task in made.load("discover").tasks}
    assert failures["session_contract"]["AAPL"].startswith("no contracts could be looked up. ")
