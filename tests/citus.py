"""A cluster with Citus for tests: QUOTEMILL_TEST_CITUS_URL names a database of its coordinator.

That database has the extension and knows the workers; a test's database gets both on every node.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults.scene import wait_until

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


@dataclass(frozen=True)
class Worker:
    """A worker node of this machine as a database sees it; all its settings are in its folder.

    control: the command that stops and starts it, without what it is to do
    """

    url: str
    address: str
    node: str
    control: str

    @contextmanager
    def stopping(
        self, table: str, mode: str, *, then: str = "stop", in_commit: bool = False
    ) -> Iterator[None]:
        """Stop it at once when a statement waits there for a table; at the end it runs.

        mode: of the lock that keeps the statement waiting
        then: `restart` starts it again at once
        in_commit: let the statement pass, and stop it between the two phases of its commit
        """
        holder = self._lock(table, mode)

        def strike() -> None:
            with psycopg.connect(self.node, autocommit=True) as watch:
                waiting = "select 1 from pg_locks where not granted and relation is not null"
                wait_until("a statement waits", lambda: watch.execute(waiting).fetchone())
                if in_commit:
                    _hold_commits("nobody")
                    holder.rollback()
                    prepared = "select 1 from pg_prepared_xacts where database = current_database()"
                    wait_until("a commit is prepared", lambda: watch.execute(prepared).fetchone())
            _run_there(f"{self.control} -m immediate {then}")
            _hold_commits("")

        thread = Thread(target=strike)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            holder.close()
            _run_there(f"{self.control} status || {self.control} start")

    def _lock(self, table: str, mode: str) -> psycopg.Connection:
        """Lock the node's part of a table, until the connection ends."""
        with psycopg.connect(self.url) as conn:
            shards = conn.execute(
                "select shard_name(s.logicalrelid, s.shardid) from pg_dist_shard as s "
                "inner join pg_dist_placement as p using (shardid) "
                "inner join pg_dist_node as n using (groupid) "
                "where s.logicalrelid = %s::regclass and n.nodename || ':' || n.nodeport = %s",
                (table, self.address),
            ).fetchall()
        allowed = "-c citus.enable_manual_changes_to_shards=on"
        holder = psycopg.connect(self.node, options=allowed)
        for (shard,) in shards:
            holder.execute(f"lock table {shard} in {mode} mode".encode())
        return holder


def find_worker(url: str) -> Worker:
    """The last worker of a database's cluster."""
    with psycopg.connect(url) as conn:
        [(host, port)] = conn.execute(
            "select nodename, nodeport from pg_dist_node order by nodeport desc limit 1"
        )
    node = make_conninfo(url, host=host, port=port)
    with psycopg.connect(node) as conn:
        [(folder,)] = conn.execute("show data_directory")
        [(programs,)] = conn.execute("select setting from pg_config where name = 'BINDIR'")
    control = f"{programs}/pg_ctl -D {folder} -w -s -l {folder}/restarted.log"
    return Worker(url, f"{host}:{port}", node, control)


def _hold_commits(standby: str) -> None:
    """Let no commit on the coordinator end, as if it waited for a standby; '' lets them end."""
    with psycopg.connect(str(URL), autocommit=True) as conn:
        conn.execute(f"alter system set synchronous_standby_names = '{standby}'".encode())
        conn.execute("select pg_reload_conf()")


def _run_there(command: str) -> None:
    """Run a program as the user of the servers, by the coordinator."""
    with psycopg.connect(str(URL), autocommit=True) as conn:
        conn.execute(f"copy (select 1) to program '{command}'".encode())
