"""Counts of this process that no result carries: `requests`, `bytes` of answers, `retries`.

A load takes the difference between its start and its end. Threads may count at once.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import stamina

from loaders import log

RETRIES_LOGGED = 200  # of a process; all are counted
_log = logging.getLogger(__name__)
_turn = threading.Lock()
_counts: Counter[str] = Counter()
_has_hook = False  # whether stamina calls us


def count(name: str, times: int = 1) -> int:
    """Add to a count; returns the new total."""
    with _turn:
        _counts[name] += times
        return _counts[name]


def counted() -> Counter[str]:
    """A copy of the counts so far."""
    with _turn:
        return _counts.copy()


@contextmanager
def retries_counted() -> Iterator[None]:
    """Count and log retries in a block, in the place of stamina's warning for each.

    Blocks may be nested. The hooks of before are not asked for: making stamina's own would import
    prometheus_client into every command.
    """
    global _has_hook
    if _has_hook:
        yield
        return
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    _has_hook = True
    try:
        yield
    finally:
        _has_hook = False
        stamina.instrumentation.set_on_retry_hooks(None)


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    _log.debug("retry %d in %.1f s: %s", details.retry_num, details.wait_for, details.caused_by)
    if count("retries") <= RETRIES_LOGGED:
        log.write("info", f"retrying: {details.caused_by}", attempt=details.retry_num + 1)
