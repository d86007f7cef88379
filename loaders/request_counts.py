"""How often this process did what no result hands on: `requests`, `bytes` of their answers, `retries`.

A load takes the difference between its begin and its end. Threads may count at once.
"""

import threading
from collections import Counter

_turn = threading.Lock()
_counts: Counter[str] = Counter()


def count(name: str, times: int = 1) -> int:
    """Add to a count; what it comes to."""
    with _turn:
        _counts[name] += times
        return _counts[name]


def counted() -> Counter[str]:
    """The counts so far, a copy."""
    with _turn:
        return _counts.copy()
