"""A cluster with Citus for tests: QUOTEMILL_TEST_CITUS_URL names a database of its coordinator.

That database has the extension and knows the workers; a test's database gets both on every node.
"""

import os
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

URL = os.environ.get("QUOTEMILL_TEST_CITUS_URL")  # of a superuser, a TCP address that workers reach


def make_database(name: str) -> str:
    """Make an empty database with the extension on every node; its URL on the coordinator."""
    drop_database(name)
    coordinator, *workers = _nodes()
    for node in (coordinator, *workers):
        with psycopg.connect(node, autocommit=True) as conn:
            conn.execute(f'create database "{name}" template template0'.encode())
        with psycopg.connect(make_conninfo(node, dbname=name), autocommit=True) as conn:
            conn.execute("create extension citus")
    place = conninfo_to_dict(coordinator)
    with psycopg.connect(make_conninfo(coordinator, dbname=name), autocommit=True) as conn:
        conn.execute(
            "select citus_set_coordinator_host(%s, %s::integer)", (place["host"], place["port"])
        )
        for worker in map(conninfo_to_dict, workers):
            conn.execute("select citus_add_node(%s, %s::integer)", (worker["host"], worker["port"]))
    return f"postgresql://{quote(str(place['user']))}@{place['host']}:{place['port']}/{name}"


def drop_database(name: str) -> None:
    for node in _nodes():
        with psycopg.connect(node, autocommit=True) as conn:
            conn.execute(f'drop database if exists "{name}" with (force)'.encode())


def _nodes() -> list[str]:
    """The connection strings of the coordinator and the workers."""
    with psycopg.connect(str(URL)) as conn:
        workers = conn.execute(
            "select nodename, nodeport from pg_dist_node where groupid <> 0 order by nodeport"
        ).fetchall()
    return [str(URL), *(make_conninfo(str(URL), host=host, port=port) for host, port in workers)]


def lose_worker(url: str) -> None:
    """Cut a database's coordinator off from one worker, as if that had stopped.

    Its sessions there end, and no new one finds it until find_worker.
    """
    with psycopg.connect(url) as conn:
        [(host, port)] = conn.execute(
            "update pg_dist_node set nodeport = 1 where nodeport = "
            "(select max(nodeport) from pg_dist_node) returning nodename, "
            "(select max(nodeport) from pg_dist_node)"
        )
    with psycopg.connect(make_conninfo(url, host=host, port=port), autocommit=True) as conn:
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )


def find_worker(url: str) -> None:
    """Undo lose_worker."""
    with psycopg.connect(str(URL)) as conn:
        [(port,)] = conn.execute("select max(nodeport) from pg_dist_node")
    with psycopg.connect(url) as conn:
        conn.execute("update pg_dist_node set nodeport = %s where nodeport = 1", (port,))
