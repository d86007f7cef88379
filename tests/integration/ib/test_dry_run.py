"""`--dry-run`: the plan of a load, without a row, and mostly without a gateway."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.request import LoadRequest
from loaders.engine.source import Previewed
from loaders.ib.planning import estimate
from loaders.ib.planning.dry_run import preview
from loaders.warehouse.postgres import open_warehouse
from orchestration.console.pages.words import translate
from quotemill.errors import UpstreamError
from tests.integration.ib.bench import Bench, bench, new_york

NOWHERE = {"host": "127.0.0.1", "port": 1}  # no gateway answers there


def dry_run(made: Bench, at: str | None = "2026-11-19T10:00", **request: Any) -> Previewed:
    as_of = new_york(at) if at else None
    warehouse = open_warehouse(made.settings)
    return preview(made.settings, warehouse, LoadRequest("ib", **request), as_of)


def test_known_contracts_are_planned_without_a_gateway(made: Bench) -> None:
    before = made.rows("select count(*) from ops.ingestion_jobs")
    made = made.with_settings(**NOWHERE)
    counts = dict(made.rows("select symbol, count(*) from raw_ib.session_contract group by 1"))
    plan = dry_run(made)
    detail = plan.detail
    assert {s["symbol"]: s["contracts"] for s in detail["symbols"]} == counts
    assert {str(s["set_date"]) for s in detail["symbols"]} == {"2026-11-19"}
    assert detail["groups"] == [("AAPL", "MSFT")]
    assert (detail["tasks"], detail["nothing_due"]) == (("snapshot",), "")
    assert (len(detail["slots"]), detail["slots"][0]) == (14, "09:30")
    assert "  snapshot: chain_snapshot AAPL, MSFT 2026-11-19 10:00 New York" in plan.lines
    total = sum(counts.values())
    assert (detail["slot"]["contracts"], detail["slot"]["batch_size"]) == (total, 14)
    assert detail["slot"]["batches"] == -(-total // 14)
    assert detail["fits"]
    assert detail["open_interest"]["batches"] == 1
    # without a time it is the clock's, here that of the gateway
    with pytest.raises(UpstreamError, match=re.escape("127.0.0.1:1")):
        dry_run(made, at=None)
    assert made.rows("select count(*) from ops.ingestion_jobs") == before


def test_before_the_first_load_the_gateways_time_counts(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    with bench(new_database(), tmp_path / "home", clock="2026-11-19T10:00:05") as made:
        plan = dry_run(made, at=None)
        assert str(plan.detail["trade_date"]) == "2026-11-19"
        assert plan.detail["tasks"] == ("discover", "snapshot")
        assert "2026-11-19 10:00 " in plan.lines[0]
        with pytest.raises(UpstreamError, match=re.escape("127.0.0.1:1")):
            dry_run(made.with_settings(**NOWHERE), at=None)


def test_the_plan_is_that_of_the_present_session_and_its_next_slot(made: Bench) -> None:
    for now, session, due in (
        (
            "2026-11-19T11:07",
            "session 2026-11-19: 14 slots (09:30 to 16:00), the next is at 11:30",
            "due: snapshot",
        ),
        (
            "2026-11-20T16:20",
            "session 2026-11-20: 14 slots (09:30 to 16:00)",
            "due: enrich",
        ),
        (
            "2026-11-26T11:07",
            "no session today, the next one is 2026-11-27: 8 slots (09:30 to 13:00)",
            "due: nothing, 2026-11-26 is not a trading day of New York's exchanges, the next "
            "one is 2026-11-27",
        ),
    ):
        made.at(now)
        lines = dry_run(made, at=None).lines
        assert lines[1:3] == (session, due)
        assert len(set(lines)) == len(lines)
        assert all(translate(line.strip()) for line in lines), lines


def test_tasks_and_days_are_those_of_the_time(made: Bench) -> None:
    made = made.with_settings(**NOWHERE)
    thanksgiving = dry_run(made, at="2026-11-26T10:00").detail
    assert (str(thanksgiving["trade_date"]), len(thanksgiving["slots"])) == ("2026-11-27", 8)
    assert thanksgiving["tasks"] == ()
    assert "not a trading day" in thanksgiving["nothing_due"]
    # the contracts of five sessions before may stand in
    assert {str(s["set_date"]) for s in thanksgiving["symbols"]} == {"2026-11-19"}
    early = dry_run(made, mode="close")
    assert (early.detail["tasks"], early.detail["nothing_due"]) == (("close",), "")
    assert any(re.match("due: close, .* 17:00 ", line) for line in early.lines)
    assert [s["symbol"] for s in dry_run(made, keys=("MSFT",)).detail["symbols"]] == ["MSFT"]


def test_contracts_that_do_not_fit_are_counted(made: Bench) -> None:
    tight = {"max_concurrent_snapshots": 1, "slot_window_minutes": 5 / 60}
    small = made.with_settings(**NOWHERE, **tight)
    plan = dry_run(small)
    left = plan.detail["slot"]["contracts"] - plan.detail["capacity"]
    assert (plan.detail["fits"], left > 0) == (False, True)
    assert any(re.search(rf"\b{left} contracts .* slot,", line) for line in plan.lines)
    assert plan.error is None


@pytest.mark.long
def test_a_slot_is_planned_by_the_time_of_recent_batches(made: Bench) -> None:
    def hold_s() -> float:
        return float(dry_run(made).detail["hold_s"])

    short = {"slot_window_minutes": 0.5}
    made = made.with_settings(max_concurrent_snapshots=4, quote_timeout=12.0, **short)
    assert made.load("snapshot", slot="now").exit_code == 0
    assert (hold_s(), dry_run(made).detail["fits"]) == (estimate.HOLD, True)  # no time passed
    # eleven batches; contracts that were requested again, or never, do not count
    made.execute("update raw_ib.slot_run set finished_at = started_at + interval '121 seconds'")
    assert (hold_s(), dry_run(made).detail["capacity"]) == (11.0, 8)
    made.execute("update raw_ib.slot_run set planned = 100 + planned, errors = 100")
    assert (hold_s(), dry_run(made).detail["capacity"]) == (11.0, 8)
    result = made.at("2026-11-20T09:25:00").load("discover")
    [warning] = [text for text in result.warnings if "do not fit into a slot" in text]
    assert " 8 contracts " in warning
    made.execute("update raw_ib.slot_run set attempts = 2")
    assert hold_s() == estimate.HOLD


def test_the_gateway_lists_the_contracts_of_unknown_symbols(made: Bench) -> None:
    known = made.rows("select count(*)::int from raw_ib.session_contract where symbol = 'MSFT'")
    made.execute("delete from raw_ib.session_contract where symbol = 'MSFT'")
    plan = dry_run(made)
    listed = plan.detail["symbols"][1]
    assert (listed["symbol"], listed["set_date"]) == ("MSFT", None)
    assert listed["contracts"] >= known[0][0] > 0
    assert "at most, from the gateway's list" in "".join(plan.lines)
    with pytest.raises(UpstreamError, match=re.escape("127.0.0.1:1")):
        dry_run(made.with_settings(**NOWHERE))
    # a symbol without an answer does not hide the others
    rule = made.sandbox.faults.add("secdef-empty")
    aapl, msft = dry_run(made).detail["symbols"]
    made.sandbox.faults.remove(rule)
    assert aapl["contracts"] > 0
    assert (msft["contracts"], "MSFT" in msft["why"]) == (None, True)
