"""An event loop in a thread starts, reports why it cannot, calls work, and stops."""

import threading

import pytest

from loaders.sandbox.server.loop_thread import LoopThread
from quotemill.errors import UsageError


def test_it_serves_from_start_to_stop_and_calls_work_in_its_thread() -> None:
    seen: list[str] = []

    async def serve() -> None:
        seen.append("open")
        await thread.wait_until_stopped()
        seen.append("closed")

    thread = LoopThread("server", serve)
    with pytest.raises(UsageError, match="sandbox"):
        thread.call(lambda: None)
    thread.start()
    thread.call(lambda: seen.append(threading.current_thread().name))
    thread.stop()
    assert seen == ["open", "server", "closed"]
    thread.stop()  # a second stop does nothing
    with pytest.raises(UsageError, match="sandbox"):
        thread.call(lambda: None)


def test_start_raises_what_serve_raises() -> None:
    async def serve() -> None:
        raise UsageError("port 1 cannot be opened")

    with pytest.raises(UsageError, match="port 1"):
        LoopThread("server", serve).start()
