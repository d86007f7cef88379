"""dbt's connections: one for each thread from start to end.

dbt opens one for each node. The first queries of a new one fill its caches, which is half of what
the server does for a build without rows.
"""

import time
from collections.abc import Callable
from typing import Any

IDLE = 30.0  # seconds; firewalls and servers end what idles for longer


def keep_connections(replace: Callable[[Any, str, Any], None]) -> None:
    """Keep a thread's connection for its next node, with a session like a new one."""
    from dbt.adapters.base.connections import BaseConnectionManager
    from dbt.adapters.contracts.connection import ConnectionState

    release, prepare = BaseConnectionManager.release, BaseConnectionManager.set_connection_name

    def keep(connections: Any) -> None:
        connection = connections.get_if_exists()
        if (
            connection is None
            or connection.state != ConnectionState.OPEN
            or getattr(connection.credentials, "role", None)  # which a new session would take on
        ):
            release(connections)
            return
        handle = connection.handle
        try:
            handle.rollback()
            connection.transaction_open = False
            handle.autocommit = True
            with handle.cursor() as cursor:
                cursor.execute("discard all")
                # as the end of a connection does
                cursor.execute("select pg_stat_force_next_flush()")
            handle.autocommit = bool(connection.credentials.autocommit)
        except handle.Error:
            release(connections)
        else:
            connection.kept_since = time.monotonic()

    def prepare_fresh(connections: Any, name: str | None = None) -> Any:
        connection = connections.get_if_exists()
        since = vars(connection).pop("kept_since", None) if connection else None
        if since is not None and time.monotonic() - since > IDLE:
            connections.close(connection)
        return prepare(connections, name)

    replace(BaseConnectionManager, "release", keep)
    replace(BaseConnectionManager, "set_connection_name", prepare_fresh)
