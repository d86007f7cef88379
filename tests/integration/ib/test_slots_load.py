"""Slots of the simulated gateway by the real client into a real warehouse."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loaders.engine.request import LoadRequest
from loaders.ib import source
from loaders.ib.check import check
from loaders.ib.client import gateway as gateway_module
from loaders.ib.planning.request import DUE
from loaders.loads import run_load
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import LockHeldError, UsageError
from tests.integration.ib.bench import Bench, bench, new_york

FLAGS = "select distinct data_quality_flag from raw_ib.chain_snapshot order by 1"


def counts(made: Bench) -> list[tuple[str, int, int]]:
    return made.rows(  # type: ignore[return-value]
        "select symbol, count(*)::int, count(*) filter (where not snapshot_error)::int "
        "from raw_ib.chain_snapshot group by 1 order by 1"
    )


def test_every_contract_has_a_row_and_a_repeat_changes_nothing(made: Bench) -> None:
    first = made.load("snapshot", slot="now")
    assert (first.status, first.exit_code) == ("succeeded", 0)
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]
    # while it runs, and in its log
    quoted = [int(text.split()[0]) for text in made.heard.holds if "of 44 contracts" in text]
    assert (quoted[0], sorted(quoted)) == (0, quoted)
    assert 0 < quoted[-1] <= 44
    logged = "select event from ops.ingestion_logs where event like '% quoted%'"
    [[event]] = made.rows(logged)
    assert re.match("44 of 44 .*: AAPL, MSFT$", event)
    # a request for each contract and underlying at least, and the bytes of their answers
    assert first.counts["requests"] >= len(made.sandbox.asked("reqMktData")) >= 46
    assert first.counts["bytes"] > 46 * 50
    assert made.rows(
        "select distinct slot_label, market_data_type, source from raw_ib.chain_snapshot"
    ) == [("10:00", 1, "SANDBOX")]
    assert (
        made.table("slot_run")[0] | {"planned": 28, "captured": 28, "status": "complete"}
        == (made.table("slot_run")[0])
    )
    before = made.table("chain_snapshot")
    again = made.load("snapshot", slot="10:00")
    assert again.total("rows_new") + again.total("rows_changed") == 0
    assert made.table("chain_snapshot") == before
    assert {entry.what for entry in made.sandbox.log} & {"placeOrder"} == set()
    assert not [e for e in made.sandbox.asked("reqMktData") if "101" in e.fields]


def test_only_a_better_capture_replaces_a_row(made: Bench) -> None:
    denied = made.sandbox.faults.add("permission:code=354")
    assert made.load("snapshot", slot="now").status == "succeeded"
    assert {flag.split(",")[0] for (flag,) in made.rows(FLAGS)} == {"delayed_fallback"}
    made.sandbox.faults.remove(denied)
    live = made.load("snapshot", slot="now")
    assert live.total("rows_changed") >= 44
    good = made.table("chain_snapshot")
    assert {row["market_data_type"] for row in good} == {1}
    made.sandbox.faults.add("error:code=420")
    worse = made.load("snapshot", slot="now")
    assert made.table("chain_snapshot") == good
    # what is stored counts
    assert (worse.status, made.table("slot_run")[0]["status"]) == ("succeeded", "complete")


def test_a_slot_without_a_record_is_due_until_the_next_one(made: Bench) -> None:
    """The next one is near two minutes before it begins; the newest slot is the one captured."""
    assert made.at("2026-11-19T10:28:00").due() == []
    late, *_ = made.at("2026-11-19T10:53:00").due()
    assert (late.status, counts(made)) == ("succeeded", [("AAPL", 28, 28), ("MSFT", 16, 16)])
    assert made.rows("select distinct slot_label from raw_ib.chain_snapshot") == [("10:30",)]
    assert {"late_capture" in flags for (flags,) in made.rows(FLAGS)} == {True}
    assert made.at("2026-11-19T10:54:00").due() == []


def test_a_slot_waits_for_its_lane_and_is_the_one_of_then(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load before overruns into 10:30: the slot that was asked for at 10:00 is over."""
    warehouse = open_warehouse(made.settings)
    busy = load_lock(warehouse, "ib_snapshot")
    with pytest.raises(LockHeldError):
        load_lock(warehouse, "ib_snapshot", queue=made.heard.line, longest=0)
    busy.__enter__()

    def release(text: str) -> None:
        if text.startswith("waiting"):
            made.at("2026-11-19T10:30:05")
            busy.__exit__(None, None, None)

    monkeypatch.setattr(made.heard, "line", release)
    assert made.load("snapshot").exit_code == 0
    assert made.rows("select distinct slot_label from raw_ib.chain_snapshot") == [("10:30",)]


