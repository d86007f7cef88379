"""Datasets that share a table, and the order and number of keys in the air."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.engine.outcome import Outcome, Stopped
from loaders.landing.staging import COPY_ROWS
from loaders.settings import load_settings
from loaders.tdx.client.event_loop import EventLoop
from loaders.tdx.context import FILES_AHEAD, Context, catch_failure
from loaders.tdx.datasets import kline_daily
from loaders.tdx.source import SOURCE
from quotemill.warehouse.postgres import WarehouseAway


def test_datasets_that_share_a_table_tell_their_cursors_apart() -> None:
    weekly, hourly = SOURCE.dataset("kline_weekly"), SOURCE.dataset("kline_60m")
    assert weekly.landed is hourly.landed
    key = weekly.cursor_key("sh600000")
    assert key == "sh600000 week"
    assert (weekly.has_cursor(key), hourly.has_cursor(key)) == (True, False)
    assert kline_daily.DATASET.cursor_key("sh600000") == "sh600000"
    assert kline_daily.DATASET.has_cursor("sh600000")


def test_a_row_names_the_cursor_that_moves_with_it() -> None:
    row = {"code": "sh000001", "period": "week"}
    index = SOURCE.dataset("index_kline")
    assert index.cursor_of(row) == "sh000001 week"
    assert index.cursor_of(row | {"period": "day"}) == "sh000001"
    assert SOURCE.dataset("kline_weekly").cursor_of(row) == "sh000001 week"
    assert kline_daily.DATASET.cursor_of(row) == "sh000001"


def test_results_come_in_the_order_of_their_keys_however_long_each_takes() -> None:
    async def slower_the_earlier(key: int) -> int:
        for _ in range(10 - key):
            await asyncio.sleep(0)
        return key

    with EventLoop() as loop:
        assert list(loop.in_order(range(10), slower_the_earlier, 2)) == list(range(10))


def test_a_reader_who_leaves_cancels_what_is_in_the_air() -> None:
    begun, ended, cancelled = list[int](), list[int](), list[int]()

    async def work(key: int) -> int:
        begun.append(key)
        if key:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(key)
                raise
        ended.append(key)
        return key

    with EventLoop() as loop:
        results = loop.in_order(range(10), work, 2)
        assert next(results) == 0
        results.close()
    assert begun == [0, 1, 2, 3]
    assert ended == [0]
    assert cancelled == [1, 2, 3]


def test_without_room_no_further_key_is_begun_and_what_is_begun_comes() -> None:
    begun = list[int]()

    async def work(key: int) -> int:
        return key

    def keys() -> Iterator[int]:
        for key in range(10):
            begun.append(key)
            yield key

    with EventLoop() as loop:
        result = list(loop.in_order(keys(), work, 2, room=lambda: len(begun) < 4))
    assert result == [0, 1, 2]


def test_a_request_to_stop_ends_the_wait_for_an_answer_that_never_comes() -> None:
    stop = Event()

    async def never() -> None:
        stop.set()
        await asyncio.Event().wait()

    with EventLoop(stop.is_set) as loop, pytest.raises(Stopped):
        loop.run(never())


def test_a_warehouse_that_is_away_ends_the_load_and_fails_no_key() -> None:
    async def ask() -> Outcome:
        raise WarehouseAway("the warehouse is away")

    with pytest.raises(WarehouseAway):
        asyncio.run(catch_failure("sh600000", ask()))


def test_files_are_read_ahead_in_order_until_the_package_is_full() -> None:
    read, rows = list[str](), list(range(COPY_ROWS // 2))
    codes = [f"sh60000{number}" for number in range(9)]
    ctx: Any = SimpleNamespace(room=lambda: len(landed) < 3)

    def read_file(code: str) -> Outcome:
        read.append(code)
        return Outcome(code, rows)

    landed: list[str] = []
    for outcome in Context.at_once(ctx, codes, read_file):
        landed.append(outcome.key)
    assert 3 <= len(landed) <= 6  # and a batch that is read meanwhile
    assert landed == read == codes[: len(read)]  # nothing is read in vain
    ctx.room = lambda: True
    rest = codes[len(landed) :]
    assert [o.key for o in Context.at_once(ctx, rest, read_file)] == rest


def test_files_of_few_rows_are_not_all_read_ahead() -> None:
    read, codes = list[str](), [f"sh{number}" for number in range(600_000, 600_200)]
    ctx: Any = SimpleNamespace(room=lambda: True)

    def read_file(code: str) -> Outcome:
        read.append(code)
        return Outcome(code, [1])

    outcomes = Context.at_once(ctx, codes, read_file)
    assert next(outcomes).key == codes[0]
    outcomes.close()  # waits for what is being read
    assert len(read) == 2 * FILES_AHEAD


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ({"client": "/srv/tdx"}, sys.maxsize),
        ({"client": "/srv/tdx", "slice_size": 3}, 3),
        ({"client": "/srv/tdx", "corporate_actions": "xdxr"}, 500),
        ({"client": "/srv/tdx", "base_url": "http://127.0.0.1:1"}, 500),
    ],
)
def test_a_package_of_files_alone_has_all_codes_of_its_task(
    tmp_path: Path, settings: dict[str, Any], codes: int
) -> None:
    assert SOURCE.slice_size(load_settings({}, cwd=tmp_path, tdx=settings)) == codes
