"""Rows of a table that users read, by code and day."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from quotemill.readers.listed import require_built, require_known, require_order


def select_rows(
    conn: psycopg.Connection,
    table: str,
    *,
    order: Sequence[str],
    columns: Sequence[str] = (),
    codes: Sequence[str] = (),
    day: str = "trade_date",
    start: date | None = None,
    end: date | None = None,
) -> tuple[str, dict[str, Any]]:
    """The query for rows of a table, and its values.

    order: columns that the rows are ordered by; none: as they come
    columns: none: all
    codes: none: all
    day: the column of dates that `start` and `end`, both included, are about

    Raises UsageError for a table that is not built, and for a column that it does not have.
    """
    require_order(start, end)
    require_built(conn, table)
    query = "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
    known = [name for (name,) in conn.execute(f"{query} and not attisdropped".encode(), (table,))]
    require_known(f"{table}: column", columns, known)
    chosen = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(conn) if columns else "*"
    where = ["code = any(%(codes)s)"] if codes else []
    if start:
        where.append(f"{day} >= %(start)s")
    if end:
        where.append(f"{day} <= %(end)s")
    text = (
        f"select {chosen} from {table}{' where ' if where else ''}{' and '.join(where)}"
        f"{' order by ' if order else ''}{', '.join(order)}"
    )
    return text, {"codes": list(codes), "start": start, "end": end}
