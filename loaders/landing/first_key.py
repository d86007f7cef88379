"""The primary key of an empty table: its first rows go in without it, and commit with it.

Kept up row by row a key costs as much as all else of a COPY: 0.6 µs a row of the server's
processor, and 0.2 to build it at once. So the key is dropped for a file that goes straight into an
empty table, in a short transaction, as readers must not wait while rows land; that of the rows
builds it. So for everybody else a table without its key is empty: no key is stored twice, and after
a killed load the next file builds it, or the next load to end (indexes.py).
"""

from contextlib import suppress

import psycopg

from loaders.landing.target import Target, names, quote
from loaders.warehouse.hypertables import is_hypertable
from loaders.warehouse.tables import LandedTable
from quotemill.errors import SettingsError
from quotemill.warehouse.schemas import has_rows

KEY = "primary key"  # in the definition of a key, and of no other index


def drop_key(conn: psycopg.Connection, target: Target, *, lane: str) -> None:
    """Drop and record the key of a plain table without rows that nobody uses.

    In the caller's transaction, which locks the table and must end at once.
    """
    has_key = conn.execute(
        "select 1 from pg_constraint as c "
        "inner join pg_class as t on c.conrelid = t.oid "
        "inner join pg_index as i on c.conindid = i.indexrelid "
        "where t.oid = %s::regclass and c.contype = 'p' and c.conname = %s "
        # a new key would be and have none of these
        "and not i.indisreplident and not i.indisclustered "
        "and obj_description(c.oid, 'pg_constraint') is null "
        "and t.relkind = 'r' and not t.relhassubclass",
        (target.name, target.key_name),
    ).fetchone()
    if has_key is None or has_rows(conn, target.schema, target.table):
        return
    if is_hypertable(conn, target.schema, target.table):
        return
    drop = f"alter table {target.name} drop constraint {quote(target.key_name)}"
    try:
        with conn.transaction():
            conn.execute(f"lock table {target.name} in access exclusive mode nowait".encode())
            # somebody may have committed rows a moment ago
            if has_rows(conn, target.schema, target.table):
                return
            conn.execute(drop.encode())
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist):
        return
    conn.execute(
        "insert into ops.pending_indexes (schema_name, index_name, table_name, definition, lane) "
        "values (%s, %s, %s, %s, %s) "
        "on conflict (schema_name, index_name) do update set lane = excluded.lane",
        (target.schema, target.key_name, target.table, _define_key(target), lane),
    )


def remove_dead(conn: psycopg.Connection, table: LandedTable) -> None:
    """Remove the rows of a killed load, which lie dead in a table without its key.

    Else each query of a code reads them all: of a market that takes minutes.
    """
    name = table.qualified
    if not table.key or not lacks_key(conn, name):
        return
    with suppress(psycopg.errors.LockNotAvailable), conn.transaction():
        conn.execute(f"lock table {name} in access exclusive mode nowait".encode())
        if not has_rows(conn, table.dataset, table.name):
            conn.execute(f"truncate {name}".encode())


def lock_unkeyed(conn: psycopg.Connection, target: Target) -> bool:
    """Whether the table has no key; then nobody else writes to it before the transaction ends."""
    if not lacks_key(conn, target.name):
        return False
    conn.execute(f"lock table {target.name} in share row exclusive mode".encode())
    return lacks_key(conn, target.name)


def _define_key(target: Target) -> str:
    """The statements that build the key; beside readers, who wait once the index is built."""
    name = quote(target.key_name)
    return (
        f"create unique index {name} on {target.name} ({names(target.key)}); "
        f"alter table {target.name} add constraint {name} {KEY} using index {name}"
    )


def build_key(conn: psycopg.Connection, target: Target) -> None:
    """Build the key of a locked table. Readers wait from here to the end of the transaction."""
    conn.execute(_define_key(target).encode())
    conn.execute(
        "delete from ops.pending_indexes where schema_name = %s and index_name = %s",
        (target.schema, target.key_name),
    )


def give_back_key(conn: psycopg.Connection, target: Target) -> None:
    """Build the key of a locked table that somebody may have typed rows into.

    Raises SettingsError with a key that has several.
    """
    try:
        with conn.transaction():
            build_key(conn, target)
    except psycopg.errors.UniqueViolation as error:
        key = (error.diag.message_detail or "").removesuffix(" is duplicated.")
        raise SettingsError(
            f"several rows of {target.qualified} have one key, which it lacked since a load was "
            f"killed: {key}",
            hint="delete all but one of them, then run again",
        ) from None


def lacks_key(conn: psycopg.Connection, name: str) -> bool:
    """Whether a table, by its qualified name, has no unique index."""
    unique = "select 1 from pg_index where indrelid = %s::regclass and indisunique"
    return conn.execute(unique.encode(), (name,)).fetchone() is None
