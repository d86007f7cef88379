"""Citus in a warehouse: its version, and what of it the warehouse cannot have.

macros/citus/ does the same for dbt.
"""

import psycopg

from quotemill.errors import SettingsError


def find_version(conn: psycopg.Connection) -> str | None:
    """The version of Citus in a database; None where the database lacks the extension.

    Raises SettingsError where the database has TimescaleDB too, or is one of a worker node.
    """
    versions: dict[str, str] = dict(
        conn.execute(
            "select extname, extversion from pg_extension where extname in ('citus', 'timescaledb')"
        ).fetchall()
    )
    version = versions.get("citus")
    if version is None:
        return None
    if "timescaledb" in versions:
        raise SettingsError(
            "this warehouse has both Citus and TimescaleDB, whose tables cannot be used together",
            hint="Drop the extension that has none of the warehouse's tables, or use "
            "another database.",
        )
    if conn.execute("select citus_is_coordinator()").fetchone() != (True,):
        raise SettingsError(
            "this database is on a worker node of Citus",
            hint="Connect to its coordinator.",
        )
    return version


def list_lost_nodes(conn: psycopg.Connection) -> list[str]:
    """The worker nodes that the coordinator cannot reach; none without Citus."""
    if find_version(conn) is None:
        return []
    rows = conn.execute(
        "select nodename || ':' || nodeport from pg_dist_node where isactive "
        "and not citus_check_connection_to_node(nodename, nodeport) order by 1"
    )
    return [node for (node,) in rows]
