"""Loads in parts: each shard its codes, the parts together what one load lands."""

import contextlib
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from loaders import loads
from loaders.cli.jobs import format_whole
from loaders.engine import jobs, shard_jobs
from loaders.engine.request import LoadRequest
from loaders.engine.shard import Shard
from loaders.errors import PartialError, UsageError
from loaders.progress import Silent
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx import source
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tdx_load.bench import CORE, Bench

OpenBench = Callable[..., AbstractContextManager[Bench]]
CURSORS = "select dataset, key, cursor from ops.ingestion_state order by 1, 2"


def load_shards(made: Bench, count: int, **request: Any) -> int:
    """Load every part, the last first; the number of rows that changed."""
    changed = 0
    for number in range(count, 0, -1):
        done = made.load(options={"shard": f"{number}/{count}"}, **request)
        assert done.status == "succeeded", done.error
        changed += sum(t.rows_new + t.rows_changed for t in done.tasks if t.dataset in CORE[2:])
    return changed


def asked(made: Bench, route: str) -> list[str]:
    return sorted(entry.params["code"] for entry in made.sandbox.log if entry.route == route)


@pytest.mark.long
def test_shards_land_what_one_load_lands_and_their_number_may_change(
    market_bench: Bench, loaded_bench: Bench
) -> None:
    load_shards(market_bench, 2)
    assert market_bench.klines() == loaded_bench.klines()
    assert market_bench.rows(CURSORS) == loaded_bench.rows(CURSORS)

    loaded_bench.load()
    whole = asked(loaded_bench, "kline-all")
    for count in (5, 3):
        market_bench.sandbox.log.clear()
        assert load_shards(market_bench, count) == 0
        # those that one load asks for again: codes that are suspended or delisted
        assert asked(market_bench, "kline-all") == whole
    again = market_bench.load()
    assert again.total("rows_new") + again.total("rows_changed") == 0
    assert market_bench.rows(CURSORS) == loaded_bench.rows(CURSORS)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "x/2", "1/1001", "-1/2", "1/0", "½/2"])
def test_what_is_no_part_of_a_whole_is_refused(market_bench: Bench, text: str) -> None:
    with pytest.raises(UsageError, match="not a part of a whole"):
        market_bench.load(options={"shard": text})


def test_codes_and_a_shard_exclude_each_other(market_bench: Bench) -> None:
    with pytest.raises(UsageError, match="one of --codes"):
        market_bench.load(codes=["sh600000"], options={"shard": "1/2"})


def test_the_parts_of_a_market_are_disjoint_even_and_the_same_everywhere() -> None:
    codes = [f"sh{600_000 + n}" for n in range(5_000)]
    parts = [[code for code in codes if Shard(n, 5).takes(code)] for n in range(1, 6)]
    assert sorted(itertools.chain.from_iterable(parts)) == codes
    assert all(900 < len(part) < 1_100 for part in parts)
    # of another process, machine and version too
    assert Shard(2, 5).takes("sh600000")


def test_the_shards_share_the_rate_of_requests(
    open_bench: OpenBench, small_market: SyntheticMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []

    def open_client(tdx: TdxSettings, **options: Any) -> TdxClient:
        rates.append(tdx.requests_per_second)
        return TdxClient(tdx, **options)

    monkeypatch.setattr(source, "TdxClient", open_client)
    with open_bench(small_market, requests_per_second=4_000.0) as bench:
        for shard in ("1/4", "3/4"):
            bench.load(datasets=["codes"], options={"shard": shard})
        bench.load(datasets=["codes"])
    assert rates == [1_000.0, 1_000.0, 4_000.0]


def test_a_code_that_failed_in_a_shard_is_retried_there(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, faults=["error:kline-all:code=sh600000"], retries=0) as bench:
        number = next(n for n in (1, 2) if Shard(n, 2).takes("sh600000"))
        done = bench.load(options={"shard": f"{number}/2"})
        assert done.exit_code == PartialError.exit_code
        bench.sandbox.faults.clear()
        bench.sandbox.log.clear()
        assert bench.load(retry=True).exit_code == 0
        assert asked(bench, "kline-all") == ["sh600000"]


@pytest.mark.long
def test_one_retry_loads_what_is_left_of_all_shards(
    open_bench: OpenBench, small_market: SyntheticMarket
) -> None:
    with open_bench(small_market, retries=0) as bench:
        codes = [s.code for s in small_market.securities if s.code.startswith("sh60")]
        broken = [next(c for c in codes if Shard(n, 3).takes(c)) for n in (1, 3)]
        for code in broken:
            bench.sandbox.faults.add(f"error:kline-all:code={code}")
        first, second, third = (
            bench.load(options={"shard": f"{number}/3"}) for number in (1, 2, 3)
        )
        assert [first.exit_code, second.exit_code, third.exit_code] == [6, 0, 6]
        warehouse = open_warehouse(bench.settings)
        [whole] = shard_jobs.report(warehouse)["shards"]
        assert (whole["status"], whole["failed"], whole["absent"]) == ("partial", 2, [])
        assert whole["to_retry"] == [first.job_id, third.job_id]

        bench.sandbox.faults.clear()
        bench.sandbox.log.clear()
        again = loads.retry_parts(
            bench.settings,
            LoadRequest("tdx"),
            lambda: contextlib.nullcontext(Silent()),
            as_of=bench.sandbox.clock.replace(tzinfo=SHANGHAI),
        )
        assert [result.status for result in again] == ["succeeded"] * 2
        assert asked(bench, "kline-all") == sorted(broken)
        [whole] = shard_jobs.report(warehouse, 1)["shards"]
        assert (whole["status"], whole["failed"]) == ("succeeded", 0)
        assert whole["jobs"] == {1: again[0].job_id, 2: second.job_id, 3: again[1].job_id}
        assert "tdx incremental in 3 shards, succeeded" in format_whole(whole)

        bench.load(options={"shard": "2/3"})  # begins the next one
        [whole] = shard_jobs.report(warehouse)["shards"]
        assert (whole["status"], whole["absent"]) == ("partial", [1, 3])
        assert "not started: 1, 3" in format_whole(whole)


def test_one_cancel_asks_all_shards_of_a_source(market_bench: Bench) -> None:
    market_bench.load(codes=["sh600000"], datasets=["codes"])
    warehouse = open_warehouse(market_bench.settings)
    with contextlib.ExitStack() as stack:
        running = []
        for number in (1, 2):
            request = LoadRequest("tdx", options={"shard": f"{number}/2"})
            lane = f"tdx_{number}"
            stack.enter_context(load_lock(warehouse, lane))
            at = datetime(2025, 6, 30, tzinfo=UTC)
            running.append(jobs.start_job(warehouse, lane, request, "incremental", at))
        assert shard_jobs.report(warehouse)["shards"][0]["status"] == "running"
        assert jobs.request_cancel(warehouse, None, running[0]) == running[:1]
        assert jobs.request_cancel(warehouse, "tdx") == running[::-1]
        assert jobs.request_cancel(warehouse) == running[::-1]
        asked_to_stop = (
            "select job_id from ops.ingestion_jobs where cancel_requested_at is not null"
        )
        assert sorted(market_bench.rows(asked_to_stop)) == [(job,) for job in running]
        stack.enter_context(load_lock(warehouse, "toy"))
        jobs.start_job(warehouse, "toy", LoadRequest("toy"), "incremental", at)
        with pytest.raises(UsageError, match="several jobs are running"):
            jobs.request_cancel(warehouse)
