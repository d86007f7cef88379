"""Newer builds of the service and quote servers land its rows, and years to come begin."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.tdx.quote_server import Temper
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import CORE, Bench, bench, days_until
from tests.integration.tdx_load.conftest import OpenBench
from tests.integration.tdx_load.folder import ClientFolder

NEWER = "2026-04"
OF_DAYS = ("trading_calendar", "kline_daily")
OF_ALL = (*CORE, "kline_5m", "minute_1m", "tick_trade", "quote_snapshot")
OF_BUILDS = (*OF_ALL, "stock_info", "market_stats_snapshot")
OF_SERVERS = (*OF_ALL, "kline_weekly", "kline_monthly", "kline_60m")
WAYS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "service": ((*OF_BUILDS, *OF_SERVERS[-3:]), {}),
    "newer build": (OF_BUILDS, {"build": NEWER}),
    "servers": (OF_SERVERS, {"tempers": (Temper.GOOD,)}),
}
# when and by which way a row came
WAY_OF_A_ROW = {"fetched_at", "first_seen_at", "sampled_at", "route_no", "file_no"}
# what a quote of the newer build no longer tells
UNTOLD = {"current_hand", "inside_dish", "outer_disc", "server_time", "active1", "active2"}
SINGLES = {"volume", "amount"}  # what servers send as single floats
B_SHARE = "sh900901"  # which the service's list never has
FIRST_DAY = date(2027, 1, 4)
# which every way fills
TABLES = (
    "security",
    "trading_day",
    "kline_daily",
    "index_kline",
    "kline_period",
    "kline_minute",
    "tick_trade",
    "quote",
)


@pytest.fixture(scope="module")
def way(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Bench]:
    """A market of every kind of code, loaded by one of the ways."""
    market = SyntheticMarket(codes=7, days=40, seed=3)

    @cache
    def load(name: str) -> Bench:
        datasets, options = WAYS[name]
        with bench(market, new_database(), tmp_path_factory.mktemp("home"), **options) as made:
            assert made.load(datasets=datasets).exit_code == 0
        return made

    return load


def landed(bench: Bench, but: set[str], conditions: dict[str, str]) -> dict[str, list[Any]]:
    """The rows of each table without some columns, those in single floats last."""
    columns: dict[str, list[str]] = {}
    for table, column in bench.rows(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = 'raw_tdx' and table_name !~ '^_' and column_name !~ '^_'"
    ):
        if column not in but:
            columns.setdefault(table, []).append(column)
    rows = {}
    for table, unordered in columns.items():
        names = sorted(unordered, key=lambda name: (name in SINGLES, name))
        listed = f"code <> '{B_SHARE}'" if "code" in names else "true"
        where = f"{listed} and {conditions.get(table, 'true')}"
        quoted = ", ".join(f'"{name}"' for name in names)
        query = f"select {quoted} from raw_tdx.{table} where {where} order by {quoted}"
        rows[table] = [dict(zip(names, row, strict=True)) for row in bench.rows(query)]
    return rows


def test_both_builds_land_the_same_rows(way: Callable[[str], Bench]) -> None:
    rows = []
    for name in ("service", "newer build"):
        used = {entry.route for entry in way(name).sandbox.log}
        assert {"batch-quote", "kline-all", "minute-trade-all"} <= used
        untold = way(name).rows("select distinct inside_dish is null from raw_tdx.quote")
        assert untold == [(name == "newer build",)]
        both_have = {"kline_period": "period = 'minute5'"}
        rows.append(landed(way(name), WAY_OF_A_ROW | UNTOLD | {"source_route"}, both_have))
    old, new = rows
    assert {table for table in old if old[table] != new[table]} == set()
    assert {table for table in old if old[table]} >= {*TABLES, "stock_info", "market_stats"}


def is_alike(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    close = (math.isclose(ours[n], theirs[n], rel_tol=1e-6) for n in SINGLES & ours.keys())
    return all(close) and all(ours[n] == theirs[n] for n in ours.keys() - SINGLES)


def test_servers_and_the_service_land_the_same_rows(way: Callable[[str], Bench]) -> None:
    both_have = {
        "kline_daily": "volume > 0",  # of days without a trade the service has no bar
        # the sums of its minutes' odd shares are no hands by the service
        "kline_period": "not (code like 'bj%' and period in ('minute5', 'hour'))",
    }
    rows = {}
    for name in ("service", "servers"):
        made = way(name)
        by_servers = "TCP" in {entry.method for entry in made.sandbox.log}
        b_shares = made.rows("select 1 from raw_tdx.kline_daily where code = %s", B_SHARE)
        assert by_servers is bool(b_shares) is (name == "servers")
        rows[name] = landed(made, WAY_OF_A_ROW, both_have)
    for table in TABLES:
        ours, theirs = rows["servers"][table], rows["service"][table]
        assert theirs
        assert len(ours) == len(theirs), table
        assert all(starmap(is_alike, zip(ours, theirs, strict=True))), table


@pytest.mark.parametrize("options", [{"build": NEWER}, {"tempers": (Temper.GOOD,)}])
def test_the_first_trading_day_of_a_year_lands(
    open_bench: OpenBench, options: dict[str, Any]
) -> None:
    market = SyntheticMarket(codes=6, days=40, seed=3, end=FIRST_DAY)
    before = max(day for day in market.days if day < FIRST_DAY)
    with open_bench(market, clock=before, **options) as bench:
        for day in range((FIRST_DAY - before).days + 1):  # with holidays
            bench.sandbox.set_clock(before + timedelta(days=day))
            assert bench.load(datasets=OF_DAYS).exit_code == 0
        query = "select max(trade_date) from raw_tdx.trading_day where source = 'service'"
        served = bench.rows(query)
        newest = bench.rows("select max(trade_date) from raw_tdx.kline_daily")
    assert served == newest == [(FIRST_DAY,)]


def test_the_folder_has_the_first_trading_day_of_a_year(warehouse_dsn: str, tmp_path: Path) -> None:
    market = SyntheticMarket(codes=2, days=40, seed=3, end=FIRST_DAY)
    days = days_until(market)
    folder = ClientFolder(tmp_path / "client", market, days, warehouse_dsn, tmp_path)
    for day in days[-2:]:
        folder.write(day)
        bench = folder.load(day, datasets=OF_DAYS)
    query = "select max(trade_date) from raw_tdx.trading_day where source = 'client'"
    assert bench.rows(query) == [(FIRST_DAY,)]
    assert bench.rows("select max(trade_date) from raw_tdx.kline_daily") == [(FIRST_DAY,)]
