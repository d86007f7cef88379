"""CPU of a PostgreSQL server of this machine, and of writing again what a build has written."""

import os
from pathlib import Path

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")
AGAIN = "written_again"  # a schema, dropped at the end
TABLES = """
    select c.oid::regclass::text
    from ops.managed_relation as m
    inner join pg_namespace as n on m.schema_name = n.nspname
    inner join pg_class as c on n.oid = c.relnamespace and m.relation_name = c.relname
    where c.relkind = 'r'
"""


def cpu_seconds(dsn: str) -> float:
    """Of all processes of the server so far, those that ended too. The role is a superuser's."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("select split_part(pg_read_file('postmaster.pid'), chr(10), 1)")
        [(server,)] = row.fetchall()
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    ticks = sum(map(int, _times(server)))
    for process in children:
        try:
            ticks += sum(map(int, _times(process)[:2]))
        except FileNotFoundError:
            continue  # it just ended
    return ticks / TICKS


def _times(process: str) -> list[str]:
    """utime, stime, cutime, cstime: the last two of children that ended."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]


def rewrite_results(dsn: str) -> float:
    """Copy each table that models made, with its key and indexes; the server's CPU seconds.

    As a build does it: `create table as`, then what sorts once. Nothing is computed.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f"create schema {AGAIN}".encode())
        tables = [table for (table,) in conn.execute(TABLES.encode())]
        before = cpu_seconds(dsn)
        for table in tables:
            target = f"{AGAIN}.{table.rpartition('.')[2]}"
            indexes = conn.execute(
                "select pg_get_indexdef(indexrelid) from pg_index where indrelid = %s::regclass",
                (table,),
            ).fetchall()
            conn.execute(f"create table {target} as select * from {table}".encode())
            for (index,) in indexes:
                conn.execute(index.replace(f" ON {table} ", f" ON {target} ").encode())
        seconds = cpu_seconds(dsn) - before
        conn.execute(f"drop schema {AGAIN} cascade".encode())
    return seconds
