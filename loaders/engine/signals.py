"""Handlers of signals for the time of a block."""

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Handle these signals so in a block, and restore the earlier handlers."""
    before = {sent: signal.signal(sent, handler) for sent, handler in handlers.items()}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


def wait_for_end(work: Future[Any]) -> None:
    """Wait in the main thread for work of another one, so that a signal is handled in a second.

    One that comes just before a wait without a limit is handled only once that wait has ended.
    """
    while not work.done():
        wait([work], timeout=1)
