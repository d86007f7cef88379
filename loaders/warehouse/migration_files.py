"""The migrations of schema `ops`: those that ship, and those that a warehouse has."""

import logging
from collections.abc import Generator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg

from quotemill.errors import SettingsError
from quotemill.warehouse.connections import Connection
from quotemill.warehouse.migrations import applied, explain_newer

_log = logging.getLogger("loaders")


class VersionedConnection(Connection):
    """A connection that only reads a warehouse of a newer version: this one may break its rows.

    A statement that writes raises `refusal`.
    """

    refusal: SettingsError | None = None

    def check(self) -> None:
        self.refusal = explain_newer(applied(self))
        if self.refusal is not None:
            self.execute("set default_transaction_read_only = on")
            _warn(f"{self.refusal}. It is only read")

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        try:
            return super().wait(gen, *args, **options)
        except psycopg.errors.ReadOnlySqlTransaction:
            if self.refusal is None:
                raise
        raise self.refusal


def folder() -> Traversable:
    return files("loaders.warehouse") / "migrations"


def shipped() -> list[str]:
    """The migrations of this version, in their order."""
    return sorted(path.name for path in folder().iterdir() if path.name.endswith(".sql"))


def is_current(conn: psycopg.Connection) -> bool:
    """Whether the warehouse has the migrations of this version, and no later ones."""
    return applied(conn) == set(shipped())


def refuse_outdated(conn: psycopg.Connection) -> None:
    """Raises SettingsError if the tables lack migrations of this version."""
    names = applied(conn)
    if names and not names.issuperset(shipped()):
        raise SettingsError(
            "the tables of the warehouse are from an older version of quotemill",
            hint="Run `quotemill run` to update them, or `quotemill warehouse migrate` to "
            "update them without a load.",
        )


@cache
def _warn(text: str) -> None:
    """Warn once a process: the console reads often."""
    _log.warning(text)


def migrate(conn: psycopg.Connection) -> None:
    """Apply what the warehouse lacks. Raises SettingsError if a user's relation is in the way."""
    conn.execute(
        "create table if not exists ops.schema_migrations "
        "(name text primary key, applied_at timestamptz not null default now())"
    )
    names = applied(conn)
    for name in shipped():
        if name not in names:
            try:
                conn.execute((folder() / name).read_text("utf-8").encode())
            except psycopg.errors.DependentObjectsStillExist as error:
                what = f"{error.diag.message_primary}: {error.diag.message_detail}"
                hint = "Drop it with `quotemill warehouse psql`, and create it again afterwards."
                raise SettingsError(what, hint=hint) from None
            conn.execute("insert into ops.schema_migrations (name) values (%s)", (name,))
