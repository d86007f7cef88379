"""The migrations of schema `ops`: those that ship, and those that a warehouse has."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from loaders.settings import Settings
from loaders.warehouse.postgres import find_warehouse
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import READERS_WAIT, Warehouse
from quotemill.warehouse.schemas import has_relation

# the last of those that made the same tables before 0.1.0; their names were recorded
LAST_BEFORE_RELEASE = "0007_exports.sql"


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
    """Whether the warehouse has every migration of this version."""
    return applied(conn).issuperset(shipped())


def find_current_warehouse(settings: Settings) -> Warehouse | None:
    """The warehouse for commands that read what this version writes; None before the first load.

    Raises SettingsError where an older version made its tables.
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
    """Raises SettingsError where the tables lack migrations of this version."""
    names = applied(conn)
    refuse_older(names, "the warehouse")
    if LAST_BEFORE_RELEASE in names:
        names = {shipped()[0]}
    if names and not names.issuperset(shipped()):
        raise SettingsError(
            "the tables of the warehouse are those of an older version of quotemill",
            hint="`quotemill run` brings them up to date, or `quotemill warehouse migrate` alone",
        )


def newer(names: Iterable[str]) -> list[str]:
    """Migrations of a later version among `names`, those that a warehouse or a backup has."""
    return [] if LAST_BEFORE_RELEASE in names else sorted(set(names) - set(shipped()))


def refuse_older(names: Iterable[str], owner: str) -> None:
    """Raises SettingsError where `names` are those of a version before 0.1.0."""
    if names and not {shipped()[0], LAST_BEFORE_RELEASE} & set(names):
        raise SettingsError(
            f"{owner} was made by a version of quotemill before 0.1.0, which this one cannot read",
            hint="load again into an empty database: "
            "QUOTEMILL_WAREHOUSE_URL=postgresql://…/another, then `quotemill run`",
        )


def migrate(conn: psycopg.Connection) -> None:
    """Apply what the warehouse lacks; tables of before 0.1.0 are taken over."""
    conn.execute(
        "create table if not exists ops.schema_migrations "
        "(name text primary key, applied_at timestamptz not null default now())"
    )
    names = applied(conn)
    refuse_older(names, "the warehouse")
    if LAST_BEFORE_RELEASE in names:
        conn.execute("delete from ops.schema_migrations")
        _record(conn, shipped()[0])
        names = {shipped()[0]}
    for name in shipped():
        if name not in names:
            conn.execute((folder() / name).read_text("utf-8").encode())
            _record(conn, name)


def _record(conn: psycopg.Connection, name: str) -> None:
    conn.execute("insert into ops.schema_migrations (name) values (%s)", (name,))
