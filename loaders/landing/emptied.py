"""Landed tables that lost all rows, as by `drop extension timescaledb cascade`.

Cursors stay, so loads would go on with what is newer, and nothing would say what is gone.
"""

from collections.abc import Iterable

import psycopg

from loaders.warehouse.tables import LandedTable
from quotemill.warehouse.schemas import has_rows


def list_emptied(conn: psycopg.Connection, tables: Iterable[LandedTable]) -> dict[str, int]:
    """List the tables without a row, with the number of rows that loads have added to each."""
    emptied = {}
    for table in tables:
        if has_rows(conn, table.dataset, table.name):
            continue
        [(added,)] = conn.execute(
            "select coalesce(sum(rows_new), 0)::bigint from ops.landed_files "
            "where (schema_name, table_name) = (%s, %s)",
            (table.dataset, table.name),
        )
        if added:
            emptied[table.qualified] = added
    return emptied
