"""Waiting for the service in a way that a request to stop can end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from loaders.errors import PartialError

TICK = 0.5  # seconds between two looks, while requests are out, whether the load is to stop
T = TypeVar("T")


class Stopped(PartialError):
    """The load was asked to stop while it waited for the service."""


async def until(work: Coroutine[Any, Any, T], stop: Callable[[], bool]) -> T:
    """The result of `work`. Raises Stopped once `stop()` is true: a load must not sit out the
    wait for a service that is down when nobody wants it any more."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=TICK))[0]:
            if stop():
                raise Stopped("stopped while the service was asked")
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    return task.result()


async def following(stream: AsyncIterator[T]) -> T | None:
    """The next item of a stream, None at its end."""
    return await anext(stream, None)


async def close(stream: AsyncIterator[Any]) -> None:
    await stream.aclose()  # type: ignore[attr-defined]
