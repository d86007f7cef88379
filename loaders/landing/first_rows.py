"""The first rows of a table: its key and indexes are dropped and built in their transaction.

Kept up row by row a key costs as much as all else of a COPY: 0.6 µs a row of the server's
processor, and 0.2 to build it at once; an index by date alone costs 1.4 µs, and 0.3. Readers of the
table wait for the end of the transaction. No other session sees the table without its key, and a
killed load leaves it as it was: empty, with key and indexes.
"""

from collections.abc import Sequence

import psycopg

from loaders.landing.target import Target, names, quote
from loaders.warehouse.distribution import is_distributed
from loaders.warehouse.hypertables import is_hypertable
from quotemill.warehouse.schemas import has_rows

_KEPT = (
    psycopg.errors.LockNotAvailable,  # somebody uses the table
    psycopg.errors.DependentObjectsStillExist,  # a view or a foreign key uses the key
    psycopg.errors.FeatureNotSupported,  # a foreign key uses another unique index
)


def clear(conn: psycopg.Connection, target: Target) -> Sequence[str] | None:
    """Lock an empty plain table, and drop its key and its declared indexes.

    Returns the statements that build them, for the end of the caller's transaction, which nobody
    else may see into before. None where all stays as it is: the table has rows or is in use, or
    its key has what a new one would lack.
    """
    if not _has_plain_key(conn, target) or has_rows(conn, target.schema, target.table):
        return None
    if is_hypertable(conn, target.schema, target.table) or is_distributed(conn, target.qualified):
        return None
    try:
        with conn.transaction():
            conn.execute(f"lock table {target.name} in access exclusive mode nowait".encode())
            if has_rows(conn, target.schema, target.table):  # committed a moment ago
                return None
            key = quote(target.key_name)
            conn.execute(f"alter table {target.name} drop constraint {key}".encode())
            indexes = _drop_indexes(conn, target)
            # a new file, of which a server with wal_level=minimal writes no log
            conn.execute(f"truncate {target.name}".encode())
    except _KEPT:
        return None
    add = f"alter table {target.name} add constraint {key} primary key ({names(target.key)})"
    return [add, *indexes]


def build(conn: psycopg.Connection, statements: Sequence[str]) -> None:
    """Build what `clear` dropped. Raises UniqueViolation for rows that share a key."""
    for statement in statements:
        conn.execute(statement.encode())


def _has_plain_key(conn: psycopg.Connection, target: Target) -> bool:
    row = conn.execute(
        "select 1 from pg_constraint as c "
        "inner join pg_class as t on c.conrelid = t.oid "
        "inner join pg_index as i on c.conindid = i.indexrelid "
        "where t.oid = %s::regclass and c.contype = 'p' and c.conname = %s "
        # a new key would have none of these
        "and not i.indisreplident and not i.indisclustered "
        "and obj_description(c.oid, 'pg_constraint') is null "
        "and t.relkind = 'r' and not t.relhassubclass",
        (target.name, target.key_name),
    ).fetchone()
    return row is not None


def _drop_indexes(conn: psycopg.Connection, target: Target) -> list[str]:
    """Drop the declared indexes; their definitions."""
    rows = conn.execute(
        "select i.relname, pg_get_indexdef(i.oid) from pg_index as x "
        "inner join pg_class as i on x.indexrelid = i.oid "
        "where x.indrelid = %s::regclass and i.relname = any(%s)",
        (target.name, list(target.indexes)),
    ).fetchall()
    for name, _ in rows:
        conn.execute(f"drop index {quote(target.schema)}.{quote(name)}".encode())
    return [definition for _, definition in rows]
