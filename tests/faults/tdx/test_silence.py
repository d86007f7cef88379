"""What kept a load, or a retry after it, quiet about days and codes that were missing."""

import os
import socket
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest

from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.servers import pool
from loaders.warehouse import lock as locks
from loaders.warehouse.postgres import open_warehouse
from tests.faults.tdx.test_frozen import freeze
from tests.integration.tdx_load.bench import Bench
from tests.integration.tdx_load.conftest import OpenBench

BARS = ("kline_daily",)
NEWEST = "select max(trade_date) from raw_tdx.kline_daily"


def test_other_failures_of_a_code_do_not_hide_that_its_day_is_missing(
    open_bench: OpenBench, small_market: SyntheticMarket, days: list[date]
) -> None:
    with open_bench(small_market, clock=days[-6]) as bench:
        bench.load(datasets=("kline_daily", "minute_1m"))
        bench.sandbox.set_clock(days[-5], restart=True)
        for (code,) in bench.rows("select distinct code from raw_tdx.kline_daily"):
            if code != "sh600002":
                bench.sandbox.faults.add(f"stale:kline-all:code={code}:rows=1")
        for route in ("kline-all/tdx", "kline-history", "minute"):
            bench.sandbox.faults.add(f"error:{route}")
        result = bench.load(datasets=("kline_daily", "minute_1m"))
        late = [t for t in result.tasks if t.dataset == "kline_daily" and t.failures]
        assert late

        bench.sandbox.faults.clear()
        bench.load(retry=True)
        assert bench.rows(NEWEST) == [(days[-5],)]


def test_a_retry_after_a_calendar_that_stood_still_checks_everything(
    open_loaded: OpenBench, days: list[date]
) -> None:
    with open_loaded(clock=days[-6]) as bench:
        bench.sandbox.set_clock(days[-3], restart=True)
        freeze(bench, 3)
        assert bench.load(datasets=BARS).exit_code == 6
        bench.sandbox.faults.clear()
        assert bench.load(retry=True).exit_code == 0
        assert bench.rows(NEWEST) == [(days[-3],)]


def test_mute_quote_servers_fail_their_codes_and_hide_nothing_else(
    open_bench: OpenBench,
    small_market: SyntheticMarket,
    days: list[date],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "PUBLIC", [])
    with open_bench(small_market, clock=days[-6], corporate_actions="xdxr") as bench:
        bench.load(datasets=BARS)
        bench.sandbox.set_clock(days[-5], restart=True)
        bench.sandbox.faults.add("stale:kline-all:rows=1")
        result = bench.load(datasets=("kline_daily", "corporate_actions"))
        assert result.exit_code == 4
        assert {t.dataset for t in result.tasks if t.failures} == {*BARS, "corporate_actions"}


def test_a_last_day_without_trade_means_the_trading_day_before_it(
    market_bench: Bench, days: list[date]
) -> None:
    saturday = next(d + timedelta(1) for d in reversed(days[:-3]) if d.weekday() == 4)
    assert market_bench.load(until=saturday).exit_code == 0
    assert market_bench.load(until=saturday).exit_code == 0


def test_a_load_as_of_an_earlier_day_calls_nothing_frozen(
    market_bench: Bench, days: list[date]
) -> None:
    earlier = datetime.combine(days[-6], datetime.min.time()).replace(hour=18)
    result = market_bench.load(clock=earlier, datasets=("trading_calendar",))
    assert not any("stopped updating" in text for text in result.warnings)


def test_an_answer_that_cannot_be_unpacked_costs_its_code_alone(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = httpx.AsyncClient.send

    async def send(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> Any:
        if "kline-all" in str(request.url) and "sh600000" in str(request.url):
            raise httpx.DecodingError("Error -3 while decompressing data")
        return await real(self, request, **options)

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    result = market_bench.load(datasets=BARS)
    assert result.exit_code == 6
    assert {code for t in result.tasks for code in t.failures} == {"sh600000"}


def test_a_code_that_the_list_lacks_is_named_and_no_longer_listed(market_bench: Bench) -> None:
    market_bench.load(datasets=BARS)
    before = market_bench.klines()
    market_bench.sandbox.faults.add("codes-vanish:code=sh600000")
    result = market_bench.load(datasets=BARS)
    assert result.exit_code == 0
    [named] = [text for text in result.warnings if "sh600000" in text]
    assert (named,) in market_bench.rows(
        "select event from ops.ingestion_logs where job_id = %s", result.job_id
    )
    unlisted = "select code from raw_tdx.security where not is_listed"
    assert market_bench.rows(unlisted) == [("sh600000",)]
    assert market_bench.klines() == before

    market_bench.sandbox.faults.clear()
    assert market_bench.load(datasets=BARS).warnings == ()
    assert market_bench.rows(unlisted) == []


def test_a_connection_that_broke_does_not_lock_out_its_own_load(market_bench: Bench) -> None:
    market_bench.load(datasets=("trading_calendar",))
    warehouse = open_warehouse(market_bench.settings)
    for _ in range(10):
        with locks.load_lock(warehouse, "tdx") as lock:
            broken = socket.socket(fileno=os.dup(lock._conn.fileno()))
            broken.shutdown(socket.SHUT_RDWR)
            broken.close()
            lock.confirm()
