"""An event loop in a thread of its own: a server that lives beside who uses it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from loaders.errors import UsageError


class LoopThread:
    """Runs `serve` from `start` to `stop`. It opens what it serves, awaits `until_stopped`, and closes; what
    it raises before that, `start` raises."""

    def __init__(self, name: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._serve = serve
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._up.wait()
        if self._failed is not None:
            self._thread.join()
            raise self._failed

    def stop(self) -> None:
        """And wait for the end of it."""
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stopping.set)
        self._thread.join()

    async def until_stopped(self) -> None:
        """All is open: let `start` return, and wait for `stop`."""
        assert self._stopping is not None
        self._up.set()
        await self._stopping.wait()

    def do(self, work: Callable[[], object], seconds: float = 10.0) -> None:
        """Call something in the thread, and wait until it is done, at most so long. Raises UsageError if the
        loop does not run."""
        if self._loop is None or self._loop.is_closed():
            raise UsageError("the sandbox does not run")
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(seconds)

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Let something run in the thread, if its loop does."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            return
        asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failed = error
        finally:
            self._up.set()

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._serve()
