"""The warehouse for requests: shared connections, which cannot write and wait for no query long."""

import threading
from contextlib import ExitStack
from dataclasses import dataclass, fields

import psycopg

from loaders.errors import QuotemillError, UpstreamError, sqlstate
from loaders.settings import Settings
from loaders.warehouse.migration_files import find_current_warehouse
from loaders.warehouse.postgres import Warehouse

_CANCELLED = "57014"


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
        return conn

    def away(self, error: BaseException) -> QuotemillError:
        if sqlstate(error) == _CANCELLED:
            return UpstreamError(
                f"the warehouse needed more than {self.statement:g} s for this",
                hint="ask for less: fewer days, or one code",
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
        reading = ReadingWarehouse(**values, statement=self._statement)
        with self._turn:
            if key not in self._opened:
                self._opened[key] = self._stack.enter_context(reading.keeping_connections())
            return self._opened[key]

    def close(self) -> None:
        with self._turn:
            self._opened.clear()
            self._stack.close()
