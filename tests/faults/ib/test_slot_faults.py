"""Slots of option chains while the gateway refuses, breaks or is gone: no row is missing."""

from itertools import product

import pytest

from loaders.ib.client import ib_client
from tests.integration.ib.bench import Bench, new_york
from tests.integration.ib.test_slots_load import FLAGS, counts

# of 64, 32 and 128 bits, as older ones have it, not received, and the largest double
NO_SIZES = [f"{2**63 - 1}", f"{2**31 - 1}", f"{2**127 - 1}", "-1", "nan", "1.7976931348623157E308"]


def test_a_refused_request_is_captured_later(made: Bench) -> None:
    rule = made.sandbox.faults.add("pacing:after=1:times=100000")
    first = made.load("snapshot", slot="now")
    assert (first.exit_code, made.time.pauses) == (6, [30.0, 60.0, 120.0, 240.0])
    assert counts(made) == [("AAPL", 28, 0), ("MSFT", 16, 0)]
    assert made.rows(FLAGS) == [("late_capture,slot_retry_exceeded,snapshot_error",)]
    made.sandbox.faults.remove(rule)
    made.at("2026-11-19T10:20:00")
    [worked] = made.due()
    assert (worked.status, worked.exit_code) == ("succeeded", 0)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]
    assert made.rows("select distinct ingest_run_type from raw_ib.chain_snapshot") == [
        ("recapture",)
    ]
    assert made.due() == []
    late = "select bool_and(data_quality_flag like '%late_capture%') from raw_ib.chain_snapshot"
    assert made.rows(late) == [(True,)]


def test_a_notice_before_each_quote_is_recorded_once(made: Bench) -> None:
    made.sandbox.faults.add("notice:code=2176")
    result = made.load("snapshot", slot="now")
    assert (result.exit_code, counts(made)) == (0, [("AAPL", 28, 28), ("MSFT", 16, 16)])
    assert made.rows("select error_code, action from raw_ib.gateway_event") == [(2176, "wait")]


def test_what_an_unknown_number_leaves_unanswered_is_requested_again(made: Bench) -> None:
    [(conid,)] = made.rows("select min(conid) from raw_ib.contract")
    rule = made.sandbox.faults.add(f"error:conid={conid}:code=9876:message=What is this")
    made.with_settings(quote_timeout=0.5).load("snapshot", slot="now")
    failed = "select conid, error_type, error_code from raw_ib.chain_snapshot where snapshot_error"
    assert made.rows(failed) == [(conid, "unknown", 9876)]
    made.sandbox.faults.remove(rule)
    made.at("2026-11-19T10:12:00").due()
    assert made.rows(failed) == []


def test_a_connection_that_breaks_in_the_middle_costs_no_row(made: Bench) -> None:
    made.sandbox.faults.add("disconnect:after=12:times=3")
    result = made.load("snapshot", slot="now")
    assert (result.status, result.exit_code) == ("succeeded", 0)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]


@pytest.mark.parametrize("clock", ["gateway", "machine"])
def test_a_silent_socket_is_left_and_costs_no_row(
    made: Bench, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ib_client, "SIGN_OF_LIFE", 0.5)
    made.sandbox.faults.add("stall:after=20")
    hasty = made.with_settings(clock=clock, quote_timeout=0.5)
    frozen = new_york("2026-11-19T10:00:05") if clock == "machine" else None
    result = hasty.load("snapshot", as_of=frozen, slot="now")
    assert (result.status, result.exit_code) == ("succeeded", 0)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]
    assert made.time.pauses == []


def test_an_absent_gateway_is_waited_for_and_leaves_error_rows(made: Bench) -> None:
    """By the machine's clock the slot is known without it."""
    made.sandbox.go_away(3600)
    alone = made.with_settings(clock="machine")
    result = alone.load("snapshot", as_of=new_york("2026-11-19T10:00:05"), slot="now")
    assert (result.exit_code, made.time.pauses) == (4, [30.0, 60.0])
    assert "waiting for the gateway" in made.heard.holds
    assert counts(made) == [("AAPL", 28, 0), ("MSFT", 16, 0)]
    kinds = made.rows("select distinct error_type, source from raw_ib.chain_snapshot")
    assert kinds == [("gateway_gone", "IBKR")]
    assert {row["status"] for row in made.table("slot_run")} == {"failed"}


