"""The benchmarks run, at sizes whose figures mean nothing."""

from pathlib import Path

import psycopg
import pytest

from tests import real_market
from tests.benchmarks import builds, loads, nights, page, ticks
from tests.integration.ticks.servers import require_questdb


def silent(text: str) -> None:
    """Progress of a benchmark, which the tests ignore."""


def test_write_paths_store_the_same_rows(server_url: str, tmp_path: Path) -> None:
    paths = (loads.LANDING, loads.INSERT)
    results = loads.compare_paths(
        server_url, tmp_path, 3, rounds=1, say=silent, paths=paths, days=20
    )

    assert results.rows == 60
    assert [results.dead[loads.LANDING, phase] for phase in loads.PHASES] == [0, 0, 0]
    assert results.dead[loads.INSERT, "again"] == 60
    text, aims = loads.section(results, {path: {500: 2.0, 1_000: 1.0} for path in paths})
    assert "into 500 | into 1,000 | dead rows" in text
    assert "| **our landing path** |" in text
    assert len(aims) == 6


@pytest.mark.soak
def test_small_loads_are_compared_by_rows_in_the_table(server_url: str, tmp_path: Path) -> None:
    small = loads.compare_small_loads(
        server_url, tmp_path, (500, 1_000), rounds=1, loads=1, say=silent
    )

    assert set(small) == set(loads.PATHS)
    assert all(set(by_size) == {500, 1_000} for by_size in small.values())


def test_ticks_go_into_questdb_by_every_path(tmp_path: Path) -> None:
    require_questdb()
    sizes = {"day_rows": 200, "small_rows": 50, "small_days": 2}
    results = ticks.compare_paths(tmp_path, rounds=1, say=silent, **sizes)

    paths = {"stage", "ilp", "write_day", "client"}
    assert [set(size.seconds) for size in results] == [paths, paths | {"write_days"}]
    assert "200 ticks/s" in ticks.section(results)[0]


@pytest.mark.soak
def test_an_event_writes_the_history_of_its_code_alone(server_url: str, tmp_path: Path) -> None:
    figures = builds.measure_size(server_url, tmp_path, (3, 60), minute_days=2, count=1)

    # the event itself, and the adjusted bars before it, on the second day after the market's end
    assert 62 < figures[builds.EVENT]["written"] < 150
    assert figures[builds.DAY]["read"] > 0


def test_an_increment_that_touches_more_misses_its_aim() -> None:
    def figures(rows: float) -> builds.Figures:
        return {"load": 1.0, "build": 2.0, "written": 10, "read": rows}

    kinds = (builds.FULL, builds.DAY, builds.EVENT)
    sizes = builds.sizes(5, 40)
    results = {size: {kind: figures(size[0] * 18) for kind in kinds} for size in sizes}
    assert builds.section(results)[1] == [
        page.Aim("rows touched by an event at 4 × the codes 3.70 ×", "≤ 1.1", False),
        page.Aim("rows touched by a day at 4 × the history 1.00 ×", "≤ 1.1", True),
    ]


@pytest.mark.long
def test_nights_of_a_real_market_are_measured(
    server_url: str, real_client: Path, tmp_path: Path
) -> None:
    codes = real_market.write_real_market(tmp_path / "client", 5, real_client)
    with loads.database(server_url) as dsn:
        settings = {"QUOTEMILL_TDX__CLIENT": str(tmp_path / "client")}
        home = builds.Home(tmp_path, dsn, settings)
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
