"""Existing tables of minutes and ticks are spread over the nodes of Citus, table by table."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from loaders.sources import landed_tables
from loaders.warehouse import citus, distribution
from orchestration.archive.alone import alone
from orchestration.timescale.conversion import unchanged
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

MODELS = ("kline_5m", "kline_15m", "kline_30m")
BYTES_A_SECOND = 10_000_000  # of two comparisons and the copy: not measured, a low guess


@dataclass(frozen=True)
class Table:
    """A table to distribute, or distributed.

    rows: an estimate until it was distributed
    size_bytes: with indexes, before
    seconds: an estimate by its size until it was distributed
    """

    name: str
    rows: int
    size_bytes: int
    seconds: float

    @property
    def about(self) -> str:
        return f"about {self.rows:,} rows, {self.size_bytes / 1e6:,.1f} MB, {self.seconds:,.0f} s"


@dataclass(frozen=True)
class Distribution:
    """The result of a distribution.

    version: of Citus
    nodes: those that may have rows
    tables: those that were, or with a dry run would be, distributed
    """

    version: str
    nodes: tuple[str, ...]
    tables: tuple[Table, ...]
    dry_run: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def distribute(
    warehouse: Warehouse, report: Callable[[str], None], *, dry_run: bool = False
) -> Distribution:
    """Distribute the local tables of minutes and ticks, and the bars made of them, by code.

    Each is one transaction that compares the rows before and after. Raises SettingsError where the
    warehouse has no Citus or a table cannot be distributed, LockHeldError where others use one;
    what was distributed before stays so.
    """
    with alone(warehouse), warehouse.connect(autocommit=True) as conn:
        version = citus.find_version(conn)
        if version is None:
            raise SettingsError(
                f"the warehouse {warehouse.label} has no Citus: its tables stay on one server",
                hint="Create the extension on each server, then add the nodes with citus_add_node.",
            )
        nodes = tuple(
            f"{host}:{port}"
            for host, port in conn.execute(
                "select nodename, nodeport from pg_dist_node where shouldhaveshards order by 1, 2"
            )
        )
        names = [table.qualified for table in distribution.left_local(conn, landed_tables())]
        names += _local_models(conn, warehouse.market_schema)
        tables = [_measure(conn, name) for name in names]
        if not dry_run:
            distribution.make_code_table(conn)
            for number, table in enumerate(tables):
                report(f"{number + 1} of {len(tables)}: {table.name}, {table.about}")
                tables[number] = _distribute(conn, table)
    return Distribution(version, nodes, tuple(tables), dry_run)


def _local_models(conn: psycopg.Connection, schema: str) -> list[str]:
    rows = conn.execute(
        "select name from unnest(%s::text[]) as t (name) where to_regclass(name) is not null "
        "and not exists (select 1 from pg_dist_partition where logicalrelid = to_regclass(name))",
        ([f"{schema}.{name}" for name in MODELS],),
    )
    return [name for (name,) in rows]


def _measure(conn: psycopg.Connection, name: str) -> Table:
    [(rows, size)] = conn.execute(
        "select greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) from pg_class "
        "where oid = %s::regclass",
        (name,),
    )
    return Table(name, rows, size, round(size / BYTES_A_SECOND, 1))


def _distribute(conn: psycopg.Connection, table: Table) -> Table:
    started = time.monotonic()
    schema, _, name = table.name.partition(".")
    with unchanged(conn, sql.Identifier(schema, name)) as before:
        distribution.distribute(conn, table.name)
    # the rows of before are still in its own file, which nothing reads any more
    conn.execute("select truncate_local_data_after_distributing_table(%s::regclass)", (table.name,))
    conn.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, name)))
    return replace(table, rows=before[0].rows, seconds=round(time.monotonic() - started, 1))
