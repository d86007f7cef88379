"""Rows of a table that users read, by code and day."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from quotemill.errors import UsageError
from quotemill.readers.listed import require_built, require_known, require_order
from quotemill.rows import TIMES, find_first


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
    day: the column of dates that `start` and `end`, both included, are about; times are about the
        column of times

    Raises UsageError for a table that is not built, for a column that it does not have, and for a
    time where it has days alone.
    """
    require_order(start, end)
    require_built(conn, table)
    query = "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
    known = [name for (name,) in conn.execute(f"{query} and not attisdropped".encode(), (table,))]
    require_known(f"{table}: column", columns, known)
    chosen = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(conn) if columns else "*"
    where = ["code = any(%(codes)s)"] if codes else []
    where += bound_rows(f"rows of {table}", day, find_first(TIMES, known), start=start, end=end)
    text = (
        f"select {chosen} from {table}{' where ' if where else ''}{' and '.join(where)}"
        f"{' order by ' if order else ''}{', '.join(order)}"
    )
    return text, {"codes": list(codes), "start": start, "end": end}


def bound_rows(
    what: str,
    day: str,
    time: str | None,
    *,
    start: date | None,
    end: date | None,
    as_of: date | None = None,
) -> list[str]:
    """Conditions of the values `start`, `end` and `as_of`, each included.

    day, time: the columns that a whole day and a time are compared with

    Raises UsageError for a time where there is no column of times.
    """
    where = []
    for name, moment in (("start", start), ("end", end), ("as_of", as_of)):
        if moment is None:
            continue
        is_time, way = isinstance(moment, datetime), ">=" if name == "start" else "<="
        if is_time and time is None:
            raise UsageError(
                f"{what} have no time of day: {name} {moment:%Y-%m-%d %H:%M} is a time",
                hint=f"{name}={moment:%Y-%m-%d}",
            )
        where.append(f"{time if is_time else day} {way} %({name})s")
        # chunks are by time: a trading day is within a day of UTC around it
        if not is_time and time == "bar_end":
            span = "- interval '1 day'" if name == "start" else "+ interval '2 days'"
            where.append(f"bar_end {way} %({name})s::timestamp at time zone 'UTC' {span}")
    return where
