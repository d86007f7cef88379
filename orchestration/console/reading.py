"""The warehouse for requests: shared connections, which cannot write and wait for no query long."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import psycopg

from loaders.settings import Settings
from loaders.warehouse.postgres import find_current_warehouse
from quotemill.errors import LockHeldError, UpstreamError, sqlstate
from quotemill.warehouse.connections import Connection
from quotemill.warehouse.postgres import Warehouse

_CANCELLED = "57014"
T = TypeVar("T")


class ImpatientConnection(Connection):
    """A connection to a server that may hang: a statement has an end even without its answer.

    A request that waited for ever would keep its thread, of which the console has few.
    """

    patience = 30.0  # seconds

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        return super().wait(self._bound(gen), *args, **options)

    def _bound(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same steps until the time is over. Raises OperationalError."""
        until = time.monotonic() + self.patience
        try:
            state = next(gen)
            while True:
                ready = yield state  # also each tenth of a second in which nothing came
                if time.monotonic() > until:
                    self.close()
                    raise psycopg.OperationalError("the server is not responding")
                state = gen.send(ready)
        except StopIteration as ended:
            return ended.value


@dataclass(frozen=True)
class ReadingWarehouse(Warehouse):
    """A warehouse whose sessions only read; a statement takes at most `statement` seconds."""

    statement: float = 20.0

    def connect(
        self, *, autocommit: bool = False, application_name: str = "quotemill console"
    ) -> psycopg.Connection:
        conn = super().connect(autocommit=True, application_name=application_name)
        conn.execute(
            "select set_config('default_transaction_read_only', 'on', false), "
            "set_config('statement_timeout', %s, false)",
            (f"{self.statement * 1000:.0f}",),
        )
        conn.autocommit = autocommit
        if isinstance(conn, ImpatientConnection):  # it has the server's limit, and half as long
            conn.patience = 1.5 * self.statement
        return conn

    def ask(
        self,
        work: Callable[[psycopg.Connection], T],
        *,
        patient: bool = False,  # noqa: ARG002 - no page waits for a warehouse that starts
    ) -> T:
        """One piece of reading in one transaction; raises at once where the warehouse is away."""
        return super().ask(work, patient=False)

    def away(self, error: BaseException) -> UpstreamError | LockHeldError:
        if sqlstate(error) == _CANCELLED:
            return UpstreamError(
                f"the query took longer than {self.statement:g} s",
                hint="Request fewer days or a single code.",
            )
        return super().away(error)


class Readers:
    """The warehouses that requests have asked for, each with its connections."""

    def __init__(self, statement: float) -> None:
        self._statement = statement
        self._turn = threading.Lock()
        self._opened: dict[tuple[object, ...], Warehouse] = {}
        self._stack = ExitStack()

    def find(self, settings: Settings) -> Warehouse | None:
        """The warehouse of the settings; None before the first load makes one.

        Raises SettingsError, UpstreamError.
        """
        url = settings.warehouse_url
        key = (url and url.get_secret_value(), settings.home, settings.market_schema)
        with self._turn:
            known = self._opened.get(key)
        if known is not None:
            return known
        warehouse = find_current_warehouse(settings)
        if warehouse is None:
            return None
        values = {field.name: getattr(warehouse, field.name) for field in fields(Warehouse)}
        values["connection"] = ImpatientConnection
        reading = ReadingWarehouse(**values, statement=self._statement)
        with self._turn:
            if key not in self._opened:
                self._opened[key] = self._stack.enter_context(reading.keeping_connections())
            return self._opened[key]

    def close(self) -> None:
        with self._turn:
            self._opened.clear()
            self._stack.close()
