"""The sample of historical data after the close: printed, never landed, harmless."""

from datetime import date
from typing import Any

import pytest

from loaders.engine.load import Load
from loaders.ib.history_probe import ends_week
from tests.integration.ib.bench import Bench


def probed(
    made: Bench, *faults: str, count: int = 5, day: str = "2026-11-20"
) -> tuple[str, dict[str, Any], int]:
    """The line printed, the detail in the job's log, and the number of requests."""
    rules = [made.sandbox.faults.add(fault) for fault in faults]
    made.sandbox.log.clear()
    made = made.at(f"{day}T17:00:00").with_settings(history_probe=count)
    assert made.load("close").exit_code == 0
    for rule in rules:
        made.sandbox.faults.remove(rule)
    lines = [line for line in made.heard.lines if line.startswith("history probe")]
    detail = made.rows(
        "select detail from ops.ingestion_logs where event = 'history probe' order by log_id desc"
    )
    requests = len(list(made.sandbox.asked("reqHistoricalData")))
    return lines[-1] if lines else "", detail[0][0] if detail else {}, requests


def test_answers_are_counted_and_spread_over_the_symbols(made: Bench) -> None:
    line, detail, requests = probed(made)
    assert line == "history probe: 5 of 5 contracts have bars; open interest of 5, of today alone"
    assert requests == len(detail) == 5
    assert {symbol[:6].strip().lstrip("2") for symbol in detail} == {"AAPL", "MSFT"}
    assert set(detail.values()) == {5}  # eight hours, a bar a session
    raw = made.rows(
        "select table_name from information_schema.tables where table_schema = 'raw_ib'"
    )
    assert not [name for (name,) in raw if "history" in name]
    # a close that is loaded again, since contracts of it failed, has no further sample
    made.heard.lines.clear()
    assert probed(made)[::2] == ("", 0)


def test_a_close_that_was_stopped_leaves_the_sample_to_the_next(made: Bench) -> None:
    def stop(load: Load) -> None:
        load.watch.asked = lambda: made.sandbox.requests > 20  # type: ignore[method-assign]

    stopped = made.at("2026-11-20T17:00:00").with_settings(history_probe=5)
    assert stopped.load("close", on_start=stop).status == "cancelled"
    recorded = "select count(*)::int from raw_ib.slot_run where ingest_run_type = 'close'"
    assert made.rows(recorded) == [(2,)]
    line, _, requests = probed(made)
    assert (line.split(";")[0], requests) == ("history probe: 5 of 5 contracts have bars", 5)


def test_a_history_without_bars_is_no_failure(made: Bench) -> None:
    line, detail, _ = probed(made, "no-history")
    end = "5 have none; open interest of 5, of today alone"
    assert line == f"history probe: 0 of 5 contracts have bars; {end}"
    assert set(detail.values()) == {0}


def test_a_refusal_for_too_many_requests_ends_the_sample(made: Bench) -> None:
    line, detail, requests = probed(made, "history:times=1")
    assert (
        line
        == "history probe: 0 of 5 contracts have bars; pacing 5; open interest of 5, of today alone"
    )
    assert requests == 1
    assert sorted(set(detail.values()))[1] == "not asked: too many requests"
    # the close had its own requests: it is whole, and no refusal is counted as its
    assert made.rows("select distinct status, pacing_events from raw_ib.slot_run") == [
        ("complete", 0)
    ]


def test_without_permission_each_contract_says_so(made: Bench) -> None:
    text = "Historical Market Data Service error message, No market data permissions for OPT"
    line, detail, requests = probed(made, f"history:symbol=AAPL:message={text}")
    assert line.startswith("history probe: ")
    assert "no_permission" in line
    assert requests == 5
    assert text in detail.values()


def test_only_the_last_session_of_a_week_has_a_probe(made: Bench) -> None:
    assert probed(made, day="2026-11-19") == ("", {}, 0)
    # the Friday after Thanksgiving is one, the Wednesday before is not
    assert [ends_week(date(2026, 11, n)) for n in (20, 25, 27)] == [True, False, True]
    assert ends_week(date(2026, 4, 2))  # Good Friday is a holiday


@pytest.mark.long
def test_open_interest_that_does_not_come_counts(made: Bench) -> None:
    line, _, _ = probed(made, "no-oi")
    assert line.endswith("; open interest of 0, of today alone")


def test_without_the_setting_nothing_is_requested(made: Bench) -> None:
    assert probed(made, count=0) == ("", {}, 0)
