"""A warehouse that is open for reading: its connections, and queries as rows."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import psycopg

from quotemill.errors import QuotemillError, UsageError
from quotemill.methods.arguments import Columns, read_columns
from quotemill.rows import Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from quotemill.settings import TopSettings
    from quotemill.warehouse.postgres import Warehouse

Query: TypeAlias = tuple[str, Mapping[str, Any] | Sequence[Any] | None]

# what the server ended: a cancelled query, one that waited too long for a lock
_ENDED = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
_HINTS: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.UndefinedTable: "Run `quotemill build`.",
    psycopg.errors.SyntaxError: "Use select, with, values or table, not show or explain.",
}


class Session:
    """Connections of their own, and the rows that they answer with."""

    def __init__(
        self, settings: "TopSettings", warehouse: "Warehouse", exact: bool | None = None
    ) -> None:
        self._stack = ExitStack()
        self._settings = settings
        self._warehouse = self._stack.enter_context(warehouse.keeping_connections())
        self._market = warehouse.market_schema
        self._exact = exact

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<quotemill.Reader of {self._warehouse.label}>"

    def close(self) -> None:
        """Close the connections and end reads in other threads. Rows already read are kept."""
        self._stack.close()

    def _answer(
        self,
        choose: Callable[[psycopg.Connection], Query],
        exact: bool | None,
        batches: bool = False,
    ) -> "Rows | pa.RecordBatchReader":
        exact = self._choose_exact(exact)
        reader = self._open(choose, as_float=exact is False)
        return reader if batches else Rows(reader.read_all(), is_exact=exact is True)

    def _read(
        self, choose: Callable[[psycopg.Connection], Query], exact: bool | None = None
    ) -> Rows:
        rows = self._answer(choose, exact)
        assert isinstance(rows, Rows)
        return rows

    def _pick(self, rows: Rows, columns: Columns) -> Rows:
        """The rows with some of their columns. Raises UsageError for others."""
        from quotemill.readers.listed import require_known

        with translating(self._warehouse):
            names = read_columns(columns)
            require_known("column", names, rows.schema.names)
        table = rows.to_arrow().select([*dict.fromkeys(names)]) if names else rows.to_arrow()
        return Rows(table, is_exact=rows._is_exact)

    def _choose_exact(self, exact: bool | None) -> bool | None:
        """Whether numbers are exact, of a method or of the whole reader. Raises UsageError."""
        chosen = self._exact if exact is None else exact
        if chosen is not None and not isinstance(chosen, bool):
            hint = "Pass None, True or False."
            raise add_hint(UsageError(f"exact {chosen!r} is unknown", hint=hint))
        return chosen

    def _open(
        self, choose: Callable[[psycopg.Connection], Query], *, as_float: bool
    ) -> "pa.RecordBatchReader":
        import pyarrow as pa

        from quotemill.readers.arrow import stream_rows

        def read() -> Iterator[Any]:
            with translating(self._warehouse), self._lend() as conn:
                reader = stream_rows(conn, *choose(conn), as_float=as_float)
                for part in chain([reader.schema], reader):
                    yield part
                    if os.getpid() != process:
                        text = "these batches belong to the parent process"
                        raise UsageError(text, hint="Query again in this process.")
                conn.rollback()  # what a query set for the session too, but for its locks
                conn.execute("select pg_advisory_unlock_all()")

        process = os.getpid()
        following = read()
        schema = next(following)
        return pa.RecordBatchReader.from_batches(schema, following)

    def _lend(self) -> AbstractContextManager[psycopg.Connection]:
        return self._warehouse.lend(self._connect)

    def _connect(self) -> psycopg.Connection:
        if _is_closed(self._warehouse):
            raise _explain_closed()
        conn = self._warehouse.connect(application_name="quotemill reader")
        conn.read_only = True
        return conn


def choose_exact(exact: bool | None, as_float: bool) -> bool | None:
    """`exact` where it is asked for by its older word, `float=True`. Raises UsageError."""
    if exact and as_float:
        raise UsageError("exact=True and float=True can't be combined", hint="Leave out float.")
    return False if as_float else exact


@contextmanager
def translating(warehouse: "Warehouse") -> Iterator[None]:
    """Errors of the server as those of quotemill, whose traceback ends with the hint."""
    try:
        yield
    except psycopg.Error as error:
        is_lost = error.sqlstate is None and isinstance(error, psycopg.OperationalError)
        if is_lost or isinstance(error, _ENDED):
            is_closed = _is_closed(warehouse)
            raise add_hint(_explain_closed() if is_closed else warehouse.away(error)) from None
        text = error.diag.message_primary or str(error)
        hints = (hint for kind, hint in _HINTS.items() if isinstance(error, kind))
        raise add_hint(UsageError(text, hint=next(hints, ""))) from error
    except QuotemillError as error:
        raise add_hint(error) from None


def _is_closed(warehouse: "Warehouse") -> bool:
    return warehouse.pool is not None and warehouse.pool.is_closed


def _explain_closed() -> UsageError:
    return UsageError("the reader is closed", hint="Open another with quotemill.open().")


def add_hint(error: QuotemillError) -> QuotemillError:
    """The error, whose traceback ends with its hint."""
    if error.hint and not getattr(error, "__notes__", None):
        error.add_note(f"fix: {error.hint}")
    return error
