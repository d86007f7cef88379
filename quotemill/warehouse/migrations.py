"""The migrations of schema `ops` that a warehouse has, beside those of this version."""

from collections.abc import Iterable

import psycopg

from quotemill.warehouse.schemas import may_read

LAST = "0015_quotes.sql"  # of this version


def applied(conn: psycopg.Connection) -> set[str]:
    """The migrations that the warehouse has; none before it was prepared, or for a stranger."""
    if not may_read(conn, "ops", "schema_migrations"):
        return set()
    return {name for (name,) in conn.execute("select name from ops.schema_migrations")}


def newer(names: Iterable[str]) -> list[str]:
    """Migrations of a later version among `names`, those that a warehouse or a backup has."""
    return sorted(name for name in names if name > LAST)


def say_newer(names: Iterable[str]) -> str:
    """A warning of later migrations, or nothing."""
    later = ", ".join(newer(names))
    text = "the warehouse was used by a newer version of quotemill: it has"
    return f"{text} {later}" if later else ""
