"""The edition of PostgreSQL that a warehouse is: plain, with TimescaleDB, or with Citus.

Each function is for all of them. How rows land in their tables is in loaders.landing.editions.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import psycopg

from loaders.warehouse import citus, distribution, hypertables, timescale

if TYPE_CHECKING:  # its module imports pyarrow
    from loaders.warehouse.tables import LandedTable

_LOST_NODE = re.compile(r"connection to the remote node (?:\S+@)?(\S+) failed")


def describe(conn: psycopg.Connection) -> str:
    """The edition and its version in words. Raises SettingsError if it cannot be a warehouse."""
    version = citus.find_version(conn)
    return f"Citus {version}" if version else str(timescale.find(conn))


def find(conn: psycopg.Connection) -> str:
    """The edition in a word: citus, tsl or apache (both of TimescaleDB), or none."""
    return "citus" if citus.find_version(conn) else timescale.find(conn).edition


def list_unconverted(
    conn: psycopg.Connection, tables: Sequence["LandedTable"]
) -> Iterator[tuple[str, str, str]]:
    """What is not as the edition has it: its name, the landed tables, what converts them."""
    fix = "quotemill warehouse upgrade-timescale"
    if plain := hypertables.left_plain(conn, tables):
        text = f"plain tables, without the benefits of TimescaleDB: {_name_all(plain)}"
        yield "hypertables", text, fix
    if hyper := hypertables.left_hyper(conn, tables):
        text = f"hypertables, although timescale.daily is off: {_name_all(hyper)}"
        yield "hypertables", text, fix
    if local := distribution.left_local(conn, tables):
        text = f"only on the coordinator, not on the nodes of Citus: {_name_all(local)}"
        yield "distribution", text, "quotemill warehouse distribute"


def keeps_relations(conn: psycopg.Connection) -> bool:
    """Whether a build of an unchanged project replaces no relation.

    With the community edition of TimescaleDB it can: by a continuous aggregate, or by a table again
    (macros/timescale/is_continuous.sql). The views on it are dropped then.
    """
    return find(conn) != "tsl"


def list_lost_nodes(conn: psycopg.Connection, failures: str) -> list[str]:
    """The nodes that are away, or that failures of statements name as away before."""
    return citus.list_lost_nodes(conn) or sorted(set(_LOST_NODE.findall(failures)))


def _name_all(tables: Iterable["LandedTable"]) -> str:
    return ", ".join(table.qualified for table in tables)
