"""An event loop in its own thread, for a server that runs beside its user."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from quotemill.errors import UsageError


class LoopThread:
    """Runs `serve` from `start` to `stop`.

    `serve` opens its ports, awaits `wait_until_stopped`, and closes them; what it raises before
    that, `start` raises.
    """

    def __init__(self, name: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._serve = serve
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._up = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._up.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop(self) -> None:
        """Stop serving and wait for the thread."""
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with contextlib.suppress(RuntimeError):  # the loop is already closed
                loop.call_soon_threadsafe(stopping.set)
        self._thread.join()

    async def wait_until_stopped(self) -> None:
        """Let `start` return, and wait for `stop`."""
        assert self._stopping is not None
        self._up.set()
        await self._stopping.wait()

    def call(self, work: Callable[[], object], seconds: float = 10.0) -> None:
        """Call something in the thread and wait until it returns, at most so many seconds.

        Raises UsageError if the loop does not run.
        """
        if self._loop is None or self._loop.is_closed():
            raise UsageError("the sandbox is not running")
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(seconds)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Let a coroutine run in the thread, if its loop does."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            return
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._error = error
        finally:
            self._up.set()

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._serve()
