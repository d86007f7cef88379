"""Contracts that never tick, and those that do not exist any more, by the simulated gateway."""

from typing import Any

import pytest

from loaders.ib.context import Context
from tests.integration.ib.bench import Bench

ROWS = (
    "select slot_label, error_type, data_quality_flag from raw_ib.chain_snapshot "
    "where conid = %s order by sample_time"
)
STATES = "select distinct state from raw_ib.recapture where conid = %s order by 1"


def lasting(made: Bench) -> int:
    """One of a symbol's contracts that lives longest."""
    query = "select conid from raw_ib.contract where symbol = 'AAPL' order by expiry desc, conid"
    count: int = made.rows(query)[0][0]
    return count


def slot(made: Bench, clock: str, symbol: str = "AAPL", **options: str) -> int:
    made.at(f"2026-11-19T{clock}")
    return made.load("snapshot", symbols=[symbol], **(options or {"slot": "now"})).exit_code


@pytest.fixture
def quick(made: Bench) -> Bench:
    return made.with_settings(quote_timeout=0.7)


def test_a_silent_contract_is_requested_once_and_fails_no_slot(quick: Bench) -> None:
    mute = lasting(quick)
    rule = quick.sandbox.faults.add(f"mute:conid={mute}")
    again = {"retry_missed": "yes"}
    assert slot(quick, "10:00:05") == 6
    assert [slot(quick, f"10:{minute}:00", **again) for minute in ("05", "10")] == [6, 6]
    # three captures: nothing waits for it any more, and the next slot is whole
    assert slot(quick, "10:15:00", **again) == 0
    assert quick.rows(STATES, mute) == [("expired",)]
    quick.sandbox.log.clear()
    assert slot(quick, "10:30:05") == 0
    asked = [entry.fields[3] for entry in quick.sandbox.asked("reqMktData")]
    assert asked.count(str(mute)) == 2  # a snapshot, and a stream
    assert quick.rows(ROWS, mute) == [
        ("10:00", "no_answer", "snapshot_error"),
        ("10:30", "no_answer", "no_quote,snapshot_error"),
    ]
    tally = (
        "select planned, captured, errors, silent, status from raw_ib.slot_run "
        "where symbol = 'AAPL' and sample_time = %s"
    )
    at = quick.rows("select max(sample_time) from raw_ib.chain_snapshot")[0][0]
    assert quick.rows(tally, at) == [(28, 27, 0, 1, "complete")]
    # its close too, and with the first tick it is back
    quick.at("2026-11-19T17:00:00")
    assert quick.load("close", symbols=["AAPL"]).exit_code == 0
    quick.sandbox.faults.remove(rule)
    assert slot(quick, "11:00:05") == 0
    assert quick.rows(ROWS, mute)[-1] == ("11:00", None, "")
    quick.sandbox.faults.add(f"mute:conid={mute}")
    assert slot(quick, "11:30:05") == 6


def test_a_symbol_without_any_tick_has_no_silent_contract(quick: Bench) -> None:
    quick.sandbox.faults.add("mute:symbol=MSFT")
    clocks = ("10:00:05", "10:30:05", "11:00:05", "11:30:05")
    assert [slot(quick, clock, "MSFT") for clock in clocks] == [6] * 4
    assert {state for (state,) in quick.rows("select state from raw_ib.recapture")} == {"queued"}


def test_a_contract_not_requested_for_lack_of_time_is_not_silent(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of 14 is asked, and of the chain's 28 contracts the others never are."""
    monkeypatch.setattr(Context, "capture_seconds", lambda _: 0.0)
    clocks = ("10:00:05", "10:30:05", "11:00:05", "11:30:05")
    assert [slot(made, clock) for clock in clocks] == [6] * 4
    tallies = made.rows("select planned, captured, errors, silent, status from raw_ib.slot_run")
    assert tallies == [(28, 14, 14, 0, "partial")] * 4


def known(made: Bench, day: str, conid: int) -> list[tuple[Any, ...]]:
    return made.rows(
        "select s.policy, c.first_seen_date::text from raw_ib.session_contract as s "
        "join raw_ib.contract as c using (conid) where s.trade_date = %s and conid = %s",
        day,
        conid,
    )


def test_a_delisted_contract_leaves_the_set_until_it_is_relisted(made: Bench) -> None:
    gone = lasting(made)
    refused = made.sandbox.faults.add(f"error:code=200:conid={gone}")
    clocks = ("10:00:05", "10:30:05", "11:00:05", "11:30:05")
    assert [slot(made, clock) for clock in clocks] == [6, 6, 6, 0]
    missing = made.sandbox.faults.add(f"flaky-contract:conid={gone}")
    assert made.at("2026-11-20T09:25:00").load("discover").exit_code == 0
    assert known(made, "2026-11-20", gone) == []
    made.at("2026-11-20T10:00:05")
    assert made.load("snapshot", symbols=["AAPL"], slot="now").exit_code == 0
    assert made.rows("select count(*) from raw_ib.contract where conid = %s", gone) == [(1,)]
    for rule in (refused, missing):
        made.sandbox.faults.remove(rule)
    assert made.at("2026-11-23T09:25:00").load("discover").exit_code == 0
    assert known(made, "2026-11-23", gone) == [("session_freeze", "2026-11-19")]
