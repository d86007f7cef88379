"""The benchmarks run, at sizes whose figures mean nothing."""

from pathlib import Path

import pytest

from tests import timescale
from tests.benchmarks import (
    databases,
    frames,
    increments,
    landing,
    page,
    peers,
    reads,
    tick_space,
    tick_store,
    tick_writes,
    verification,
)
from tests.benchmarks.processes import measured
from tests.conftest import require
from tests.integration.ticks.servers import require_questdb


def silent(text: str) -> None:
    """Progress of a benchmark, which the tests ignore."""


def test_write_paths_store_the_same_rows(server_url: str, tmp_path: Path) -> None:
    paths = (landing.LANDING, landing.INSERT)
    results = landing.compare_paths(
        server_url, tmp_path, 3, rounds=1, say=silent, paths=paths, days=20
    )

    assert results.rows == 60
    assert [results.dead[landing.LANDING, phase] for phase in landing.PHASES] == [0, 0, 0]
    assert results.dead[landing.INSERT, "again"] == 60
    text, aims = landing.section(results, {path: {500: 2.0, 1_000: 1.0} for path in paths})
    assert "into 500 | into 1,000 | dead rows" in text
    assert "| **our landing path** |" in text
    assert len(aims) == 6


@pytest.mark.soak
def test_small_loads_are_compared_by_rows_in_the_table(server_url: str, tmp_path: Path) -> None:
    small = landing.compare_small_loads(
        server_url, tmp_path, (500, 1_000), rounds=1, loads=1, say=silent
    )

    assert set(small) == set(landing.SMALL)
    assert all(set(by_size) == {500, 1_000} for by_size in small.values())


def test_ticks_go_into_questdb_by_every_path(tmp_path: Path) -> None:
    require_questdb()
    sizes = {"day_rows": 200, "small_rows": 50, "small_days": 2}
    results = tick_store.compare_paths(tmp_path, rounds=1, with_peer=False, say=silent, **sizes)

    paths = {"stage", "ilp", "write_day", "client"}
    assert [set(size.seconds) for size in results] == [paths, paths | {"write_days"}]
    assert "200 ticks/s" in tick_store.section(results)[0]


@pytest.mark.soak
def test_bytes_of_days_written_singly_and_together_are_compared(tmp_path: Path) -> None:
    require_questdb()
    results = tick_writes.compare_batches(tmp_path, [2], 50, say=silent)
    text, aims = tick_writes.section(results)
    assert "| 2 |" in text
    assert len(aims) == 1


def test_stored_ticks_are_verified_in_bulk_and_day_by_day(tmp_path: Path) -> None:
    require_questdb()
    results = verification.compare_ways(
        tmp_path, varieties=2, days=3, rows=50, sample=2, say=silent
    )
    assert (results.days, results.ticks) == (6, 300)


def test_the_disk_that_ticks_take_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_questdb()
    monkeypatch.setattr(tick_space, "_await_purge", lambda home: None)
    space = tick_space.measure_space(tmp_path, levels=[5, 1], days=2, rows=500)
    assert space.ticks == 2_000
    assert space.files == 257.0
    assert 0 < space.zstd < space.lz4 < space.files


def test_every_store_returns_the_same_rows(server_url: str, tmp_path: Path) -> None:
    there = timescale.TSL_URL is not None or timescale.UNPACKED.is_dir()
    require("timescale", there, "no server has hypertables: .ci/timescale makes one")

    results = reads.compare_stores(server_url, tmp_path, 3, 30, say=silent)

    assert results.rows == {"history": 30, "section": 3, "month": 3 * 48 * reads.MONTH}
    stores = {"plain", "hyper", "duckdb"} | ({"compressed"} if timescale.TSL_URL else set())
    assert {store for store, _ in results.milliseconds} == stores
    assert "| one day of all codes (3 rows) |" in reads.section(results)[0]


