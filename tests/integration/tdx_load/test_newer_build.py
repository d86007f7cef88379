"""Loads from the service's build of April 2026, and the first trading days of years to come."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import CORE, Bench, bench, days_until
from tests.integration.tdx_load.folder import ClientFolder

OpenBench = Callable[..., AbstractContextManager[Bench]]
DATASETS: tuple[str, ...] = (*CORE, "minute_1m", "kline_5m", "tick_trade", "quote_snapshot")
DATASETS += ("stock_info", "market_stats_snapshot")
# the way of a row, and what a quote no longer tells
UNLIKE = {"source_route", "fetched_at", "first_seen_at", "current_hand", "inside_dish"}
UNLIKE |= {"outer_disc", "server_time", "active1", "active2", "route_no", "file_no", "sampled_at"}

FILLED = """
    security trading_day kline_daily index_kline kline_minute tick_trade quote stock_info
    market_stats
"""
FIRST_DAYS = (date(2027, 1, 4), date(2028, 1, 4))


def landed(bench: Bench) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of all tables in the columns that both builds tell."""
    columns: dict[str, list[str]] = {}
    for table, column in bench.rows(
        "select table_name, column_name from information_schema.columns "
        "where table_schema = 'raw_tdx' order by ordinal_position"
    ):
        if column not in UNLIKE and not (table.startswith("_") or column.startswith("_")):
            columns.setdefault(table, []).append(f'"{column}"')
    return {
        table: sorted(bench.rows(f"select {', '.join(names)} from raw_tdx.{table}"), key=str)
        for table, names in columns.items()
    }


def test_both_builds_land_the_same_rows(
    filled_database: Callable[..., str], small_market: SyntheticMarket, tmp_path: Path
) -> None:
    rows = {}
    for build in ("2025-11", "2026-04"):

        def fill(dsn: str, build: str = build) -> None:
            with bench(small_market, dsn, tmp_path, build=build) as made:
                assert made.load(datasets=DATASETS).exit_code == 0
                used = {entry.route for entry in made.sandbox.log}
                assert {"batch-quote", "kline-all", "minute-trade-all"} <= used

        dsn = filled_database(f"build of {build}", fill)
        with bench(small_market, dsn, tmp_path, build=build) as made:
            rows[build] = landed(made)
            untold = made.rows("select distinct inside_dish is null from raw_tdx.quote")
            assert untold == [(build == "2026-04",)]
    old, new = rows["2025-11"], rows["2026-04"]
    assert {table for table in old if old[table] != new[table]} == set()
    filled = {table for table in old if old[table]}
    assert filled >= set(FILLED.split())


@pytest.mark.parametrize("build", ["2025-11", "2026-04"])
@pytest.mark.parametrize("first", FIRST_DAYS)
def test_the_first_trading_day_of_a_year_lands(
    open_bench: OpenBench, build: str, first: date
) -> None:
    market = SyntheticMarket(codes=6, days=40, seed=3, end=first)
    before = max(day for day in market.days if day < first)
    with open_bench(market, clock=before, build=build) as bench:
        assert bench.load().exit_code == 0
        for day in range((first - before).days):  # holidays, then the day itself
            bench.sandbox.set_clock(before + timedelta(days=day + 1))
            assert bench.load(mode="incremental").exit_code == 0
        query = "select max(trade_date) from raw_tdx.trading_day where source = 'service'"
        served = bench.rows(query)
        newest = bench.rows("select max(trade_date) from raw_tdx.kline_daily")
    assert served == newest == [(first,)]


@pytest.mark.parametrize("first", FIRST_DAYS)
def test_the_folder_has_the_first_trading_day_of_a_year(
    warehouse_dsn: str, tmp_path: Path, first: date
) -> None:
    market = SyntheticMarket(codes=6, days=40, seed=3, end=first)
    days = days_until(market)
    folder = ClientFolder(tmp_path / "client", market, days, warehouse_dsn, tmp_path)
    for day in days[-2:]:
        folder.write(day)
        bench = folder.load(day, datasets=("trading_calendar", "kline_daily"))
    query = "select max(trade_date) from raw_tdx.trading_day where source = 'client'"
    assert bench.rows(query) == [(first,)]
    assert bench.rows("select max(trade_date) from raw_tdx.kline_daily") == [(first,)]
