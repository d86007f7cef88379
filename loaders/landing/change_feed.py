"""The change feed `ops.changes`: what changed in which table, for which key, on which dates.

Every writer of rows writes the feed in the same transaction: the landing path here, dbt's models
in macros/changes. A reader stores the snapshot in which it last read; what that snapshot could not
see is new to it. An empty key stands for every key, the dates {(,)} for every date.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.types.multirange import DateMultirange
from psycopg.types.range import DateRange

from loaders.warehouse.distribution import relate_codes
from quotemill.errors import UsageError

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable

# Dates are reported by months of 32 days, from the first that changed to the last; of a key with
# more months than that, from its first date to its last.
MOST_RANGES = 32


def insert_changes_sql(table: str, rows: str, *, key: str, day: str | None) -> str:
    """The INSERT that reports the relation `rows`, which has the columns `key` and `day`."""
    table = table.replace("'", "''")
    if day is None:
        insert = "insert into ops.changes (table_name, key)"
        return f"{insert} select distinct '{table}', {key} from {rows}"
    return f"""
        insert into ops.changes (table_name, key, dates)
        select
            '{table}',
            key,
            case
                when count(*) <= {MOST_RANGES} then range_agg(daterange(first_day, last_day, '[]'))
                else datemultirange(daterange(min(first_day), max(last_day), '[]'))
            end
        from (
            select {key} as key, min({day}) as first_day, max({day}) as last_day
            from {rows}
            group by 1, ({day} - date '2000-01-01') / 32
        ) as month
        group by key
    """


def touch(
    conn: psycopg.Connection,
    table: "LandedTable",
    codes: Sequence[str] = (),
    since: date | None = None,
    until: date | None = None,
) -> list[str]:
    """Report rows that were edited by hand: of `codes`, or of every key; of days, ends included.

    Returns the codes of which the table has no row. Raises UsageError where the table has no codes
    or no dates.
    """
    if codes and table.entity is None:
        raise UsageError(f"{table.qualified} has no codes", hint="Leave out --codes.")
    if since and table.day is None:
        raise UsageError(f"{table.qualified} has no dates", hint="Leave out --since.")
    dates = DateMultirange([DateRange(since, until, "[]")])
    conn.cursor().executemany(
        "insert into ops.changes (table_name, key, dates) values (%s, %s, %s)",
        [(table.qualified, code, dates) for code in codes or [""]],
    )
    if not codes:
        return []
    query = sql.SQL(
        "select c.code from {} where exists (select 1 from {} as t where t.{} = c.code)"
    ).format(
        sql.SQL(relate_codes(conn, table.qualified, "%s")),
        sql.Identifier(table.dataset, table.name),
        sql.Identifier(str(table.entity)),
    )
    known = {code for (code,) in conn.execute(query, (list(codes),))}
    return [code for code in codes if code not in known]


def changed_tables(
    conn: psycopg.Connection, reader: str, fingerprint: str
) -> tuple[str, list[str] | None]:
    """A snapshot, and the tables that changed between the cursor of `reader` and it.

    None: everything counts as changed, because the reader has no cursor, or was another one.
    """
    [(now, seen)] = conn.execute(
        "select pg_current_snapshot()::text, (select seen::text from ops.change_cursors "
        "where reader = %s and fingerprint = %s)",
        (reader, fingerprint),
    )
    if seen is None:
        return now, None
    tables = conn.execute(
        "select distinct table_name from ops.changes where xid >= pg_snapshot_xmin(%(seen)s) "
        "and not pg_visible_in_snapshot(xid, %(seen)s) and pg_visible_in_snapshot(xid, %(now)s) "
        "order by 1",
        {"seen": seen, "now": now},
    )
    return now, [table for (table,) in tables]


def move_cursor(conn: psycopg.Connection, reader: str, seen: str, fingerprint: str) -> None:
    """Record that `reader` has processed what changed up to the snapshot `seen`."""
    conn.execute(
        "insert into ops.change_cursors (reader, seen, fingerprint) values (%s, %s, %s) "
        "on conflict (reader) do update set seen = excluded.seen, "
        "fingerprint = excluded.fingerprint, moved_at = excluded.moved_at",
        (reader, seen, fingerprint),
    )


def find_table(tables: "Iterable[LandedTable]", name: str) -> "LandedTable":
    """The table `raw_tdx.kline_daily` or `kline_daily`.

    Raises UsageError that lists the tables to choose from.
    """
    tables = list(tables)
    matches = [t for t in tables if name in (t.qualified, t.name)]
    if len(matches) != 1:
        choice = matches or sorted(tables, key=lambda t: t.qualified)
        raise UsageError(
            f"{name} is {'the name of several tables' if matches else 'not a landed table'}",
            hint=f"Choose one of: {', '.join(t.qualified for t in choice)}.",
        )
    return matches[0]
