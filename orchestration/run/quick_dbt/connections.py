"""dbt's connections: the next node takes that of one that ended.

dbt opens one for each node. The first queries of a new one fill its caches, which is half of what
the server does for a build without rows.
"""

import time
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from quotemill.warehouse.connections import take_unbroken

IDLE = 30.0  # seconds; firewalls and servers end what idles for longer


def keep_connections(replace: Callable[[Any, str, Any], None]) -> None:
    """Keep a node's connection for the next one of any thread, with a session like a new one."""
    from dbt.adapters.base.connections import BaseConnectionManager
    from dbt.adapters.contracts.connection import ConnectionState

    release, prepare = BaseConnectionManager.release, BaseConnectionManager.set_connection_name
    cleanup = BaseConnectionManager.cleanup_all

    def keep(connections: Any) -> None:
        connection = connections.get_if_exists()
        is_open = connection is not None and connection.state == ConnectionState.OPEN
        # only a new session takes on the profile's role
        if is_open and not connection.credentials.role:
            handle = connection.handle
            try:
                _clear_session(handle)
            except handle.Error:
                pass
            else:
                connection.transaction_open = False
                connection.handle, connection.state = None, ConnectionState.CLOSED
                _list_idle(connections).append((time.monotonic(), handle))
        release(connections)

    def prepare_idle(connections: Any, name: str | None = None) -> Any:
        connection = prepare(connections, name)
        if connection.state != ConnectionState.OPEN:
            handle = _take_idle(connections)
            if handle is not None:
                connection.handle, connection.state = handle, ConnectionState.OPEN
        return connection

    def cleanup_idle(connections: Any) -> None:
        cleanup(connections)
        idle = _list_idle(connections)
        while idle:
            idle.pop()[1].close()

    replace(BaseConnectionManager, "release", keep)
    replace(BaseConnectionManager, "set_connection_name", prepare_idle)
    replace(BaseConnectionManager, "cleanup_all", cleanup_idle)


def _list_idle(connections: Any) -> list[tuple[float, Any]]:
    """Idle connections of a command, each with the time since when."""
    idle: list[tuple[float, Any]] = vars(connections).setdefault("idle", [])
    return idle


def _take_idle(connections: Any) -> Any:
    """Take the connection that idles for the shortest time; None where all are in use."""
    idle = _list_idle(connections)
    while (newest := take_unbroken(idle, itemgetter(1))) is not None:
        since, handle = newest
        if time.monotonic() - since <= IDLE:
            return handle
        handle.close()
    return None


def _clear_session(handle: Any) -> None:
    """Roll back, and leave nothing in the session. Raises what the driver raises."""
    is_autocommit = handle.autocommit
    handle.rollback()
    handle.autocommit = True
    with handle.cursor() as cursor:
        cursor.execute("discard all")
        # as the end of a connection does
        cursor.execute("select pg_stat_force_next_flush()")
    handle.autocommit = is_autocommit
