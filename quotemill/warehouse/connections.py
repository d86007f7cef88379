"""Connections to the warehouse: how each is opened, and whether an idle one still is."""

import selectors
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

T = TypeVar("T")
# Windows has no poll, and select takes no socket beyond 1024
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
# A crashed server or a pulled cable is noticed within a minute, not after the two hours and more of
# the system's defaults, in which a load looks frozen. Milliseconds in the last.
WATCHFUL = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # half of PATIENCE: a dead idle connection leaves time for another
}
# A rollback would take these back, so they come before any transaction. To compile the plan of a
# view on views, such as qa.findings, takes a server a minute, and its query without that half a
# second. A lock of ours is a session that waits; a server before 14 is yet to be refused.
_SESSION = """
    set time zone 'UTC';
    set jit = off;
    select set_config('idle_session_timeout', '0', false)
    where current_setting('idle_session_timeout', true) is not null
"""


def connect(
    url: str,
    autocommit: bool = False,
    application_name: str = "quotemill",
    kind: type[psycopg.Connection[Any]] = psycopg.Connection,
) -> psycopg.Connection:
    """Connect as all of our sessions do. Raises what libpq says."""
    params: dict[str, Any] = {"connect_timeout": 10} | WATCHFUL | conninfo_to_dict(url)
    connection = kind.connect(
        make_conninfo("", **params), autocommit=True, application_name=application_name
    )
    connection.execute(_SESSION)
    connection.autocommit = autocommit
    return connection


def take_unbroken(idle: list[T], connection_of: Callable[[T], Any] = lambda conn: conn) -> T | None:
    """One of the idle connections, or of what has them, off the list.

    Those that the server has closed are closed.
    """
    while True:
        try:
            taken = idle.pop()  # another thread may have taken the last since
        except IndexError:
            return None
        conn = connection_of(taken)
        if _is_unbroken(conn):
            return taken
        conn.close()


def _is_unbroken(conn: Any) -> bool:
    """Whether an idle connection is open: what could be read would be the end of its session."""
    return not await_socket(conn.fileno(), selectors.EVENT_READ, 0)


def await_socket(fileno: int, event: int, seconds: float | None = None) -> bool:
    """Wait until a socket can be read or written, as of `selectors`; whether it can."""
    with _Selector() as waiting:
        waiting.register(fileno, event)
        return bool(waiting.select(seconds))
