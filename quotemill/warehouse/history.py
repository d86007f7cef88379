"""Names of the tables of old versions, and since when they are kept."""

import psycopg

SUFFIX = "_history"
KNOWN_UNTIL = "known_until"
KEY = "history:"  # in ops.settings, before the table: since when its versions are kept


def find_start(conn: psycopg.Connection, name: str) -> str | None:
    """Since when the versions of a table are kept, ISO 8601; None where they are not."""
    row = conn.execute("select value from ops.settings where key = %s", (KEY + name,)).fetchone()
    return str(row[0]) if row else None
