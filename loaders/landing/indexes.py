"""Secondary indexes of landed tables: dropped while an empty table is filled, built when the load ends.

Two indexes are cheaper built once than kept up row by row, as long as more comes than is there: into an
empty table a quarter to a third (docs/benchmarks.md). One by date alone is
not, as its entries are few; but it is two fifths of what COPY straight into a table costs (3.1 µs a row
of the server's processor with it, 1.7 without, 0.3 to build it). What is dropped is written to ops.pending_indexes in the transaction
that drops it, a short one before that of the rows: readers who come meanwhile read on, and whatever
happens to the import, the next load to end builds it. The same record holds an index that was
declared when its table had rows already. Primary keys stay.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from loaders.warehouse.hypertables import is_hypertable
from loaders.warehouse.lock import LOCK
from loaders.warehouse.tables import LandedTable

# rows of a file, and indexes, below which dropping never pays: a day of the market's bars is such a file
FEWEST = 200_000
FEWEST_INDEXES = 2


@dataclass(frozen=True)
class PendingIndex:
    """An index that is declared and not there, or there and invalid."""

    schema: str
    name: str
    table: str
    definition: str
    reason: str

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"


def make_way(
    conn: psycopg.Connection,
    schema: str,
    table: str,
    names: Sequence[str],
    rows: int,
    lane: str,
    fewest: int = FEWEST_INDEXES,
) -> bool:
    """Drop the indexes `names`, `fewest` or more, where `rows` that are about to land are most of the
    table; record it.

    In the caller's transaction, which locks the table and is to end at once. Nothing is dropped while
    anybody else uses the table: a reader needs its indexes, and none of us waits for the other.
    """
    if rows < FEWEST or len(names) < fewest:
        return False
    target = sql.Identifier(schema, table)
    there = conn.execute(
        sql.SQL("select count(*) from (select 1 from {} limit %s) as t").format(target), (rows + 1,)
    ).fetchone()
    if there is None or there[0] > rows:
        return False
    try:
        with conn.transaction():
            conn.execute(sql.SQL("lock table {} in access exclusive mode nowait").format(target))
    except psycopg.errors.LockNotAvailable:
        return False
    dropped = conn.execute(
        "insert into ops.pending_indexes "
        "select n.nspname, i.relname, t.relname, pg_get_indexdef(i.oid), %s from pg_index as x "
        "inner join pg_class as i on x.indexrelid = i.oid "
        "inner join pg_class as t on x.indrelid = t.oid "
        "inner join pg_namespace as n on i.relnamespace = n.oid "
        "where n.nspname = %s and t.relname = %s and i.relname = any(%s) "
        "on conflict (schema_name, index_name) do update set lane = excluded.lane "
        "returning index_name",
        (lane, schema, table, list(names)),
    ).fetchall()
    for (name,) in dropped:
        conn.execute(sql.SQL("drop index {}").format(sql.Identifier(schema, name)))
    return bool(dropped)


def pending(conn: psycopg.Connection, tables: Iterable[LandedTable]) -> list[PendingIndex]:
    """Declared indexes that are to be built: dropped, never made, or invalid. Others' are left alone."""
    ours = [(table.dataset, name) for table in tables for name in table.index_names]
    rows = conn.execute(
        """
        select schema_name, index_name, table_name, definition,
            case when lane is null then 'declared since the table has rows'
                else 'dropped by an import of ' || lane end
        from ops.pending_indexes
        inner join unnest(%(schemas)s::text[], %(names)s::text[]) as o (schema_name, index_name)
            using (schema_name, index_name)
        union all
        select n.nspname, i.relname, t.relname, pg_get_indexdef(i.oid),
            'invalid: its build did not end'
        from pg_index as x
        inner join pg_class as i on x.indexrelid = i.oid
        inner join pg_class as t on x.indrelid = t.oid
        inner join pg_namespace as n on i.relnamespace = n.oid
        inner join unnest(%(schemas)s::text[], %(names)s::text[]) as o (schema_name, index_name)
            on n.nspname = o.schema_name and i.relname = o.index_name
        where not x.indisvalid
            and not exists (
                select 1 from ops.pending_indexes as p
                where p.schema_name = n.nspname and p.index_name = i.relname
            )
        order by 1, 2
        """,
        {"schemas": [schema for schema, _ in ours], "names": [name for _, name in ours]},
    )
    return [PendingIndex(*row) for row in rows]