def test_what_a_slot_lacks_is_requested_again_until_the_next_one(made: Bench) -> None:
    rule = made.sandbox.faults.add("mute:symbol=MSFT")
    quick = made.with_settings(quote_timeout=0.5)
    assert quick.at("2026-11-19T15:30:05").load("snapshot", slot="now").exit_code == 6
    assert [load.exit_code for load in quick.at("2026-11-19T15:35:00").due()] == [6]
    made.sandbox.faults.remove(rule)
    made.sandbox.log.clear()
    assert [load.exit_code for load in made.at("2026-11-19T15:53:00").due()] == [0]
    msft = made.rows("select conid from raw_ib.contract where symbol = 'MSFT'")
    stocks = made.rows("select conid from raw_ib.underlying where symbol = 'MSFT'")
    requested = {int(entry.fields[3]) for entry in made.sandbox.asked("reqMktData")}
    assert requested == {conid for (conid,) in [*msft, *stocks]}
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]
    assert made.rows("select distinct slot_label from raw_ib.chain_snapshot") == [("15:30",)]
    assert made.due() == []


def test_an_error_that_does_not_pass_is_not_requested_again(made: Bench) -> None:
    made.sandbox.faults.add("error:symbol=MSFT:code=420")
    assert made.load("snapshot", slot="now").exit_code == 6
    made.sandbox.faults.clear()
    assert made.at("2026-11-19T10:13:00").due() == []


def test_what_an_older_set_lacks_is_requested_again_too(made: Bench) -> None:
    rule = made.sandbox.faults.add("mute:symbol=MSFT")
    quick = made.with_settings(quote_timeout=0.5)
    assert quick.at("2026-11-20T15:30:05").load("snapshot", slot="now").exit_code == 6
    made.sandbox.faults.remove(rule)
    made.at("2026-11-20T15:53:00")
    late = run_load(
        made.settings, LoadRequest("ib", mode="snapshot", options={DUE: "missed"}), made.heard
    )
    assert late.exit_code == 0
    errors = "select distinct trade_date::text, snapshot_error from raw_ib.chain_snapshot"
    assert made.rows(errors) == [("2026-11-20", False)]


@pytest.mark.long
def test_a_whole_day_completes_each_slot_before_the_next(made: Bench) -> None:
    made.sandbox.faults.add("pacing:after=1:times=150")
    result = made.at("2026-11-19T15:00:01").load("snapshot", run_day="yes")
    assert result.status in ("succeeded", "partial")
    slots = (
        "select slot_label, count(*)::int, bool_or(snapshot_error) "
        "from raw_ib.chain_snapshot group by 1 order by 1"
    )
    assert made.rows(slots) == [("15:00", 44, False), ("15:30", 44, False), ("16:00", 44, False)]
    kinds = "select distinct ingest_run_type from raw_ib.slot_run order by 1"
    assert made.rows(kinds) == [("intraday",), ("recapture",)]


@pytest.mark.long
def test_a_slot_without_discovery_takes_the_newest_older_set(made: Bench) -> None:
    made.sandbox.faults.add("secdef-hang")
    results = made.at("2026-11-20T09:30:10").with_settings(timeout=0.5).due()
    # the slot comes first, then discovery, which fails
    assert results[0].status == "succeeded"
    assert made.rows(FLAGS)[0][0].startswith("discovery_stale")
    policies = (
        "select distinct policy, stale_from_date::text, first_seen_slot "
        "from raw_ib.session_contract where trade_date = '2026-11-20' order by 1"
    )
    stale = ("discovery_stale", "2026-11-19", None)
    assert made.rows(policies) == [stale]
    made.sandbox.faults.clear()
    again = made.at("2026-11-20T09:40:00").load("discover")
    assert again.exit_code == 0
    assert [text for text in again.warnings if "before 10:00 " in text]
    # what stood in stays; what the new price brings is added, from the next slot on
    assert made.rows(policies) == [stale, ("session_freeze", None, 1)]


def test_a_failed_slot_is_loaded_again_by_retry(made: Bench) -> None:
    rule = made.sandbox.faults.add("error:symbol=MSFT:code=420")
    assert made.load("snapshot", slot="now").exit_code == 6
    made.sandbox.faults.remove(rule)
    # as the command requests it: the job knows its task
    assert made.load("incremental", retry=True).exit_code == 0
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]


def test_a_load_without_a_task_is_planned_again_by_retry(made: Bench) -> None:
    made.sandbox.faults.add("error:code=420")
    made.load("snapshot", slot="now")
    made.sandbox.faults.clear()
    made.execute("delete from ops.ingestion_job_tasks")
    made.execute("update ops.ingestion_jobs set status = 'failed', error = 'the gateway is away'")
    assert made.load("incremental", retry=True).exit_code == 0
    assert counts(made) == [("AAPL", 28, 28), ("MSFT", 16, 16)]


