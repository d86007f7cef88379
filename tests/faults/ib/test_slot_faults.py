"""Slots of option chains while the gateway refuses, breaks or is gone: no row is missing."""

from tests.integration.ib.bench import Bench, new_york
from tests.integration.ib.test_slots_load import FLAGS, counts


def test_without_fallback_what_is_not_permitted_is_an_error_row(made: Bench) -> None:
    made.sandbox.faults.add("permission:symbol=MSFT:code=354")
    result = made.with_settings(allow_fallback_to_delayed=False).load("snapshot", slot="now")
    assert (result.status, result.exit_code) == ("partial", 6)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 0)]
    [(kind, flag)] = made.rows(
        "select distinct error_type, data_quality_flag from raw_ib.chain_snapshot "
        "where snapshot_error"
    )
    assert (kind, flag) == ("no_permission", "snapshot_error")
    assert made.table("recapture") == []  # asking again would not help


def test_what_is_turned_away_waits_and_is_captured_later(made: Bench) -> None:
    rule = made.sandbox.faults.add("pacing:after=1:times=100000")
    first = made.load("snapshot", slot="now")
    assert (first.exit_code, made.time.pauses) == (6, [30.0, 60.0, 120.0, 240.0])
    assert counts(made) == [("AAPL", 28, 0), ("MSFT", 16, 0)]
    assert made.rows(FLAGS) == [("late_capture,slot_retry_exceeded,snapshot_error",)]
    assert {row["state"] for row in made.table("recapture")} == {"queued"}
    made.sandbox.faults.remove(rule)
    assert made.due() == []  # not yet
    made.at("2026-11-19T10:20:00")
    [worked] = made.due()
    assert (worked.status, worked.exit_code) == ("succeeded", 0)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]
    assert made.rows("select distinct ingest_run_type from raw_ib.chain_snapshot") == [
        ("recapture",)
    ]
    assert {row["state"] for row in made.table("recapture")} == {"done"}
    late = "select bool_and(data_quality_flag like '%late_capture%') from raw_ib.chain_snapshot"
    assert made.rows(late) == [(True,)]


def test_a_connection_that_breaks_in_the_middle_costs_no_row(made: Bench) -> None:
    made.sandbox.faults.add("disconnect:after=12:times=3")
    result = made.load("snapshot", slot="now")
    assert (result.status, result.exit_code) == ("succeeded", 0)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]


def test_a_gateway_that_stays_away_leaves_error_rows_and_exit_code_4(made: Bench) -> None:
    made.sandbox.faults.add("restart:after=6:seconds=3600")
    result = made.load("snapshot", slot="now")
    assert result.exit_code == 4
    assert result.hint
    total, good = made.rows(
        "select count(*), count(*) filter (where not snapshot_error) from raw_ib.chain_snapshot"
    )[0]
    assert total == 44 > good
    waiting = [row for row in made.table("recapture") if row["state"] == "queued"]
    assert len(waiting) == 44 - good
    assert {row["reason"] for row in waiting} == {"gateway_gone"}


def test_an_absent_gateway_is_waited_for_and_leaves_error_rows(
    made: Bench,
) -> None:
    """By the machine's clock the slot is known without it."""
    made.sandbox.go_away(3600)
    alone = made.with_settings(clock="machine")
    result = alone.load("snapshot", as_of=new_york("2026-11-19T10:00:05"), slot="now")
    assert (result.exit_code, made.time.pauses) == (4, [30.0, 60.0])
    assert counts(made) == [("AAPL", 28, 0), ("MSFT", 16, 0)]
    kinds = made.rows("select distinct error_type, source from raw_ib.chain_snapshot")
    assert kinds == [("gateway_gone", "IBKR")]
    assert {row["state"] for row in made.table("recapture")} == {"queued"}
    assert {row["status"] for row in made.table("slot_run")} == {"failed"}


def test_a_stale_quote_of_an_earlier_slot_is_never_served_again(made: Bench) -> None:
    assert made.load("snapshot", slot="now").exit_code == 0
    made.sandbox.faults.add("mute:symbol=MSFT")
    result = made.at("2026-11-19T10:30:05").load("snapshot", slot="now")
    assert result.exit_code == 6
    later = (
        "select symbol, count(bid)::int, count(*)::int from raw_ib.chain_snapshot "
        "where slot_30m = 2 group by 1 order by 1"
    )
    assert made.rows(later) == [("AAPL", 28, 28), ("MSFT", 0, 16)]


def test_missing_greeks_and_sentinels_are_flagged_and_never_land(made: Bench) -> None:
    made.sandbox.faults.add("sentinel-greeks:share=0.5")
    made.sandbox.faults.add("no-quote:symbol=MSFT")
    assert made.load("snapshot", slot="now").exit_code == 0
    odd = (
        "select count(*) from raw_ib.chain_snapshot "
        "where least(bid, ask, last, iv, opt_price_model) < 0 "
        "or delta = -2 or vega = -2 or theta = -2 or abs(gamma) > 1e300"
    )
    assert made.rows(odd) == [(0,)]
    flagged = (
        "select count(*) filter (where data_quality_flag like '%missing_greeks%') > 0, "
        "count(*) filter (where data_quality_flag like '%missing_price%') "
        "from raw_ib.chain_snapshot"
    )
    assert made.rows(flagged) == [(True, 16)]


def test_what_waits_for_a_moment_that_the_calendar_lost_ends_with_a_reason(made: Bench) -> None:
    made.sandbox.faults.add("error:symbol=MSFT:code=420:message=pacing")
    assert made.with_settings(retry_waits=[]).load("snapshot", slot="now").exit_code == 6
    made.sandbox.faults.clear()
    # an hour at which there was a slot when it was queued
    made.execute("update raw_ib.recapture set sample_time = sample_time + interval '7 minutes'")
    result = made.at("2026-11-19T10:20:00").load("snapshot", retry_missed="yes")
    assert result.exit_code == 0
    assert any("no slot at 2026-11-19T15:07Z" in line for line in made.heard.lines)
    ends = "select distinct state, reason from raw_ib.recapture"
    assert made.rows(ends) == [("expired", "no_slot")]