def build(
    conn: psycopg.Connection,
    tables: Iterable[LandedTable],
    lane: str,
    say: Callable[[str], object],
) -> None:
    """Build what is pending and belongs to no other load that runs.

    Concurrently, which takes longer and stops no writer, where anybody else uses the table; of a
    hypertable chunk by chunk, which stops writers of one chunk at a time. Two processes never build one
    index; an invalid one is dropped first, as nothing mends it. `conn` is in autocommit, and to be
    closed where this raises.
    """
    for index in pending(conn, tables):
        key = f"quotemill:index:{index.qualified}"
        taken = conn.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", (key,))
        if taken.fetchone() != (True,):
            continue
        if not _is_held(conn, index, lane):
            _build(conn, index, say)
        conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", (key,))


def _is_held(conn: psycopg.Connection, index: PendingIndex, lane: str) -> bool:
    """Whether another load that dropped the index is still at it."""
    row = conn.execute(
        "select 1 from ops.pending_indexes as p inner join pg_locks as l "
        "on (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%s || p.lane, 0) "
        "where p.schema_name = %s and p.index_name = %s and p.lane <> %s "
        "and l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.database = "
        "(select oid from pg_database where datname = current_database())",
        (LOCK, index.schema, index.name, lane),
    ).fetchone()
    return row is not None


def _build(conn: psycopg.Connection, index: PendingIndex, say: Callable[[str], object]) -> None:
    name = sql.Identifier(index.schema, index.name)
    # first of all: a kill between drop and build must leave a trace
    conn.execute(
        "insert into ops.pending_indexes (schema_name, index_name, table_name, definition) "
        "values (%s, %s, %s, %s) on conflict do nothing",
        (index.schema, index.name, index.table, index.definition),
    )
    valid = conn.execute(
        "select indisvalid from pg_index where indexrelid = to_regclass(%s)",
        (name.as_string(conn),),
    ).fetchone()
    if valid == (False,):
        conn.execute(sql.SQL("drop index {}").format(name))
    if valid != (True,):
        say(f"building the index {index.qualified} ({index.reason})")
        conn.execute(_statement(conn, index).encode())
    record = "ops.pending_indexes where schema_name = %s and index_name = %s"
    with conn.transaction():
        # an import may drop it again by now: wait for its word first
        conn.execute(f"select 1 from {record} for update".encode(), (index.schema, index.name))
        conn.execute(
            f"delete from {record} and exists "
            "(select 1 from pg_index where indexrelid = to_regclass(%s) and indisvalid)".encode(),
            (index.schema, index.name, name.as_string(conn)),
        )


def _statement(conn: psycopg.Connection, index: PendingIndex) -> str:
    """The statement that builds an index beside whoever uses the table."""
    if is_hypertable(conn, index.schema, index.table):
        return f"{index.definition} with (timescaledb.transaction_per_chunk)"
    if _is_used(conn, index):
        return f"create index concurrently{index.definition[len('create index') :]}"
    return index.definition


def _is_used(conn: psycopg.Connection, index: PendingIndex) -> bool:
    """Whether anybody else uses the table; one with partitions takes no concurrent build."""
    row = conn.execute(
        "select c.relkind = 'r' and not c.relhassubclass and exists (select 1 from pg_locks as l "
        "where l.relation = c.oid and l.pid <> pg_backend_pid()) "
        "from pg_class as c where c.relnamespace = to_regnamespace(%s) and c.relname = %s",
        (index.schema, index.table),
    ).fetchone()
    return row == (True,)
