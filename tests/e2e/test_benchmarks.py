"""The benchmarks run, at sizes whose figures mean nothing."""

from pathlib import Path

import psycopg
import pytest

from tests import timescale
from tests.benchmarks import (
    commands,
    databases,
    frames,
    increments,
    landing,
    nights,
    page,
    peers,
    reads,
    real_market,
    tdx2db,
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
    [written] = tick_writes.compare_batches(tmp_path, [2], 50, say=silent)
    assert min(written.bytes_singly, written.bytes_together) > 0


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
        page.Aim("rows touched by an event at 4 × the codes 3.70 ×", "≤ 1.1", False),
        page.Aim("rows touched by a day at 4 × the history 1.00 ×", "≤ 1.1", True),
    ]


def test_bars_are_reported_beside_those_of_peers() -> None:
    pairs = {("zvt", phase): [(1.0, 12.0), (2.0, 22.0), (1.0, 9.0)] for phase in landing.PHASES}
    results = peers.Results(dict.fromkeys(landing.PHASES, 1_000), pairs, {"zvt": (90.0, 200.0)})

    text, aims = peers.section(results)
    assert "| 83 (11.0 ×) |" in text
    assert aims == [page.Aim("zvt 11.00 ×", "≥ 10", True)]


def test_loads_beside_tdx2db_are_reported_by_the_median_of_pairs() -> None:
    theirs = {"bars": 1_000, "cpu": 1.5, "peak_mb": 300.0, "seconds": 10.0}
    pairs = [(theirs | {"seconds": seconds}, theirs) for seconds in (14.0, 90.0, 12.0)]
    text, aims = tdx2db.section({"real": tdx2db.Market(1_000, pairs)})

    assert "| 14.0 s, 1.5 CPU s, 300 MB | 10.0 s, 1.5 CPU s, 300 MB | 1.40 (1.20 to 9.00) |" in text
    assert aims[0] == page.Aim("real bars 1.40 × tdx2db", "≤ 1.5", True)


@pytest.mark.long
def test_nights_of_a_real_market_are_measured(
    server_url: str, real_client: Path, tmp_path: Path
) -> None:
    codes = real_market.write_real_market(tmp_path / "client", 5, real_client)
    with databases.database(server_url) as dsn:
        settings = {"QUOTEMILL_TDX__CLIENT": str(tmp_path / "client")}
        home = commands.Home(tmp_path, dsn, settings)
        result = nights.measure_market(home, tmp_path / "client", codes, repeats=1)

        with psycopg.connect(dsn) as conn:
            days = conn.execute(
                "select trade_date from market.kline_daily where code = %s "
                "order by trade_date desc limit 3",
                (codes[1],),
            ).fetchall()
            events = conn.execute(
                "select code from market.corporate_actions where ex_date = %s order by code",
                (days[0][0],),
            ).fetchall()
    assert [str(day) for (day,) in days] == ["2017-04-20", "2017-04-19", "2017-04-18"]
    assert [code for (code,) in events] == codes[:2]
    assert all(seconds > 0 for runs in result.seconds.values() for seconds in runs)
    [to_prices] = result.seconds[nights.PRICES]
    assert to_prices < sum(result.seconds[nights.LOAD] + result.seconds[nights.BUILD])
    text, aims = nights.section({"real": result})
    assert "| one new event, s |" in text
    assert len(aims) == 5


def test_a_run_of_some_parts_keeps_the_sections_of_the_others() -> None:
    texts = {"Old": "four", "Second": "three", "First": "one\n\ntwo"}
    aims = {
        "First": [page.at_least("fast", 2, 3), page.at_most("small", 1, 2, "MB")],
        "Old": [page.at_most("dead rows", 0, 0, ""), page.at_most("time", 1, 2, "s")],
    }
    written = page.write_page(texts, aims, ("First", "Second"))

    assert list(page.read_sections(written).items()) == [
        ("First", "one\n\ntwo"),
        ("Second", "three"),
        ("Old", "four"),
    ]
    assert page.read_aims(written) == aims
    assert written.index("| First | fast 2.00 × (aim ≥ 3) | **missed** |") < written.index(
        "| Old | dead rows 0.00 (aim ≤ 0); time 1.00 s (aim ≤ 2) | met |"
    )
    assert page.read_sections("") == page.read_aims("") == {}


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
        page.Aim("pandas.read_sql 4.00 ×", "≥ 5", False),
        page.Aim("connectorx 2.00 ×", "≥ 1", True),
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
