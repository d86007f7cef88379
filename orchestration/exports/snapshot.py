"""One moment of the warehouse, read in many short transactions.

A transaction of hours would lock each view that it has read, and a build, which replaces views,
would wait for it, with every reader behind the build.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import IsolationLevel, sql

from loaders.warehouse.content import content_id, find_content
from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Snapshot:
    """A moment that an open transaction of its own holds; `name` is the server's."""

    name: str
    _conn: psycopg.Connection
    _content: str  # of the warehouse, at that moment

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection]:
        """A transaction that reads the moment. Its locks end with it. Raises LockHeldError."""
        self._conn.execute(sql.SQL("set transaction snapshot {}").format(self.name))
        self.require_content(self._conn)
        yield self._conn
        self._conn.rollback()

    def require_content(self, conn: psycopg.Connection) -> None:
        """Raise LockHeldError after a restore: tables that it made have no row at the moment.

        From here to the end of the transaction a restore has to wait.
        """
        if find_content(conn) != self._content:
            raise LockHeldError(
                "the warehouse was restored while this export ran: its files are not whole",
                hint="run it again",
            )


@contextmanager
def hold_snapshot(warehouse: Warehouse) -> Iterator[Snapshot]:
    """Hold the present moment. Raises WarehouseAway where the warehouse goes away in the block."""
    content = content_id(warehouse)
    try:
        with warehouse.connect() as holder, warehouse.connect() as conn:
            for connection in (holder, conn):
                connection.isolation_level = IsolationLevel.REPEATABLE_READ
                connection.read_only = True
            [(name,)] = holder.execute("select pg_export_snapshot()")
            yield Snapshot(name, conn, content)
    except psycopg.OperationalError as error:
        raise warehouse.away(error) from None
