"""The edition of PostgreSQL that a warehouse is: plain, with TimescaleDB, or with Citus.

What another edition does otherwise is here; how rows land in its tables is in
loaders.landing.editions.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import psycopg

from loaders.warehouse import citus, distribution, hypertables, timescale

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable


class Plain:
    """Plain PostgreSQL: what is asked of an edition, and what the others replace."""

    def convert_empty(
        self, conn: psycopg.Connection, tables: Sequence["LandedTable"], history: Collection[str]
    ) -> None:
        """Convert landed tables without a row yet, some of which keep a history."""

    def relate_codes(
        self,
        conn: psycopg.Connection,  # noqa: ARG002
        table: "LandedTable",  # noqa: ARG002
        values: str = "%(codes)s",
    ) -> str:
        """The relation c (code) of given codes, from which a statement reads a table by code."""
        return distribution.relate_codes(values, is_distributed=False)

    def name_query(
        self,
        conn: psycopg.Connection,  # noqa: ARG002
        table: "LandedTable",  # noqa: ARG002
        name: str,
    ) -> str:
        """The file of a query that may have another form for this table."""
        return name


class Timescale(Plain):
    """With TimescaleDB: large tables are hypertables."""

    def convert_empty(
        self,
        conn: psycopg.Connection,
        tables: Sequence["LandedTable"],
        history: Collection[str],  # noqa: ARG002
    ) -> None:
        hypertables.make_of_empty(conn, tables)


class Citus(Plain):
    """With Citus: minutes and ticks are spread over nodes, unless they had rows before."""

    def convert_empty(
        self, conn: psycopg.Connection, tables: Sequence["LandedTable"], history: Collection[str]
    ) -> None:
        distribution.distribute_empty(conn, tables, history)

    def relate_codes(
        self, conn: psycopg.Connection, table: "LandedTable", values: str = "%(codes)s"
    ) -> str:
        is_distributed = distribution.is_distributed(conn, table.qualified)
        return distribution.relate_codes(values, is_distributed=is_distributed)

    def name_query(self, conn: psycopg.Connection, table: "LandedTable", name: str) -> str:
        return f"{name}_on_nodes" if distribution.is_distributed(conn, table.qualified) else name


def find_edition(conn: psycopg.Connection) -> Plain:
    """The edition of a database. Raises SettingsError for one that cannot be a warehouse."""
    rows = conn.execute(
        "select extname from pg_extension where extname in ('citus', 'timescaledb')"
    ).fetchall()
    if ("citus",) in rows:
        citus.find_version(conn)
        return Citus()
    if rows:
        timescale.find(conn)
        return Timescale()
    return Plain()
