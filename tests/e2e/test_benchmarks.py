"""The benchmark runs, at a size whose figures mean nothing."""

from pathlib import Path
from typing import Any

import pytest

from loaders.tdx.tables import KLINE_MINUTE
from tests import timescale
from tests.benchmarks import (
    bar_peers,
    folder_peer,
    imports,
    increments,
    initial,
    landing,
    landing_parts,
    looking,
    market_day,
    page,
    reads,
    report,
    report_minutes,
    space,
    tick_store,
)
from tests.benchmarks.stages import wall_parts
from tests.conftest import require
from tests.integration.ticks.servers import require_questdb


def test_write_paths_land_the_same_rows_and_are_reported(server_url: str, tmp_path: Path) -> None:
    said: list[str] = []

    results = landing.side_by_side(
        server_url, tmp_path, codes=3, days=20, rounds=1, slow_rounds=0, say=said.append,
        quick=(landing.LANDING, landing.INSERT), slow=(),
    )  # fmt: skip

    assert results.rows == 60
    assert results.dead[landing.LANDING] == {"first": 0, "again": 0, "new": 0}
    assert results.dead[landing.INSERT]["again"] == 60
    assert len(said) == 2
    assert "our landing path" in report.landing_section(results)
    assert len(report.landing_aims(results)) == 5


def test_parts_of_a_first_load_add_up_to_all_of_it() -> None:
    dlt = {"extract": 1.0, "normalize": 0.5, "load": 8.5}
    straight = {**dlt, "job": 8.0, "look": 0.5, "copy": 5.0, "feed": 0.5}
    upsert = {**dlt, "job": 8.0, "look": 0.0, "copy": 2.0, "feed": 0.0}
    ratios = {landing.LANDING: 0.8, landing.UPSERT: 0.5, landing.BINARY: 2.0}
    ratio = {path: {"first": [found]} for path, found in ratios.items()}
    steps = {landing.LANDING: {"first": straight}, landing.UPSERT: {"first": upsert}}
    results = landing.Results(1_000, {}, ratio, steps, {}, {})

    assert sum(landing_parts.of_copy(results, landing.UPSERT).values()) == pytest.approx(2.0)
    text = landing_parts.section(results)
    assert f"| {landing_parts.COPY} | 0.62 | 0.40 |" in text
    assert "| **all** | 1.25 | 2.00 |" in text
    assert "2.00 times as fast as text. Straight we reach 0.40 of that" in text
    assert f"{landing_parts.FILE} (1.14)" in text


@pytest.mark.soak
def test_minutes_land_without_the_change_feed_too(server_url: str, tmp_path: Path) -> None:
    results = landing.side_by_side(
        server_url, tmp_path, codes=1, days=2, rounds=1, slow_rounds=0, say=lambda _: None,
        quick=(landing.LANDING, "landing:unfed"), slow=(), table=KLINE_MINUTE.name,
    )  # fmt: skip

    assert results.rows == 480
    assert results.dead["landing:unfed"] == {"first": 0, "again": 0, "new": 0}
    assert "480 minutes" in report_minutes.minutes_landing_section(results, 2)


@pytest.mark.soak
def test_a_day_of_ticks_is_loaded_from_a_service_of_its_own(
    server_url: str, tmp_path: Path
) -> None:
    [load] = market_day.tick_days(server_url, tmp_path, codes=3, count=1)

    ticks = load["tables"]["tick_trade"]
    assert ticks["read"] == load["new"] - 1  # and one new day of the calendar
    assert "ticks of 3 codes" in report_minutes.ticks_section([load], 3)


def test_ticks_go_into_questdb_by_every_path(tmp_path: Path) -> None:
    require_questdb()
    results = tick_store.side_by_side(tmp_path, 200, 1, 50, 2, None, lambda _: None)

    paths = {"stage", "ilp", "write_day", "client"}
    assert [set(of_size.seconds) for of_size in results] == [paths, paths]
    assert "200 ticks, ticks/s" in tick_store.section(results)
    assert len(tick_store.aims(results)) == 2


def test_reads_return_the_same_rows_from_every_store(server_url: str, tmp_path: Path) -> None:
    there = timescale.TSL_URL is not None or timescale.UNPACKED.is_dir()
    require("timescale", there, "no server has hypertables: .ci/timescale makes one")

    results = reads.side_by_side(server_url, tmp_path, 3, 30, lambda _: None)

    assert results.rows == {"history": 30, "section": 3, "month": 3 * 48 * reads.MONTH}
    stores = {"plain", "hyper", "duckdb"} | ({"compressed"} if timescale.TSL_URL else set())
    assert set(results.milliseconds) == stores
    assert "| one day of all codes (3 rows) |" in reads.section(results)


