"""The part of a request that the warehouse has; for the rest an error that names what is there."""

from collections.abc import Sequence
from datetime import date, datetime

import psycopg

from quotemill.errors import UsageError
from quotemill.warehouse.schemas import has_relation

SHOWN = 30  # names that an unknown one is answered with


class NotListed(UsageError):
    """A code, a variety or a symbol that the warehouse does not have."""


def find_listed(text: str, known: Sequence[str], missing: str) -> str:
    """The name that a text is in any case, with or without its exchange, or of its main series.

    Raises NotListed, which says `missing` of the text: "no schedule for".
    """
    wanted = text.lower().removeprefix("kq.m@")
    named = [name for name in known if wanted in (name.lower(), name.lower().partition(".")[2])]
    if len(named) == 1:
        return named[0]
    hint = f"Choose one of: {', '.join(known[:SHOWN])}." if known else "Run `quotemill run tq`."
    raise NotListed(f"{missing} {text}", hint=hint)


def require_known(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    """Raises UsageError for a value that is not among `known`."""
    if unknown := [value for value in values if value not in known]:
        raise UsageError(
            f"{name} {unknown[0]} is unknown", hint=f"Choose one of: {', '.join(known)}."
        )


def require_order(start: date | None, end: date | None) -> None:
    """Raises UsageError for an end before the start: of two days, or of two times."""
    are_alike = isinstance(start, datetime) == isinstance(end, datetime)
    if start and end and are_alike and end < start:
        raise UsageError(f"end {end} is before start {start}")


def require_function(conn: psycopg.Connection, function: str) -> None:
    """Raises UsageError for a function, with its types, that no build has made."""
    [(known,)] = conn.execute("select to_regprocedure(%s) is not null", (function,))
    if not known:
        raise _not_built(function)


def require_built(conn: psycopg.Connection, relation: str) -> None:
    """Raises UsageError for a relation that no build has made."""
    if not has_relation(conn, relation):
        raise _not_built(relation)


def _not_built(name: str) -> UsageError:
    return UsageError(f"{name} is not built yet", hint="Run `quotemill build`.")