def test_a_retry_leaves_a_slot_that_is_over(made: Bench) -> None:
    rule = made.sandbox.faults.add("error:symbol=MSFT:code=420")
    failed = made.load("snapshot", slot="now")
    assert (failed.exit_code, "retry" in failed.hint) == (6, False)
    made.sandbox.faults.remove(rule)
    before = made.table("chain_snapshot")
    late = made.at("2026-11-19T12:30:00").load("incremental", retry=True)
    assert (late.exit_code, made.table("chain_snapshot")) == (0, before)
    assert any(" slot 10:00 of 2026-11-19 " in text for text in late.warnings)
    with pytest.raises(UsageError, match="--slot 10:00 "):
        made.load("snapshot", slot="10:00")
    assert made.table("chain_snapshot") == before


@pytest.mark.long
def test_an_unknown_symbol_costs_the_others_nothing(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    own = tmp_path / "universe.csv"
    own.write_text("symbol,weight,group,enabled\nGONE,2,A,true\nAAPL,1,A,true\naapl,1,A,true\n")
    clock = "2026-11-19T09:25:00"
    with bench(
        new_database(), tmp_path / "home", symbols=["AAPL"], universe=own, clock=clock
    ) as made:

        def due(moment: str) -> list[tuple[str, int]]:
            result = [x for x in made.at(f"2026-11-19T{moment}").due() if not x.is_idle]
            return [(x.tasks[-1].dataset, x.exit_code) for x in result]

        assert due("09:25:00") == [("session_contract", 6)]
        assert any(re.search("line 4: .* 'aapl'", line) for line in made.heard.lines)
        assert due("09:26:00") == []
        captured = [("chain_snapshot", 0), ("session_contract", 6), ("chain_snapshot", 6)]
        assert due("10:00:05") == captured
        made.sandbox.log.clear()
        assert due("10:01:00") == due("10:20:00") == []
        assert made.sandbox.asked("reqMktData") == []
        assert due("17:00:00") == [("chain_close", 0)]
        assert due("17:01:00") == []
        runs = "select symbol, status, count(*)::int from raw_ib.slot_run group by 1, 2 order by 1"
        assert made.rows(runs) == [("AAPL", "complete", 2), ("GONE", "failed", 1)]


@pytest.mark.long
def test_a_slot_before_the_close_lands_with_the_setting_of_its_day(made: Bench) -> None:
    usual = "select slot_before_close_at from raw_ib.session where trade_date = %s"
    made = made.at("2026-11-19T15:45:05").with_settings(slot_before_close_enabled=True)
    (result,) = made.due()[:1]
    assert (result.status, result.exit_code) == ("succeeded", 0)
    row = "select distinct sample_time, slot_30m, slot_label from raw_ib.chain_snapshot"
    assert made.rows(row) == [(new_york("2026-11-19T15:45"), 14, "15:45")]
    # the sessions of the day landed with discovery, before the setting
    assert made.at("2026-11-20T09:25:00").load("discover").status == "succeeded"
    assert made.rows(usual, "2026-11-20") == [(new_york("2026-11-20T15:45"),)]
    assert made.rows(usual, "2026-11-27") == [(new_york("2026-11-27T12:45"),)]
    unset = made.at("2026-11-23T09:25:00").with_settings(slot_before_close_enabled=False)
    assert unset.load("discover").status == "succeeded"
    assert unset.rows(usual, "2026-11-20") == [(new_york("2026-11-20T15:45"),)]
    assert unset.rows(usual, "2026-11-27") == [(None,)]


def test_a_load_says_that_the_clock_of_the_gateway_is_off(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slots follow this machine's clock, which here is the market's."""
    monkeypatch.setattr(gateway_module, "machine_clock", lambda: made.sandbox.clock)
    requests = replace(source.SOURCE.requests, now=lambda _: made.sandbox.clock)
    here = replace(source.SOURCE, requests=requests)
    monkeypatch.setattr(source, "SOURCE", here)
    made.sandbox.faults.add("clock-off:seconds=90")
    load = made.with_settings(clock="machine").load("snapshot", slot="10:00")
    assert (load.exit_code, counts(made)) == (0, [("AAPL", 28, 28), ("MSFT", 16, 16)])
    assert [text for text in load.warnings if "+90 s" in text]
    [[text]] = made.rows("select text from raw_ib.gateway_event")
    assert "NTP" in str(text)
    for clock, is_warned in (("machine", True), ("gateway", False)):
        checked = check(made.with_settings(clock=clock).settings, made.sandbox.clock)
        warnings = "".join(checked.figures["warnings"])
        assert ("+90 s" in warnings) == is_warned
        assert ("+90 s and " in checked.sentence) != is_warned