def test_where_dropping_indexes_stops_paying_is_told() -> None:
    gains = {0.0: 1.3, 1.0: 1.1, 4.0: 0.9}

    assert imports.break_even(gains) == "about 2.5 ×"
    assert imports.break_even({0.0: 0.98, 1.0: 1.1}) == "does not pay"
    assert imports.break_even({0.0: 1.3, 4.0: 1.1}) == "beyond 4 ×"
    found = {("kline_minute", "upsert", there): [1.2, 1.3] for there in imports.THERE}
    told = imports.section(found, {"kline_minute": 2_400}, [(12_000, 6, 3.388)])
    assert "| **break-even** | beyond 2 × |" in told
    assert "| 12,000 | 6 | 3.39 |" in told


def test_peers_and_what_compression_saves_are_reported() -> None:
    pairs = {name: [(1.0, 12.0), (2.0, 22.0), (1.0, 9.0)] for name in landing.PHASES}
    rows = dict.fromkeys(landing.PHASES, 1_000)
    peers = bar_peers.Results(rows, {"zvt": pairs}, {"zvt": (90.0, 200.0)}, {"other": "no server"})
    sizes = [
        space.Size("raw_tdx.kline_daily", 10, 1_720, 1_000, 86),
        space.Size("raw_tdx.kline_minute", 10, 1_000, 900, 200),
        space.Size("raw_tdx.tick_trade", 10, 1_000, 900, None),
    ]

    assert "| 83 (ours 1,000: 11.0 ×) |" in bar_peers.section(peers)
    assert "other: not measured, no server." in bar_peers.section(peers)
    assert [(found, met) for *_, found, met in bar_peers.aims(peers)] == [("11.0 ×", True)] * 2
    assert "| `raw_tdx.kline_daily` | 10 | 100 | 172 | 8.6 | 95.0% |" in space.section(sizes, 5, 9)
    assert [met for *_, met in space.aims(sizes)] == [True, False]


def test_a_folder_beside_tdx2db_is_reported_and_its_absence_told() -> None:
    load = {"bars": 1_000, "cpu": 1.5, "peak_mb": 300.0}
    ours = [{**load, "code": 0, "seconds": seconds} for seconds in (30.0, 70.0)]
    theirs = [{**load, "bars": 1_010, "seconds": seconds} for seconds in (10.0, 20.0)]
    found = folder_peer.Results("tdx2db v1", 1_010, ours, theirs)

    assert "| tdx2db v1 | 1,010 | 15.0 | 1.5 | 300 |" in folder_peer.section(found)
    assert "| quotemill | 1,000 | 50.0 | 1.5 | 300 |" in folder_peer.section(found)
    assert "3.25 times as long (3.00, 3.50)" in folder_peer.section(found)
    assert [aim[1:] for aim in folder_peer.aims(found)] == [("≤ 3 × its time", "3.25 ×", False)]
    assert f"/releases/tag/{folder_peer.RELEASE}" in folder_peer.section(None)
    assert folder_peer.aims(None) == []


def test_stages_of_an_initial_load_add_up_to_all_of_it() -> None:
    table = {"fetch": 1.0, "extract": 2.0, "land": 3.0, "read": 500}
    load = {"seconds": 20.0, "read": 1_000, "peak_mb": 100.0}
    load |= {"tables": {"kline_daily": table, "kline_minute": table}}
    nodes = [{"kind": "test", "name": str(number), "wall": 1.0} for number in range(10)]
    run = {"load": load, "build": {"seconds": 30.0, "peak_mb": 50.0, "nodes": nodes}}

    assert sum(initial.stages(run).values()) == pytest.approx(50.0)
    text = initial.section(run, 5, 10, 2)
    assert "20 rows/s" in text
    assert "The largest share: build: dbt's start, its hooks and its end, 40%." in text


def node(begin: int, end: int) -> dict[str, Any]:
    """What dbt tells of a node that ran between two seconds of a minute."""
    times = {"started_at": f"2025-07-01T08:00:{begin:02d}.000000Z"}
    return {"timing": [times | {"completed_at": f"2025-07-01T08:00:{end:02d}.000000Z"}]}


def test_nodes_that_run_at_once_share_the_wall_clock() -> None:
    skipped: dict[str, Any] = {"timing": []}

    assert wall_parts([node(0, 4), node(2, 4), skipped, node(6, 7)]) == [3.0, 1.0, 0.0, 1.0]


