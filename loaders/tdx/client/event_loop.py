"""The event loop of a load, in a thread of its own.

Requests go on while rows land and while the warehouse is asked; whoever waits for an answer waits in
the thread that landed, and a request to stop ends that wait.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

from loaders.engine.outcome import Stopped

TICK = 0.5  # seconds between two looks, while requests are out, whether the load is to stop
K = TypeVar("K")
T = TypeVar("T")


class EventLoop:
    """A context manager; `stopping` is asked while somebody waits, in the thread that waits."""

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
        """Leave a client, whether the load is to stop or not."""
        work = client.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises Stopped once the load is to stop: it must not sit out the
        wait for a service that is down when nobody wants it any more."""
        return self._result(asyncio.run_coroutine_threadsafe(work, self._loop))

    def in_order(
        self,
        keys: Iterable[K],
        work: Callable[[K], Coroutine[Any, Any, T]],
        concurrency: int,
        room: Callable[[], bool] = lambda: True,
    ) -> Iterator[T]:
        """Results in the order of `keys`, a few more tasks than `concurrency` in the air at a time.

        Once there is no `room` for more it ends after what is in the air: the caller goes on from
        there. Raises Stopped as `run` does.
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
                    raise Stopped("stopped while the service was asked")
        except BaseException:
            future.cancel()
            raise
        return future.result()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