def test_an_absurd_number_costs_itself_alone(made: Bench) -> None:
    conids = [conid for (conid,) in made.rows("select conid from raw_ib.contract order by 1")]
    made.sandbox.faults.add(f"absurd-bid:conid={conids[0]}")
    first = made.load("snapshot", slot="now")
    assert (first.exit_code, counts(made)) == (0, [("AAPL", 28, 28), ("MSFT", 16, 16)])
    flagged = "select conid, bid, data_quality_flag from raw_ib.chain_snapshot where bid is null"
    assert made.rows(flagged) == [(conids[0], None, "missing_price,value_out_of_range")]


def test_an_absurd_price_of_the_stock_costs_no_contract(made: Bench) -> None:
    [(stock,)] = made.rows("select conid from raw_ib.underlying where symbol = 'AAPL'")
    made.sandbox.faults.add(f"absurd-bid:conid={stock}")
    assert made.load("snapshot", slot="now").exit_code == 0
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]


def test_a_slot_that_left_the_calendar_is_skipped_by_a_retry(made: Bench) -> None:
    made.sandbox.faults.add("error:symbol=MSFT:code=420:message=pacing")
    assert made.with_settings(retry_waits=[]).load("snapshot", slot="now").exit_code == 6
    made.sandbox.faults.clear()
    # an hour at which there was a slot when it was captured
    moved = "replace(key, '15:00Z', '15:07Z')"
    tasks = f"(select array_agg({moved}) from unnest(keys) as key)"
    made.execute(f"update ops.ingestion_job_tasks set keys = {tasks}")
    made.execute("update ops.ingestion_job_tasks set failures = '{}', status = 'failed'")
    result = made.at("2026-11-19T10:20:00").load("incremental", retry=True)
    assert result.exit_code == 0
    assert any(" 2026-11-19T15:07Z" in line for line in result.warnings)


def test_numbers_that_are_unset_are_null_and_settle_their_quotes(made: Bench) -> None:
    """Nothing better comes: no rejected row, no other request in this slot.

    A morning of open interest without a number fails, and no row lands.
    """
    contracts = [conid for (conid,) in made.rows("select conid from raw_ib.contract order by 1")]
    forms = [*product([*NO_SIZES, ""], ["-1", "nan", NO_SIZES[-1]]), *((n, "") for n in NO_SIZES)]
    for conid, (size, price) in zip(contracts, forms, strict=False):
        for kind, value in (("unset-sizes", size), ("no-quote", price)):
            if value:
                made.sandbox.faults.add(f"{kind}:conid={conid}:value={value}")
    made.sandbox.faults.add("unset-sizes")  # of the others, as newer gateways have it
    assert made.with_settings(quote_timeout=0.5).load("snapshot", slot="now").exit_code == 0
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]
    stored = made.rows(
        "select count(bid_size), count(ask_size), count(last_size), count(volume), count(bid), "
        "count(*) filter (where snapshot_error or data_quality_flag like '%out_of_range%') "
        "from raw_ib.chain_snapshot"
    )
    unpriced = sum(price != "" for _, price in forms)
    assert stored == [(0, 0, 0, 0, 44 - unpriced, 0)]
    assert made.at("2026-11-19T10:12:00").due() == []
    assert made.load("snapshot", slot="now", retry_missed="true").exit_code == 0
    kinds = "select distinct ingest_run_type from raw_ib.{}"
    for table in ("slot_run", "chain_snapshot"):  # nothing was captured again
        assert made.rows(kinds.format(table)) == [("intraday",)]
    result = made.at("2026-11-20T07:30:00").load("enrich")
    assert (result.exit_code, result.tasks[0].rows_rejected) == (4, 0)
    assert all("no open interest" in text for text in result.tasks[0].failures.values())
    assert made.table("open_interest") == []
