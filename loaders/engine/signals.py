"""Handlers of signals for the time of a block."""

import signal
from collections.abc import Callable, Iterator, Mapping
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