@pytest.mark.soak
def test_an_event_writes_the_history_of_its_code_alone(server_url: str, tmp_path: Path) -> None:
    figures = increments.measure_size(server_url, tmp_path, (3, 60), minute_days=2, count=1)

    # the event itself, and the adjusted bars before it, on the second day after the market's end
    assert 62 < figures[increments.EVENT]["written"] < 150
    assert figures[increments.DAY]["read"] > 0


def test_an_increment_that_touches_more_misses_its_aim() -> None:
    def figures(rows: float) -> increments.Figures:
        return {"load": 1.0, "build": 2.0, "written": 10, "read": rows}

    kinds = (increments.FULL, increments.DAY, increments.EVENT)
    sizes = increments.sizes(5, 40)
    results = {size: {kind: figures(size[0] * 18) for kind in kinds} for size in sizes}
    assert increments.section(results)[1] == [
        "**rows touched by an event at 4 × the codes 3.70 × (aim ≤ 1.1)**",
        "rows touched by a day at 4 × the history 1.00 × (aim ≤ 1.1)",
    ]


def test_bars_are_reported_beside_those_of_peers() -> None:
    pairs = {("zvt", phase): [(1.0, 12.0), (2.0, 22.0), (1.0, 9.0)] for phase in landing.PHASES}
    results = peers.Results(dict.fromkeys(landing.PHASES, 1_000), pairs, {"zvt": (90.0, 200.0)})

    text, aims = peers.section(results)
    assert "| 83 (11.0 ×) |" in text
    assert aims == ["zvt 11.00 × (aim ≥ 10)"]


def test_a_folder_is_reported_with_and_without_tdx2db() -> None:
    load = {"bars": 1_000, "cpu": 1.5, "peak_mb": 300.0, "seconds": 50.0}
    figures = {"first load": load, "nothing new": load | {"seconds": 3.0}}

    assert f"/releases/tag/{peers.RELEASE}" in peers.folder_section(figures)[0]
    text, aims = peers.folder_section(figures | {peers.TDX2DB: load | {"seconds": 10.0}})
    assert "| tdx2db | 1,000 | 10.0 | 1.5 | 300 |" in text
    assert aims[-1] == "**first load beside tdx2db 5.00 × its time (aim ≤ 3)**"


def test_a_run_of_some_parts_keeps_the_sections_of_the_others() -> None:
    texts = {"Old": "four", "Second": "three", "First": "one\n\ntwo"}
    written = page.page(texts, ("First", "Second"))

    assert list(page.sections(written).items()) == [
        ("First", "one\n\ntwo"),
        ("Second", "three"),
        ("Old", "four"),
    ]
    assert page.sections("") == {}


def test_a_page_of_readings_has_both_sides_of_each_ratio() -> None:
    results = frames.Results(20, 10)
    sides = {"exact": 2.0, "float": 1.0, "batches": 2.0, frames.CONNECTORX: 4.0}
    for part in (frames.PART, 1):
        rows = 200 // part
        for reader, seconds in sides.items():
            figures = {"seconds": seconds, "cpu": 1.0, "rows": rows, "peak_mb": 100.0}
            results.figures[reader, part] = [figures]
    for reader in (frames.READ_SQL, frames.PSYCOPG):
        results.figures[reader, frames.PART] = [
            {"seconds": 4.0, "cpu": 1.0, "rows": 20, "peak_mb": 200.0}
        ]
    text, aims = frames.section(results)
    assert aims == [
        "**pandas.read_sql 4.00 × (aim ≥ 5)**",
        "connectorx 2.00 × (aim ≥ 1)",
    ]
    assert "| psycopg: tuples | 5 | 50000.00 | 200 |  |  |  |" in text


@pytest.mark.parametrize("way", ["exact", "float", "batches"])
def test_bars_are_read_in_each_way(server_url: str, way: str) -> None:
    with databases.database(server_url) as url:
        frames.fill(url, 3, 20)
        query = f"select {frames.COLUMNS} from bars where code < 'sh600002'"
        figures = measured("frames", "read_bars", url=url, query=query, way=way)
    assert figures["rows"] == 40
    assert figures["peak_mb"] > 0
