"""Secondary indexes of landed tables: dropped while a table is filled, built when the load ends.

Two indexes are cheaper built once than kept up row by row, as long as the rows to come outnumber
the stored ones: into an empty table by a quarter to a third (docs/benchmarks.md). One by date alone
is not, as its entries are few; but it is two fifths of what COPY straight into a table costs (3.1
µs a row of the server's processor with it, 1.7 without, 0.3 to build it). What is dropped is
written to ops.pending_indexes in the transaction that drops it, a short one before that of the
rows: readers read on meanwhile, and however the import ends, the next load to end builds it. The
same record holds an index that was declared when its table had rows (loaders/warehouse/tables.py),
and the primary key of an empty table (first_key.py).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from loaders.landing import first_key
from loaders.landing.target import Target
from loaders.warehouse import turns
from loaders.warehouse.hypertables import is_hypertable
from loaders.warehouse.lock import LOCK
from loaders.warehouse.tables import LandedTable

# rows of a file, and indexes, below which dropping never pays: a day of the market's bars
FEWEST = 200_000
FEWEST_INDEXES = 2


@dataclass(frozen=True)
class PendingIndex:
    """An index that is declared and absent, or present and invalid."""

    schema: str
    name: str
    table: str
    definition: str
    reason: str

    @property
    def qualified(self) -> str:
        return f"{self.schema}.{self.name}"


def drop_for_import(
    conn: psycopg.Connection, target: Target, *, rows: int, lane: str, fewest: int
) -> None:
    """Drop and record the table's indexes, `fewest` or more, where `rows` are most of the table.

    In the caller's transaction, which locks the table and must end at once. Nothing is dropped
    while anybody else uses the table: a reader needs its indexes, and neither waits for the other.
    """
    if rows < FEWEST or len(target.indexes) < fewest:
        return
    there = conn.execute(
        "select 1 from pg_indexes where schemaname = %s and tablename = %s and indexname = any(%s)",
        (target.schema, target.table, list(target.indexes)),
    ).fetchone()
    if there is None:  # of a table that is being filled, counting takes longer with each file
        return
    table = sql.Identifier(target.schema, target.table)
    stored = conn.execute(
        sql.SQL("select count(*) from (select 1 from {} limit %s) as t").format(table), (rows + 1,)
    ).fetchone()
    if stored is None or stored[0] > rows:
        return
    try:
        with conn.transaction():
            conn.execute(sql.SQL("lock table {} in access exclusive mode nowait").format(table))
    except psycopg.errors.LockNotAvailable:
        return
    dropped = conn.execute(
        "insert into ops.pending_indexes "
        "select n.nspname, i.relname, t.relname, pg_get_indexdef(i.oid), %s from pg_index as x "
        "inner join pg_class as i on x.indexrelid = i.oid "
        "inner join pg_class as t on x.indrelid = t.oid "
        "inner join pg_namespace as n on i.relnamespace = n.oid "
        "where n.nspname = %s and t.relname = %s and i.relname = any(%s) "
        "on conflict (schema_name, index_name) do update set lane = excluded.lane "
        "returning index_name",
        (lane, target.schema, target.table, list(target.indexes)),
    ).fetchall()
    for (name,) in dropped:
        conn.execute(sql.SQL("drop index {}").format(sql.Identifier(target.schema, name)))


def pending(conn: psycopg.Connection, tables: Iterable[LandedTable]) -> list[PendingIndex]:
    """Declared indexes to build: dropped, never made, or invalid; not those of other tables."""
    ours = [(t.dataset, name) for t in tables for name in (t.key_name, *t.index_names)]
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


def build_pending(
    conn: psycopg.Connection,
    tables: Iterable[LandedTable],
    lane: str,
    report: Callable[[str], object],
) -> None:
    """Build what is pending and belongs to no other running load.

    Concurrently, which takes longer and stops no writer, where anybody else uses the table; of a
    hypertable chunk by chunk, which stops writers of one chunk at a time. Two processes never build
    one index; an invalid one is dropped first, as nothing repairs it. `conn` is in autocommit, and
    to be closed where this raises.
    """
    for index in pending(conn, tables):
        if turns.take(conn, f"quotemill:index:{index.qualified}"):
            continue
        if not _is_held(conn, index, lane):
            _build(conn, index, report)
        turns.let_go(conn)


def _is_held(conn: psycopg.Connection, index: PendingIndex, lane: str) -> bool:
    """Whether another load that dropped the index still runs."""
    row = conn.execute(
        "select 1 from ops.pending_indexes as p "
        "where p.schema_name = %s and p.index_name = %s and p.lane <> %s and "
        + turns.is_held(f"'{LOCK}' || p.lane"),
        (index.schema, index.name, lane),
    ).fetchone()
    return row is not None


def _build(conn: psycopg.Connection, index: PendingIndex, report: Callable[[str], object]) -> None:
    name = sql.Identifier(index.schema, index.name)
    # first: a kill between drop and build must leave a trace
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
        report(f"building the index {index.qualified} ({index.reason})")
        conn.execute(_statement(conn, index).encode())
    record = "ops.pending_indexes where schema_name = %s and index_name = %s"
    with conn.transaction():
        # an import may be dropping it again: wait for its end
        conn.execute(f"select 1 from {record} for update".encode(), (index.schema, index.name))
        conn.execute(
            f"delete from {record} and exists "
            "(select 1 from pg_index where indexrelid = to_regclass(%s) and indisvalid)".encode(),
            (index.schema, index.name, name.as_string(conn)),
        )


def _statement(conn: psycopg.Connection, index: PendingIndex) -> str:
    """The statement that builds an index beside other users of the table."""
    if first_key.KEY in index.definition.lower():  # of an empty table
        return index.definition
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
