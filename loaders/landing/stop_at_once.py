"""Hang up on the server where somebody stops a load at once.

Rows land in threads, and Python ends only when they do: minutes of a large file, which would land
after all. Without their connections they end, and the server undoes their rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from quotemill.warehouse.connections import hang_up

_LANDING: set[psycopg.Connection] = set()


@contextmanager
def hung_up_when_stopped(conn: psycopg.Connection) -> Iterator[None]:
    """Land rows by this connection until the end of the block, or of the load."""
    _LANDING.add(conn)
    try:
        yield
    finally:
        _LANDING.discard(conn)


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Hang up on what lands in the block where that is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        for conn in tuple(_LANDING):
            if conn in _LANDING:  # one may have landed while another was cancelled
                hang_up(conn)
        raise
