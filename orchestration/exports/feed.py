"""The change feed of a table, and how much of it the files of a folder have.

A position is a number of `market.changes`: every change up to it is in the files. A cursor of the
folder's own in ops.change_cursors proves that the number still means what it meant: it moves after
the manifest, never before, and neither a restore, nor another state of the server's disk, nor 90
days of silence leave it where it was. Without that proof all of the table changed.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import psycopg

from orchestration.exports.source import Source

# code (empty: every one), first and last day (None: open)
Span = tuple[str, date | None, date | None]


def has_feed(conn: psycopg.Connection, source: Source) -> bool:
    """Whether the feed names each change of the rows: of a landed table, or of one built by it.

    Not of a view, nor of a continuous aggregate, whose running day is in no feed; nor if the
    cursor cannot be moved: by a role that only reads, or in a standby.
    """
    from loaders.sources import landed_tables

    query = """
        select %(name)s = any(%(landed)s)
            or exists (select 1 from ops.change_cursors where reader = %(name)s)
        from pg_class where oid = to_regclass(%(name)s) and relkind in ('r', 'p')
    """
    if not source.relation or not _may_move_cursors(conn):
        return False
    landed = [table.qualified for table in landed_tables()]
    return conn.execute(query, {"name": source.relation, "landed": landed}).fetchone() == (True,)


def _may_move_cursors(conn: psycopg.Connection) -> bool:
    query = """
        select has_schema_privilege(relnamespace, 'usage') and has_table_privilege(oid, 'insert')
            and not pg_is_in_recovery()
            and not current_setting('default_transaction_read_only')::boolean
        from pg_class
        where relnamespace = to_regnamespace('ops') and relname = 'change_cursors'
    """
    return conn.execute(query).fetchone() == (True,)


def read_position(conn: psycopg.Connection) -> tuple[int, str]:
    """The position of the transaction's snapshot, and that snapshot."""
    query = "select pg_snapshot_xmin(s)::text::bigint - 1, s::text from pg_current_snapshot() as s"
    [(number, seen)] = conn.execute(query)
    return number, seen


def find_changes(
    conn: psycopg.Connection, source: Source, reader: str, since: int
) -> Sequence[Span] | None:
    """The changes of a table after `since`, where the cursor of `reader` is; else None: all."""
    values = {"reader": reader, "since": since, "table": source.relation}
    is_proven = conn.execute(
        "select 1 from ops.change_cursors where reader = %(reader)s "
        "and pg_snapshot_xmin(seen)::text::bigint - 1 = %(since)s",
        values,
    ).fetchone()
    if is_proven is None:
        return None
    query = """
        select c.key, range_agg(days) from ops.changes as c
        cross join unnest(c.dates) as days
        where c.xid::text::bigint > %(since)s and c.table_name = %(table)s
        group by 1
    """
    return [
        (key, span.lower, span.upper and span.upper - timedelta(days=1))
        for key, days in conn.execute(query, values)
        for span in days
    ]
