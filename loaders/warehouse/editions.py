"""The edition of PostgreSQL that a warehouse is: plain, with TimescaleDB, or with Citus.

What another edition does otherwise is here; how rows land in its tables is in
loaders.landing.editions.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import psycopg

from loaders.warehouse import citus, distribution, hypertables, timescale

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable

_LOST_NODE = re.compile(r"connection to the remote node (?:\S+@)?(\S+) failed")


class Plain:
    """Plain PostgreSQL: what is asked of an edition, and what the others replace."""

    def convert_empty(
        self, conn: psycopg.Connection, tables: Sequence["LandedTable"], history: Collection[str]
    ) -> None:
        """Convert landed tables without a row yet, some of which keep a history."""

    def describe(self, conn: psycopg.Connection) -> str:
        """The edition and its version in words."""
        return str(timescale.find(conn))

    def list_unconverted(
        self,
        conn: psycopg.Connection,  # noqa: ARG002
        tables: Sequence["LandedTable"],  # noqa: ARG002
    ) -> Iterator[tuple[str, str, str]]:
        """What is not as the edition has it: its name, the landed tables, what converts them."""
        yield from ()

    def list_lost_nodes(self, conn: psycopg.Connection, failures: str) -> list[str]:  # noqa: ARG002
        """The nodes that are away, or that failures of statements name as away before."""
        return []

    def relate_codes(
        self,
        conn: psycopg.Connection,  # noqa: ARG002
        table: str,  # noqa: ARG002
        values: str = "%(codes)s",
    ) -> str:
        """The relation c (code) of given codes, from which a statement reads a table by code."""
        return distribution.relate_codes(values, is_distributed=False)

    def query_codes(self, conn: psycopg.Connection, table: str) -> str:  # noqa: ARG002
        """A query of the codes that a table has, by steps through its key."""
        return (
            "with recursive codes as ("
            f"(select code from {table} order by code limit 1) union all select "
            f"(select t.code from {table} as t where t.code > c.code order by t.code limit 1) "
            "from codes as c where c.code is not null) "
            "select code from codes where code is not null"
        )

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

    def list_unconverted(
        self, conn: psycopg.Connection, tables: Sequence["LandedTable"]
    ) -> Iterator[tuple[str, str, str]]:
        fix = "quotemill warehouse upgrade-timescale"
        if plain := hypertables.left_plain(conn, tables):
            text = f"plain tables, without the benefits of TimescaleDB: {_name_all(plain)}"
            yield "hypertables", text, fix
        if hyper := hypertables.left_hyper(conn, tables):
            text = f"hypertables, though timescale.daily is off: {_name_all(hyper)}"
            yield "hypertables", text, fix


class Citus(Plain):
    """With Citus: minutes and ticks are spread over nodes, unless they had rows before."""

    def convert_empty(
        self, conn: psycopg.Connection, tables: Sequence["LandedTable"], history: Collection[str]
    ) -> None:
        distribution.distribute_empty(conn, tables, history)

    def describe(self, conn: psycopg.Connection) -> str:
        return f"Citus {citus.find_version(conn)}"

    def list_unconverted(
        self, conn: psycopg.Connection, tables: Sequence["LandedTable"]
    ) -> Iterator[tuple[str, str, str]]:
        if local := distribution.left_local(conn, tables):
            text = f"on the coordinator alone, not on the nodes of Citus: {_name_all(local)}"
            yield "distribution", text, "quotemill warehouse distribute"

    def list_lost_nodes(self, conn: psycopg.Connection, failures: str) -> list[str]:
        return citus.list_lost_nodes(conn) or sorted(set(_LOST_NODE.findall(failures)))

    def relate_codes(self, conn: psycopg.Connection, table: str, values: str = "%(codes)s") -> str:
        is_distributed = distribution.is_distributed(conn, table)
        return distribution.relate_codes(values, is_distributed=is_distributed)

    def query_codes(self, conn: psycopg.Connection, table: str) -> str:
        if not distribution.is_distributed(conn, table):
            return super().query_codes(conn, table)
        return (
            f"select c.code from {distribution.CODES} as c "
            f"where exists (select 1 from {table} as t where t.code = c.code)"
        )

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


def _name_all(tables: Iterable["LandedTable"]) -> str:
    return ", ".join(table.qualified for table in tables)
