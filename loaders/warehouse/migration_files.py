"""The migrations of schema `ops`: those that ship, and those that a warehouse has."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from loaders.settings import Settings
from loaders.warehouse.postgres import find_warehouse
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import READERS_WAIT, Warehouse
from quotemill.warehouse.schemas import has_relation

_log = logging.getLogger("loaders")


def folder() -> Traversable:
    return files("loaders.warehouse") / "migrations"


def shipped() -> list[str]:
    """The migrations of this version, in their order."""
    return sorted(path.name for path in folder().iterdir() if path.name.endswith(".sql"))


def applied(conn: psycopg.Connection) -> set[str]:
    """The migrations that the warehouse has; none before it was prepared."""
    if not has_relation(conn, "ops.schema_migrations"):
        return set()
    return {name for (name,) in conn.execute("select name from ops.schema_migrations")}


def is_current(conn: psycopg.Connection) -> bool:
    """Whether the warehouse has the migrations of this version, and no later ones."""
    return applied(conn) == set(shipped())


def find_current_warehouse(settings: Settings) -> Warehouse | None:
    """The warehouse for commands that read what this version writes; None before the first load.

    Warns if a newer version used it. Raises SettingsError if an older version made its tables.
    """
    with keep_current_warehouse(settings) as warehouse:
        return replace(warehouse, pool=None) if warehouse else None


@contextmanager
def keep_current_warehouse(settings: Settings) -> Iterator[Warehouse | None]:
    """As `find_current_warehouse`, and keep its connections until the end of the block."""
    named = find_warehouse(settings)
    reading = replace(named, lock_timeout=READERS_WAIT) if named else None
    with reading.keeping_connections() if reading else nullcontext() as warehouse:
        if warehouse is not None:
            warehouse.ask(refuse_outdated, patient=False)  # who looks gets an answer at once
        yield warehouse


def refuse_outdated(conn: psycopg.Connection) -> None:
    """Raises SettingsError if the tables lack migrations of this version."""
    names = applied(conn)
    if names and not names.issuperset(shipped()):
        raise SettingsError(
            "the tables of the warehouse are those of an older version of quotemill",
            hint="`quotemill run` brings them up to date; without a load, "
            "`quotemill warehouse migrate`",
        )
    if error := _explain_newer(names):
        _warn(str(error))


def refuse_newer(conn: psycopg.Connection) -> None:
    """Raises SettingsError if a newer version used the warehouse: this one may break its rows."""
    if error := _explain_newer(applied(conn)):
        raise error


def _explain_newer(names: Iterable[str]) -> SettingsError | None:
    if later := newer(names):
        return SettingsError(
            f"the warehouse was used by a newer quotemill: it has {', '.join(later)}",
            hint="install that version of quotemill, or a newer one",
        )
    return None


@cache
def _warn(text: str) -> None:
    """Warn once a process: the console reads often."""
    _log.warning(text)


def newer(names: Iterable[str]) -> list[str]:
    """Migrations of a later version among `names`, those that a warehouse or a backup has."""
    return sorted(set(names) - set(shipped()))


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
                hint = "drop it with `quotemill warehouse psql`, and create it again afterwards"
                raise SettingsError(what, hint=hint) from None
            conn.execute("insert into ops.schema_migrations (name) values (%s)", (name,))
