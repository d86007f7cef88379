"""`--dry-run`: what a load would do, without a gateway where contracts are known, and without a row."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.request import LoadRequest
from loaders.errors import SettingsError, UpstreamError
from loaders.ib.planning import capacity, preview
from loaders.warehouse.postgres import open_warehouse
from tests.integration.ib.bench import Bench, bench, new_york

NOWHERE = {"host": "127.0.0.1", "port": 1, "connect_timeout": 0.5}  # nobody listens there


def look(made: Bench, at: str | None = "2026-11-19T10:00", **request: Any) -> preview.SlotPreview:
    asked = LoadRequest("ib", **request)
    moment = new_york(at) if at else None
    return preview.look(made.settings, open_warehouse(made.settings), asked, moment)


def test_known_contracts_are_planned_without_a_gateway(made: Bench) -> None:
    before = made.rows("select count(*) from ops.ingestion_jobs")
    made = made.with_settings(**NOWHERE)
    counts = dict(made.rows("select symbol, count(*) from raw_ib.session_contract group by 1"))
    found = look(made)
    assert {of.symbol: of.contracts for of in found.symbols} == counts
    assert {str(of.set_date) for of in found.symbols} == {"2026-11-19"}
    assert found.groups == (("AAPL", "MSFT"),)
    assert (found.tasks, len(found.slots), found.slots[0]) == (("snapshot",), 14, "09:30")
    total = sum(counts.values())
    assert (found.slot.contracts, found.slot.batch_size) == (total, 14)
    assert found.slot.batches == -(-total // 14)
    assert found.fits
    assert found.open_interest.batches == 1
    # without a moment it is that of the newest contracts: nobody is asked what time it is
    assert str(look(made, at=None).trade_date) == "2026-11-19"
    assert made.rows("select count(*) from ops.ingestion_jobs") == before


def test_where_nothing_is_known_the_moment_is_the_gateways(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    with bench(new_database(), tmp_path / "home", clock="2026-11-19T10:00:05") as made:
        found = look(made, at=None)
        assert str(found.trade_date) == "2026-11-19"
        assert found.tasks == ("discover", "snapshot")
        assert found.lines()[0] == "as of 2026-11-19 10:00 in New York"
        with pytest.raises(UpstreamError, match=re.escape("127.0.0.1:1")):
            look(made.with_settings(**NOWHERE), at=None)


def test_tasks_and_days_are_those_of_the_moment(made: Bench) -> None:
    made = made.with_settings(**NOWHERE)
    thanksgiving = look(made, at="2026-11-26T10:00")
    assert (str(thanksgiving.trade_date), len(thanksgiving.slots)) == ("2026-11-27", 8)
    assert thanksgiving.tasks == ()
    assert "no trading day" in thanksgiving.nothing_due
    # the contracts of five sessions before may stand in
    assert {str(of.set_date) for of in thanksgiving.symbols} == {"2026-11-19"}
    assert look(made, mode="close").tasks == ("close",)
    only = look(made, keys=("MSFT",))
    assert [of.symbol for of in only.symbols] == ["MSFT"]


def test_what_does_not_fit_is_told_and_refused_where_the_settings_say_so(made: Bench) -> None:
    tight = {"max_concurrent_snapshots": 1, "slot_grace_seconds": 1795}
    small = made.with_settings(**NOWHERE, **tight)
    found = look(small)
    left = {of.symbol: of.left_out for of in found.symbols}
    assert not found.fits
    assert sum(left.values()) == found.slot.contracts - found.capacity > 0
    assert any("do not fit a slot: the nearest strikes are taken" in line for line in found.lines())
    request, warehouse = LoadRequest("ib"), open_warehouse(made.settings)
    at = new_york("2026-11-19T10:00")
    assert preview.preview(small.settings, warehouse, request, at).error is None
    strict = small.with_settings(overflow="refuse").settings
    error = preview.preview(strict, warehouse, request, at).error
    assert isinstance(error, SettingsError)


def test_a_slot_is_planned_by_the_time_that_batches_took_lately(made: Bench) -> None:
    short = {"slot_grace_seconds": 1770}  # leaves 30 s
    made = made.with_settings(max_concurrent_snapshots=4, quote_timeout=12.0, **short)
    assert made.load("snapshot", slot="now").exit_code == 0
    assert (look(made).hold_s, look(made).fits) == (capacity.HOLD, True)  # no time passed
    # eleven batches; what was asked again tells nothing, nor what was never asked
    made.execute("update raw_ib.slot_run set finished_at = started_at + interval '121 seconds'")
    assert (look(made).hold_s, look(made).capacity) == (11.0, 8)
    made.execute("update raw_ib.slot_run set planned = 100 + planned, errors = 100")
    assert (look(made).hold_s, look(made).capacity) == (11.0, 8)
    found = made.at("2026-11-20T09:25:00").load("discover")
    [said] = [text for text in found.warnings if "the nearest strikes are taken" in text]
    assert "8 contracts fit" in said
    made.execute("update raw_ib.slot_run set attempts = 2")
    assert look(made).hold_s == capacity.HOLD


def test_of_symbols_that_nothing_is_known_of_the_gateway_is_asked(made: Bench) -> None:
    known = made.rows("select count(*)::int from raw_ib.session_contract where symbol = 'MSFT'")
    made.execute("delete from raw_ib.session_contract where symbol = 'MSFT'")
    listed = look(made).symbols[1]
    assert (listed.symbol, listed.set_date) == ("MSFT", None)
    assert (listed.contracts or 0) >= known[0][0] > 0
    assert "at most, by what is listed" in "".join(look(made).lines())
    with pytest.raises(UpstreamError, match=re.escape("127.0.0.1:1")):
        look(made.with_settings(**NOWHERE))
    # one of which nothing can be told keeps nobody from knowing of the others
    rule = made.sandbox.faults.add("secdef-empty")
    aapl, msft = look(made).symbols
    made.sandbox.faults.remove(rule)
    assert (aapl.contracts or 0) > 0
    assert (msft.contracts, msft.why) == (None, "the gateway tells of no options of MSFT")
