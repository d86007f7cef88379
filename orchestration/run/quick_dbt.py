"""dbt in this process: connections go from node to node, tracebacks to its log alone.

The connections are the one attribute of another library that is replaced while a command of ours
runs: docs/decisions/0019 says what it saves. Plain `dbt` runs as it is.
"""

import contextlib
import gc
import logging
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from typing import Any

import psycopg2  # type: ignore[import-untyped]

from quotemill.errors import SettingsError, sqlstate, walk_causes
from quotemill.installation import dbt_hint
from quotemill.warehouse.connections import set_up_session, take_unbroken

# what these are written for
VERSIONS = ("1.11.", "1.12.")  # of dbt-core
# PostgreSQL's codes: connections that break, a full disk, too many of them, a server that stops
_LOST = ("08", "53100", "53300", "57P0")
_TERMINAL = logging.getLogger("stdout_log")  # by dbt's name
IDLE = 30.0  # seconds; firewalls and servers end what idles for longer


@contextlib.contextmanager
def quick_dbt() -> Iterator[list[BaseException]]:
    """Let the nodes of dbt's commands in this process share connections, and print no traceback.

    Yields the errors of a server that is away or full: of those dbt keeps the text alone. Raises
    SettingsError with versions of dbt that this was not written for.
    """
    _check_versions()
    from dbt.adapters.postgres.impl import PostgresAdapter

    own, collects = PostgresAdapter.ConnectionManager, gc.isenabled()
    reports = logging.raiseExceptions
    lost: list[BaseException] = []
    try:
        # Before Python 3.11.8 a collection that comes while a thread evaluates a literal may end
        # the model (decision 0019)
        gc.disable()
        PostgresAdapter.ConnectionManager = keeping_connections(lost)
        _TERMINAL.addFilter(_is_no_traceback)
        logging.raiseExceptions = False  # of a log that finds no room
        yield lost
    finally:
        PostgresAdapter.ConnectionManager = own
        _TERMINAL.removeFilter(_is_no_traceback)
        logging.raiseExceptions = reports
        if collects:
            # to the oldest generation: else the next new object pays for all that dbt has left
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _is_no_traceback(record: logging.LogRecord) -> bool:
    return "Traceback (most recent call last)" not in record.getMessage()


def _check_versions() -> None:
    try:
        installed = version("dbt-core")
    except PackageNotFoundError as error:
        raise SettingsError("dbt is not installed", hint=dbt_hint("load")) from error
    if not installed.startswith(VERSIONS):
        known = " and ".join(f"{start}x" for start in VERSIONS)
        raise SettingsError(
            f"dbt-core {installed} is installed, but quotemill needs {known}",
            hint="Run `pip install 'dbt-core==1.11.*'`, or use plain dbt, which takes any.",
        )


def keeping_connections(lost: list[BaseException]) -> Any:
    """Make dbt's connection manager, whose next node takes the connection of one that ended.

    lost: gets the errors of a server that is away or full

    dbt opens one for each node. The first queries of a new one fill its caches, which is half of
    what the server does for a build without rows.
    """
    from dbt.adapters.contracts.connection import ConnectionState
    from dbt.adapters.postgres.connections import PostgresConnectionManager

    @contextlib.contextmanager
    def noting_losses() -> Iterator[None]:
        try:
            yield
        except Exception as error:
            lost.extend(filter(_is_loss, walk_causes(error)))
            raise

    class KeptConnections(PostgresConnectionManager):  # type: ignore[misc]
        """Connections for nodes of any thread, each with a session like a new one."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.idle: list[tuple[float, Any]] = []  # each with the time since when

        @classmethod
        def open(cls, connection: Any) -> Any:
            with noting_losses():
                opened = super().open(connection)
                opened.handle.commit()  # the profile's role
                _run_alone(opened.handle)
            return opened

        @contextlib.contextmanager
        def exception_handler(self, sql: str) -> Iterator[None]:
            with noting_losses(), super().exception_handler(sql):
                yield

        def release(self) -> None:
            connection = self.get_if_exists()
            is_open = connection is not None and connection.state == ConnectionState.OPEN
            # only a new session takes on the profile's role
            if is_open and not connection.credentials.role:
                handle = connection.handle
                with contextlib.suppress(handle.Error):
                    _clear_session(handle)
                    connection.transaction_open = False
                    connection.handle, connection.state = None, ConnectionState.CLOSED
                    self.idle.append((time.monotonic(), handle))
            super().release()

        def set_connection_name(self, name: str | None = None) -> Any:
            connection = super().set_connection_name(name)
            if connection.state != ConnectionState.OPEN and (handle := self.take_idle()):
                connection.handle, connection.state = handle, ConnectionState.OPEN
            return connection

        def cleanup_all(self) -> None:
            super().cleanup_all()
            while self.idle:
                self.idle.pop()[1].close()

        def take_idle(self) -> Any:
            """Take the connection that idles for the shortest time; None: all are in use."""
            while (newest := take_unbroken(self.idle, itemgetter(1))) is not None:
                since, handle = newest
                if time.monotonic() - since <= IDLE:
                    return handle
                handle.close()
            return None

    return KeptConnections


def _is_loss(error: BaseException) -> bool:
    """Whether an error is of a server that is away or full, not of what was asked."""
    code = sqlstate(error)
    broken = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return broken if code is None else code.startswith(_LOST)


def _clear_session(handle: Any) -> None:
    """Roll back, and leave nothing in the session. Raises what the driver raises."""
    handle.rollback()
    # the second as the end of a connection does
    _run_alone(handle, "discard all", "select pg_stat_force_next_flush()")


def _run_alone(handle: Any, *statements: str) -> None:
    """Run statements, each a transaction, then give the session our settings."""
    is_autocommit, handle.autocommit = handle.autocommit, True
    with handle.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    set_up_session(handle)
    handle.autocommit = is_autocommit
