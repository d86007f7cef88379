"""Landed tables that Citus spreads over worker nodes by code: minutes and ticks of shares.

They are what outgrows a machine. Every other table stays on the coordinator, where its statements
are those of plain PostgreSQL. All distributed tables are in one colocation group: the rows of a
code are on one node. macros/citus/ does the same for the models.

A statement over many codes is sent to the nodes as a whole where it starts from a distributed
table. So the codes themselves are one, `ops.distributed_code`: each that any of the tables has had.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from loaders.warehouse import citus
from loaders.warehouse.turns import unless_locked
from quotemill.errors import SettingsError

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable

CODES = "ops.distributed_code"


def is_distributable(table: "LandedTable") -> bool:
    """Whether a landed table is one of minutes or ticks by code."""
    return table.time is not None and table.time_setting is None and table.entity == "code"


def left_local(conn: psycopg.Connection, tables: Iterable["LandedTable"]) -> list["LandedTable"]:
    """The local landed tables that should be distributed; none without Citus."""
    if citus.find_version(conn) is None:
        return []
    names = {table.qualified: table for table in tables if is_distributable(table)}
    rows = conn.execute(
        "select name from unnest(%s::text[]) as t (name) where to_regclass(name) is not null "
        "and not exists (select 1 from pg_dist_partition where logicalrelid = to_regclass(name))",
        (list(names),),
    )
    return [names[name] for (name,) in rows]


def is_distributed(conn: psycopg.Connection, table: str) -> bool:
    """Whether Citus has spread a table, named with its schema, over nodes."""
    row = conn.execute("select to_regclass('pg_catalog.pg_dist_partition') is not null").fetchone()
    if row != (True,):
        return False
    row = conn.execute(
        "select 1 from pg_dist_partition where logicalrelid = to_regclass(%s)",
        (table,),
    ).fetchone()
    return row is not None


def distribute_empty(
    conn: psycopg.Connection, tables: Sequence["LandedTable"], history: Collection[str]
) -> None:
    """Distribute the landed tables that are local and have no row yet; none without Citus.

    Those with rows stay local: see `warehouse distribute`. In the caller's transaction. Raises
    SettingsError where one is to keep its `history`.
    """
    if citus.find_version(conn) is None:
        return
    if both := [t.qualified for t in tables if is_distributable(t) and t.qualified in history]:
        raise SettingsError(
            f"setting history.keep: {', '.join(both)} is distributed by Citus, and old "
            "versions are not kept there",
            hint="Remove it from history.keep.",
        )
    make_code_table(conn)
    for table in left_local(conn, tables):
        where = sql.Identifier(table.dataset, table.name)
        # one that an import has locked has rows soon, or the next command does it
        with unless_locked(conn):
            if not conn.execute(sql.SQL("select 1 from {} limit 1").format(where)).fetchone():
                distribute(conn, table.qualified)


def distribute(conn: psycopg.Connection, table: str) -> None:
    """Distribute a table, whose rows move to the nodes, and record its codes."""
    name = sql.Identifier(*table.split("."))
    conn.execute(
        sql.SQL("insert into {} select distinct code from {} on conflict do nothing").format(
            sql.SQL(CODES), name
        )
    )
    conn.execute(distribute_sql(table))


def make_code_table(conn: psycopg.Connection) -> None:
    """Create the table of codes, distributed by them; a dump has it, and restores it as local."""
    if not is_distributed(conn, CODES):
        conn.execute(f"create table if not exists {CODES} (code text primary key)".encode())
        conn.execute(distribute_sql(CODES))


def distribute_sql(table: str) -> sql.Composed:
    """The statement that distributes a table by code, in the group of all."""
    colocated = "default" if table == CODES else CODES
    return sql.SQL("select create_distributed_table({}, 'code', colocate_with => {})").format(
        sql.Literal(table), sql.Literal(colocated)
    )


def add_codes(conn: psycopg.Connection, codes: Sequence[str]) -> None:
    """Record the codes of rows that are about to land in a distributed table."""
    conn.execute(
        f"insert into {CODES} select unnest(%s::text[]) on conflict do nothing".encode(),
        (sorted(codes),),
    )


def relate_codes(conn: psycopg.Connection, table: str, values: str = "%(codes)s") -> str:
    """The relation c (code) of given codes, from which a statement reads a table by code.

    For a distributed table it lacks the codes that no such table has ever had.
    """
    if is_distributed(conn, table):
        return f"(select code from {CODES} where code = any({values}::text[])) as c (code)"
    return f"unnest({values}::text[]) as c (code)"
