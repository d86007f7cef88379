"""The migrations of schema `ops` that ship, and whether a warehouse has them: a look without what they make."""

from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from loaders.warehouse.ownership import has_relation


def folder() -> Traversable:
    return files("loaders.warehouse") / "migrations"


def known() -> list[str]:
    """The migrations of this version, in their order."""
    return sorted(path.name for path in folder().iterdir() if path.name.endswith(".sql"))


def is_current(conn: psycopg.Connection) -> bool:
    """Has the warehouse had all of them?"""
    if not has_relation(conn, "ops.schema_migrations"):
        return False
    applied = {name for (name,) in conn.execute("select name from ops.schema_migrations")}
    return applied.issuperset(known())
