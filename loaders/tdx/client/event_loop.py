"""The event loop of a load, in its own thread.

Requests continue while rows land and while the warehouse answers a query. A caller waits for an
answer in the landing thread, and a request to stop ends that wait.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

from loaders.engine.outcome import Stopped

TICK = 0.5  # seconds between two checks, while requests are out, whether to stop
K = TypeVar("K")
T = TypeVar("T")


class EventLoop:
    """An event loop in a thread; a waiting thread calls `stopping` meanwhile."""

    def __init__(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self._stopping = stopping
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="requests", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def close(self, client: AbstractAsyncContextManager[Any]) -> None:
        """Leave a client's context, whether the load is to stop or not."""
        work = client.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises Stopped once the load is to stop."""
        return self._result(asyncio.run_coroutine_threadsafe(work, self._loop))

    def in_order(
        self,
        keys: Iterable[K],
        work: Callable[[K], Coroutine[Any, Any, T]],
        concurrency: int,
        room: Callable[[], bool] = lambda: True,
    ) -> Iterator[T]:
        """Results in the order of `keys`, with up to twice `concurrency` tasks under way.

        Starts no more tasks once `room` is false. Raises Stopped as `run` does.
        """
        pending: deque[Future[T]] = deque()
        try:
            for key in keys:
                if not room():
                    break
                pending.append(asyncio.run_coroutine_threadsafe(work(key), self._loop))
                if len(pending) >= 2 * concurrency:
                    yield self._result(pending.popleft())
            while pending:
                yield self._result(pending.popleft())
        finally:
            for future in pending:
                future.cancel()

    def _result(self, future: Future[T]) -> T:
        try:
            while not wait([future], timeout=TICK).done:
                if self._stopping():
                    raise Stopped("stopped during a request to the service")
        except BaseException:
            future.cancel()
            raise
        return future.result()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