def a_day(codes: int, minutes: int, read: int) -> dict[str, Any]:
    """Figures of a day as market_day gives them."""
    table = {"fetch": 1.0, "fetch_cpu": 0.5}
    nodes = [
        {"kind": "model", "name": "kline_5m", "wall": 2.0},
        {"kind": "unit_test", "name": "kline_5m", "wall": 1.0},
    ]
    load = {"seconds": 9.0, "fetch": 4.0, "extract": 2.0, "land": 2.0, "peak_mb": 100.0}
    load |= {"new": codes, "read": codes, "requests": codes}
    names = ("security", "trading_day", "kline_daily", "kline_minute")
    rows: dict[str, Any] = {"rows_written": {"market.kline_5m": minutes}}
    rows |= {"rows_read": {"raw_tdx.kline_minute": read, "qa.other": 7}}
    return {
        "load": {**load, **rows, "tables": dict.fromkeys(names, table)},
        "build": {"seconds": 5.0, "peak_mb": 50.0, "nodes": nodes, **rows},
    }


def test_stages_of_a_day_add_up_to_all_of_it() -> None:
    text, aims = report_minutes.minutes_section({10: [a_day(10, 1, 1)], 40: [a_day(40, 1, 1)]})

    assert sum(report_minutes.day_stages([a_day(10, 1, 1)]).values()) == pytest.approx(14.0)
    assert "| build: 5, 15 and 30 minutes | 5 (14%) | 20 (14%) |" in text
    assert [met for *_, met in aims] == [True, True]


def test_a_build_that_reads_more_with_a_longer_history_misses_its_aim() -> None:
    _, aims = report_minutes.history_section({10: [a_day(3, 6, 6)], 40: [a_day(3, 6, 8)]}, 3)

    assert [(found, met) for _, _, found, met in aims] == [("6 and 6", True), ("6 and 8", False)]


def test_a_run_of_some_parts_keeps_what_the_others_measured() -> None:
    aims: list[report.Aim] = [("speed", "≥ 2", "3", True), ("memory", "≤ 1", "2", False)]
    sections = {"First": "one\n\ntwo", "Second": "three"}
    before = page.written("head", [("a", "b")], aims, sections, ("First", "Second"), "method")

    assert page.sections_of(before) == sections
    assert page.aims_of(before) == aims
    assert page.with_new(aims, [("memory", "≤ 1", "1", True)])[1] == ("memory", "≤ 1", "1", True)
    assert page.aims_of("") == []
    assert page.sections_of("") == {}


def test_an_increment_that_touches_more_with_more_codes_misses_its_aim() -> None:
    def change(read: int) -> increments.Change:
        node = {"model.quotemill.kline_daily_qfq": read}
        return {"load": 1.0, "build": 2.0, "nodes": 0.5, "written": {"market.b": 10}, "read": node}

    sizes = (*increments.by_codes(5, 40), *increments.by_history(5, 40))
    kinds = (increments.FULL, increments.DAY, increments.EVENT)
    found = {size: {kind: change(size[0] * 18) for kind in kinds} for size in sizes}
    text, aims = increments.section(found, 5, 40)

    assert "| one new event: rows read by the build | 90 | 180 | 360 | 4.00 |" in text
    assert "| `kline_daily_qfq` | 90 | 360 | 90 |" in text
    assert "at 4 × the codes in `kline_daily_qfq`;" in text
    assert [aim[2:] for aim in aims] == [("3.70 ×", False), ("1.00 ×", True)]


@pytest.mark.soak
def test_one_new_event_rewrites_the_history_of_its_code_alone(
    server_url: str, tmp_path: Path
) -> None:
    found = increments.of_size(server_url, tmp_path, (3, 60), 2, 1)

    written = found[increments.EVENT]["written"]
    assert written["raw_tdx.corporate_action"] == 1
    # before the ex-date, on the third day after the market's end: those of one code
    assert written["market.kline_daily_qfq"] == 62
    assert sum(found[increments.DAY]["read"].values()) > 0


@pytest.mark.soak
def test_looking_is_measured_on_a_warehouse_of_any_size(server_url: str, tmp_path: Path) -> None:
    [look] = looking.looks(server_url, tmp_path, [(3, 20)], 1, lambda _: None)

    assert set(look.seconds) == {looking.BARE, looking.STATUS, looking.REPORT}
    assert look.page > 10_000
    assert "| 60 | 600 |" in looking.section([look])
    assert [name for name, *_ in looking.aims([look])] == [
        "status, 60 day bars",
        "the report's page, 60 day bars",
    ]
