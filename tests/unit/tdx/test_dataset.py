"""Datasets that share a table, and the order and number of keys in the air."""

import asyncio
from collections.abc import AsyncIterator

from loaders.engine.outcome import in_order
from loaders.tdx import plan
from loaders.tdx.datasets import kline_daily


def test_datasets_that_share_a_table_tell_their_cursors_apart() -> None:
    weekly, hourly = plan.KEYED["kline_weekly"], plan.KEYED["kline_60m"]
    assert weekly.landed is hourly.landed
    key = weekly.cursor_key("sh600000")
    assert key == "sh600000 week"
    assert (weekly.has_cursor(key), hourly.has_cursor(key)) == (True, False)
    assert kline_daily.DATASET.cursor_key("sh600000") == "sh600000"
    assert kline_daily.DATASET.has_cursor("sh600000")


def test_results_come_in_the_order_of_their_keys_however_long_each_takes() -> None:
    async def slower_the_earlier(key: int) -> int:
        for _ in range(10 - key):
            await asyncio.sleep(0)
        return key

    async def collect() -> list[int]:
        return [found async for found in in_order(range(10), slower_the_earlier, 2)]

    assert asyncio.run(collect()) == list(range(10))


def test_a_reader_who_leaves_cancels_what_is_in_the_air() -> None:
    begun, ended = list[int](), list[int]()

    async def work(key: int) -> int:
        begun.append(key)
        if key:
            await asyncio.Event().wait()
        ended.append(key)
        return key

    async def read_one(stream: AsyncIterator[int]) -> int:
        first = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        return first

    async def within_a_moment() -> int:
        return await asyncio.wait_for(read_one(in_order(range(10), work, 2)), timeout=5)

    assert asyncio.run(within_a_moment()) == 0
    assert begun == [0, 1, 2, 3]
    assert ended == [0]


def test_without_room_no_further_key_is_begun_and_what_is_begun_comes() -> None:
    begun = list[int]()

    async def work(key: int) -> int:
        begun.append(key)
        return key

    async def collect() -> list[int]:
        return [n async for n in in_order(range(10), work, 2, room=lambda: len(begun) < 3)]

    assert asyncio.run(collect()) == begun
    assert 3 <= len(begun) < 10
