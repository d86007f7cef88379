"""Loads in parts: each shard its codes, the parts together what one load lands."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from loaders.engine.shard import Shard
from loaders.errors import PartialError, UsageError
from loaders.sandbox.world.market import SyntheticMarket
from tests.integration.tdx_load.bench import CORE, Bench

OpenBench = Callable[..., AbstractContextManager[Bench]]
CURSORS = "select dataset, key, cursor from ops.ingestion_state order by 1, 2"


def load_shards(made: Bench, count: int, **request: object) -> int:
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
