"""Datasets that share a table, and the order and number of keys in the air."""

import asyncio
from collections.abc import Iterator
from threading import Event

import pytest

from loaders.engine.outcome import Stopped
from loaders.tdx.client.event_loop import EventLoop
from loaders.tdx.datasets import kline_daily
from loaders.tdx.source import SOURCE


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
