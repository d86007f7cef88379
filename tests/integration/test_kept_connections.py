"""A build hands connections of dbt from node to node, each with a session like a new one."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from dbt.adapters.postgres.connections import PostgresConnectionManager, PostgresCredentials
from dbt.adapters.postgres.impl import PostgresAdapter
from psycopg.conninfo import conninfo_to_dict

from orchestration.run import quick_dbt as connections
from orchestration.run.quick_dbt import quick_dbt

Connect = Callable[..., PostgresConnectionManager]


@pytest.fixture
def connect(warehouse_dsn: str) -> Iterator[Connect]:
    """Make dbt's connections to a database, as our own commands have them."""
    params: Any = conninfo_to_dict(warehouse_dsn)
    made = []

    def make(**options: Any) -> PostgresConnectionManager:
        credentials = PostgresCredentials(
            host=params["host"],
            port=int(params.get("port", 5432)),
            user=params["user"],
            password="",
            database=params["dbname"],
            schema="market",
            **options,
        )
        profile: Any = SimpleNamespace(credentials=credentials)
        made.append(
            PostgresAdapter.ConnectionManager(profile, multiprocessing.get_context("spawn"))
        )
        return made[-1]

    with quick_dbt():
        yield make
        for manager in made:
            manager.cleanup_all()


def ask(manager: PostgresConnectionManager, query: str) -> Any:
    """The first value that a query returns."""
    _, cursor = manager.add_query(query)
    return cursor.fetchone()[0]


def run_node(manager: PostgresConnectionManager, name: str, *statements: str) -> int:
    """Run statements as dbt does for a node; return the process of its connection."""
    manager.set_connection_name(name)
    for statement in statements:
        manager.add_query(statement)
    process: int = ask(manager, "select pg_backend_pid()")
    manager.release()
    return process


def test_the_next_node_has_the_connection_of_the_last(connect: Connect) -> None:
    manager = connect()
    assert run_node(manager, "first") == run_node(manager, "second")


def test_a_thread_takes_the_connection_that_another_left(connect: Connect) -> None:
    manager = connect()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run_node, manager, "first").result()

    assert run_node(manager, "second") == first


def test_no_connection_is_left_after_a_command(connect: Connect) -> None:
    manager = connect()
    handle = manager.set_connection_name("first").handle
    manager.release()
    assert not handle.closed

    manager.cleanup_all()

    assert handle.closed


def test_nothing_of_a_node_is_in_the_session_of_the_next(connect: Connect) -> None:
    manager = connect()
    run_node(
        manager,
        "first",
        "set session statement_timeout = 12345",
        "create temporary table left_over as select 1 as n",
        "select pg_advisory_lock(42)",
        "commit",
    )
    run_node(manager, "second", "create table not_committed (n int)")
    manager.set_connection_name("third")
    assert ask(manager, "show statement_timeout") == "0"
    assert ask(manager, "select to_regclass('left_over') is null")
    assert ask(manager, "select to_regclass('not_committed') is null")
    assert ask(manager, "select count(*) from pg_locks where locktype = 'advisory'") == 0
    assert not manager.get_thread_connection().handle.autocommit


def test_a_connection_that_idled_for_long_is_opened_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: now))
    manager = connect()
    first = run_node(manager, "first")
    now += connections.IDLE
    assert run_node(manager, "second") == first
    now += connections.IDLE + 1
    assert run_node(manager, "third") != first


@pytest.mark.parametrize("idles", [False, True])
def test_a_lost_connection_is_replaced_for_the_next_node(
    connect: Connect, warehouse_dsn: str, idles: bool
) -> None:
    manager = connect()
    manager.set_connection_name("first")
    process = ask(manager, "select pg_backend_pid()")
    if idles:
        manager.release()
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        conn.execute("select pg_terminate_backend(%s, 10000)", (process,))
    manager.release()
    assert run_node(manager, "second") != process


def test_a_role_of_the_profile_holds_for_each_node(connect: Connect) -> None:
    manager = connect(role="pg_monitor")
    run_node(manager, "first")
    manager.set_connection_name("second")
    assert ask(manager, "select current_user") == "pg_monitor"
