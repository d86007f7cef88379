"""A worker node of Citus that stops in mid-statement costs a run, and no row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.progress import Silent
from loaders.landing import load_job
from loaders.sandbox.world.market import SyntheticMarket
from loaders.warehouse.postgres import open_warehouse
from orchestration.run.build import build
from quotemill.errors import UpstreamError
from quotemill.warehouse import postgres
from tests import citus
from tests.conftest import DBT_DATABASE
from tests.e2e.editions.test_loads import CODES, DATASETS, MINUTES, TICKS
from tests.integration.tdx_load.bench import bench, days_until

ROLLUPS = ("--select", "+kline_5m", "+kline_15m", "+int_ticks__days")
MINUTE_TABLE = "raw_tdx.kline_minute"
BUILT = (
    "select * from market.kline_5m order by code, bar_end",
    "select * from market.kline_15m order by code, bar_end",
    "select * from quotemill_intermediate.int_ticks__days order by code, trade_date",
)


def test_a_node_that_stops_in_mid_statement_costs_a_run_and_no_row(
    new_database: Callable[..., str],
    new_citus_database: Callable[..., str],
    quick_builds: None,
    models_alone: None,
    small_market: SyntheticMarket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 0.01)
    monkeypatch.setattr(load_job, "ROUNDS", 1)
    evenings = days_until(small_market)[-2:]

    def played(url: str, name: str) -> list[Any]:
        home = tmp_path / name
        home.mkdir()
        with bench(small_market, url, home, clock=evenings[0]) as made:

            def load(*datasets: str) -> None:
                assert made.load(codes=CODES, datasets=datasets or DATASETS).exit_code == 0

            def build_bars() -> None:
                warehouse = open_warehouse(made.settings)
                result = build(made.settings, warehouse, Silent, arguments=ROLLUPS)
                assert result is not None
                assert result.succeeded, result.failures

            def lose(work: Callable[[], None], table: str, mode: str) -> None:
                with node.stopping(table, mode):
                    for _ in range(2):  # as it stops, and while it is away
                        with pytest.raises(UpstreamError, match=node.address):
                            work()

            load("codes")
            if name == "citus":
                node = citus.find_worker(url)
                lose(load, MINUTE_TABLE, "exclusive")  # a COPY
            load()
            if name == "citus":
                lose(build_bars, MINUTE_TABLE, "access exclusive")
            build_bars()
            made.sandbox.set_clock(evenings[1])
            if name == "citus":
                lose(load, MINUTE_TABLE, "exclusive")  # an upsert
            load()
            if name == "citus":
                with (
                    node.stopping("market.kline_5m", "exclusive", then="restart"),
                    pytest.raises(UpstreamError, match=node.address),
                ):
                    build_bars()
            build_bars()
            return [made.rows(query) for query in (MINUTES, TICKS, *BUILT)]

    theirs = played(new_citus_database(DBT_DATABASE), "citus")
    plain = played(new_database(DBT_DATABASE), "plain")

    assert theirs == plain
    assert all(plain)


def test_a_build_sees_the_rows_of_a_node_that_stopped_in_a_commit(
    new_citus_database: Callable[..., str],
    quick_builds: None,
    models_alone: None,
    small_market: SyntheticMarket,
    tmp_path: Path,
) -> None:
    url = new_citus_database(DBT_DATABASE)
    with bench(small_market, url, tmp_path, clock=days_until(small_market)[-1]) as made:
        made.load(codes=CODES, datasets=["codes", "trading_calendar", "kline_daily"])
        node = citus.find_worker(url)
        with node.stopping(MINUTE_TABLE, "exclusive", in_commit=True):
            landed = made.load(codes=CODES, datasets=["minute_1m"])
        assert landed.exit_code == 0
        minutes = "select count(*) from raw_tdx.kline_minute"
        assert made.rows(minutes)[0][0] < landed.total("rows_new")  # as nobody has yet asked

        warehouse = open_warehouse(made.settings)
        result = build(made.settings, warehouse, Silent, arguments=ROLLUPS)

        assert result is not None
        assert result.succeeded, result.failures
        assert made.rows(minutes) == [(landed.total("rows_new"),)]
        assert made.rows("select count(distinct code) from market.kline_5m") == [(len(CODES),)]
