"""Contracts that bring nothing, and those that were delisted, by the simulated gateway."""

from typing import Any

import pytest

from tests.integration.ib.bench import Bench

ROWS = (
    "select slot_label, error_type, data_quality_flag from raw_ib.chain_snapshot "
    "where conid = %s order by sample_time"
)


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


TALLY = (
    "select planned, captured, errors, status from raw_ib.slot_run "
    "where symbol = 'AAPL' and ingest_run_type = 'intraday' order by sample_time desc limit 1"
)


def requests(made: Bench) -> list[str]:
    """Contracts and stocks in the order of their requests."""
    return [entry.fields[3] for entry in made.sandbox.asked("reqMktData")]


def test_a_mute_contract_comes_last_and_fails_no_slot(quick: Bench) -> None:
    mute = lasting(quick)
    rule = quick.sandbox.faults.add(f"mute:conid={mute}")
    assert slot(quick, "10:00:05") == 0
    assert quick.rows(TALLY) == [(28, 27, 1, "partial")]
    logged = "select event from ops.ingestion_logs where event like '%have no quote%'"
    why = "AAPL 2026-11-19T15:00Z: 1 of 28 contracts have no quote: no_answer"
    assert quick.rows(logged) == [(why,)]
    # it is all that is requested again within the slot, and the last in the next one
    quick.sandbox.log.clear()
    assert slot(quick, "10:05:00", retry_missed="yes") == 0
    [(stock,)] = quick.rows("select conid from raw_ib.underlying where symbol = 'AAPL'")
    assert set(requests(quick)) == {f"{mute}", f"{stock}"}
    quick.sandbox.log.clear()
    single = quick.with_settings(max_concurrent_snapshots=1)
    assert slot(single, "10:30:05") == 0
    asked = [conid for conid in requests(quick) if conid != f"{stock}"]
    assert asked.index(f"{mute}") == 27
    assert quick.rows(ROWS, mute) == [
        ("10:00", "no_answer", "snapshot_error"),
        ("10:30", "no_answer", "snapshot_error"),
    ]
    # with the first tick it is back
    quick.sandbox.faults.remove(rule)
    assert slot(quick, "10:35:00", retry_missed="yes") == 0
    assert quick.rows(ROWS, mute)[-1] == ("10:30", None, "late_capture")


def test_a_symbol_with_too_few_quotes_fails_its_slot(quick: Bench) -> None:
    """Nine tenths of 28 contracts are 26."""
    conids = quick.rows("select conid from raw_ib.contract where symbol = 'AAPL' order by conid")
    for conid in conids[:2]:
        quick.sandbox.faults.add(f"mute:conid={conid[0]}")
    assert slot(quick, "10:00:05") == 0
    quick.sandbox.faults.add(f"mute:conid={conids[2][0]}")
    assert slot(quick, "10:30:05") == 6
    assert slot(quick, "10:35:00", retry_missed="yes") == 6
    quick.sandbox.faults.add("mute:symbol=MSFT")
    assert slot(quick, "11:00:05", "MSFT") == 6
    assert slot(quick, "11:05:00", "MSFT", retry_missed="yes") == 6


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
    assert slot(made, "10:00:05") == 0
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
