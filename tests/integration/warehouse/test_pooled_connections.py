"""The questions of a load go through one connection, for as long as it holds."""

import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from quotemill.readers.arrow import stream_rows
from quotemill.warehouse import postgres
from quotemill.warehouse.postgres import Warehouse, WarehouseAway

BACKEND = "select pg_backend_pid()"


def query_value(warehouse: Warehouse, query: str = BACKEND) -> int:
    row = warehouse.ask(lambda conn: conn.execute(query.encode()).fetchone())
    assert row is not None
    return int(row[0])


@pytest.fixture
def warehouse(warehouse_dsn: str, tmp_path: Path) -> Warehouse:
    return Warehouse(warehouse_dsn, "test", False, "market", None, "test", tmp_path)


def test_one_connection_answers_several_queries(warehouse: Warehouse) -> None:
    with warehouse.keeping_connections() as pooled:
        assert query_value(pooled) == query_value(pooled)
        assert query_value(warehouse) != query_value(warehouse)
        assert pooled == warehouse
        assert pooled.pool is not None
        (conn,) = pooled.pool.idle
    assert conn.closed


def test_each_query_is_a_transaction(warehouse: Warehouse) -> None:
    def broken(conn: psycopg.Connection) -> None:
        conn.execute("insert into made values (2)")
        raise ZeroDivisionError

    with warehouse.keeping_connections() as pooled:
        pooled.ask(lambda conn: conn.execute("create table made as select 1 as n"))
        with pytest.raises(ZeroDivisionError):
            pooled.ask(broken)
        assert query_value(pooled, "select sum(n) from made") == 1
    assert query_value(warehouse, "select sum(n) from made") == 1


def test_a_connection_closed_by_the_server_is_replaced(warehouse: Warehouse) -> None:
    with warehouse.keeping_connections() as pooled:
        gone = query_value(pooled)
        assert query_value(warehouse, f"select pg_terminate_backend({gone}, 10000)::int") == 1
        assert pooled.ask(lambda conn: conn.execute(BACKEND).fetchone(), patient=False) != (gone,)
        with pytest.raises(WarehouseAway):
            pooled.ask(
                lambda conn: conn.execute("select pg_terminate_backend(pg_backend_pid())"),
                patient=False,
            )
        assert query_value(pooled) != gone


def test_threads_never_share_a_connection(warehouse: Warehouse) -> None:
    inside, other = threading.Event(), threading.Event()

    def hold(conn: psycopg.Connection) -> int:
        inside.set()
        assert other.wait(60)
        return conn.info.backend_pid

    with warehouse.keeping_connections() as pooled:
        pids: list[int] = []
        thread = threading.Thread(target=lambda: pids.append(pooled.ask(hold)))
        thread.start()
        assert inside.wait(60)
        pids.append(query_value(pooled))
        other.set()
        thread.join()
        assert len(set(pids)) == 2


def test_open_and_pooled_connections_stay_within_the_settings(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(warehouse, pool_size=1, max_overflow=1)
    both, go_on = threading.Barrier(3), threading.Event()

    def hold(conn: psycopg.Connection) -> None:
        both.wait(60)
        assert go_on.wait(60)

    with few.keeping_connections() as pooled:
        threads = [threading.Thread(target=pooled.ask, args=(hold,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        both.wait(60)
        monkeypatch.setattr(postgres, "PATIENCE", 0.01)
        with pytest.raises(WarehouseAway, match="all 2 connections"):
            pooled.ask(lambda _: None, patient=False)
        go_on.set()
        for thread in threads:
            thread.join()
        assert pooled.pool is not None
        assert len(pooled.pool.idle) == 1
        pooled.ask(lambda _: None)


def test_a_connection_made_while_the_pool_closes_is_hung_up(warehouse: Warehouse) -> None:
    made: list[psycopg.Connection] = []
    with warehouse.keeping_connections() as pooled:
        assert pooled.pool is not None
        pool = pooled.pool

        def connect() -> psycopg.Connection:
            made.append(warehouse.connect())
            pool.close()  # by another thread
            return made[0]

        with pytest.raises(psycopg.OperationalError), pooled.lend(connect) as conn:
            conn.execute("select 1")
    assert made[0].closed
    assert not pool.lent


def test_only_who_lent_a_connection_closes_it_after_a_broken_read(warehouse: Warehouse) -> None:
    """`close` of a reader, in another thread, hangs up only what nobody closes meanwhile."""
    with warehouse.connect() as conn:
        rows = stream_rows(conn, "select 1 / (2000000 - n) from generate_series(1, 2000000) as n")
        with pytest.raises(psycopg.errors.DivisionByZero):
            rows.read_all()
        assert not conn.closed
        conn.rollback()
    with warehouse.keeping_connections() as pooled:
        with pytest.raises(psycopg.errors.DivisionByZero), pooled.lend(warehouse.connect) as conn:
            stream_rows(conn, "select 1 / (9 - n) from generate_series(1, 9) as n").read_all()
        assert conn.closed
