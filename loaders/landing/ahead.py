"""Draw from an iterator ahead of its reader."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def draw_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield the items; a thread draws the next one while the reader works on the one before.

    What drawing raises is raised in its place. Close it where not all is read: that waits for the
    thread.
    """
    end = object()
    with ThreadPoolExecutor(1, "ahead") as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # it is not `end`
