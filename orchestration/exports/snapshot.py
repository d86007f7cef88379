"""One moment of the warehouse, read in many short transactions.

A transaction of hours would lock each view that it has read, and a build, which replaces views,
would wait for it, with every reader behind the build.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import IsolationLevel, sql

from loaders.warehouse.content import content_id, find_content, require_content
from quotemill.errors import SettingsError
from quotemill.warehouse.connections import AS_READER
from quotemill.warehouse.postgres import Warehouse

_READ_ONLY = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.UndefinedTable,
)


@dataclass(frozen=True)
class Snapshot:
    """A moment that an open transaction of its own holds; `name` is the server's."""

    name: str
    content: str | None  # of the warehouse, at that moment
    is_restricted: bool  # a superuser's query has no access to the server's files
    _conn: psycopg.Connection

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection]:
        """A transaction that reads the moment; its locks end with it.

        Raises RestoredMeanwhile: tables that a restore made have no row at the moment.
        """
        self._conn.execute(sql.SQL("set transaction snapshot {}").format(self.name))
        require_content(self._conn, self.content)
        if self.is_restricted:
            self._conn.execute(AS_READER)
        yield self._conn
        self._conn.rollback()


@contextmanager
def hold_snapshot(warehouse: Warehouse, *, is_restricted: bool) -> Iterator[Snapshot]:
    """Hold the present moment. Raises WarehouseAway where the warehouse goes away in the block."""
    content = warehouse.ask(find_content)
    if content is None:  # before the first load; who may only read leaves it so
        with suppress(*_READ_ONLY, SettingsError):
            content = content_id(warehouse)
    try:
        with warehouse.connect() as holder, warehouse.lend(warehouse.connect) as conn:
            for connection in (holder, conn):
                connection.isolation_level = IsolationLevel.REPEATABLE_READ
                connection.read_only = True
            [(name,)] = holder.execute("select pg_export_snapshot()")
            yield Snapshot(name, content, is_restricted, conn)
    except psycopg.OperationalError as error:
        raise warehouse.away(error) from None
