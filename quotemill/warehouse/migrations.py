"""The migrations of schema `ops` that a warehouse has, and whether a later version made them."""

from collections.abc import Iterable

import psycopg

from quotemill.errors import SettingsError
from quotemill.warehouse.schemas import may_read

LAST = "0015_quotes.sql"  # of this version


def applied(conn: psycopg.Connection) -> set[str]:
    """The migrations that the warehouse has; none before it was prepared, or for a stranger."""
    if not may_read(conn, "ops", "schema_migrations"):
        return set()
    return {name for (name,) in conn.execute("select name from ops.schema_migrations")}


def newer(names: Iterable[str]) -> list[str]:
    """Migrations of a later version among `names`, as a warehouse or a backup lists them."""
    return sorted(name for name in names if name > LAST)


def explain_newer(names: Iterable[str]) -> SettingsError | None:
    """Why this version may not write into a warehouse with these migrations."""
    if later := newer(names):
        return SettingsError(
            f"the warehouse was used by a newer version of quotemill: it has {', '.join(later)}",
            hint="Install that version of quotemill, or a newer one.",
        )
    return None
