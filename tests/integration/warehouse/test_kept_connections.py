"""The questions of a load go through one connection, for as long as it holds."""

import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from loaders.warehouse import postgres
from loaders.warehouse.postgres import Warehouse, WarehouseAway

BACKEND = "select pg_backend_pid()"


def asked(warehouse: Warehouse, query: str = BACKEND) -> int:
    row = warehouse.ask(lambda conn: conn.execute(query.encode()).fetchone())
    assert row is not None
    return int(row[0])


@pytest.fixture
def warehouse(warehouse_dsn: str, tmp_path: Path) -> Warehouse:
    return Warehouse(warehouse_dsn, "test", False, "market", None, "test", tmp_path)


def test_one_connection_answers_one_question_after_the_other(warehouse: Warehouse) -> None:
    with warehouse.keeping_connections() as kept:
        assert asked(kept) == asked(kept)
        assert asked(warehouse) != asked(warehouse)
        assert kept == warehouse
        assert kept.pool is not None
        (conn,) = kept.pool.idle
    assert conn.closed


def test_each_question_is_a_transaction(warehouse: Warehouse) -> None:
    def broken(conn: psycopg.Connection) -> None:
        conn.execute("insert into made values (2)")
        raise ZeroDivisionError

    with warehouse.keeping_connections() as kept:
        kept.ask(lambda conn: conn.execute("create table made as select 1 as n"))
        with pytest.raises(ZeroDivisionError):
            kept.ask(broken)
        assert asked(kept, "select sum(n) from made") == 1
    assert asked(warehouse, "select sum(n) from made") == 1


def test_a_connection_that_the_server_closed_is_replaced_unseen(warehouse: Warehouse) -> None:
    with warehouse.keeping_connections() as kept:
        gone = asked(kept)
        assert asked(warehouse, f"select pg_terminate_backend({gone}, 10000)::int") == 1
        assert kept.ask(lambda conn: conn.execute(BACKEND).fetchone(), patient=False) != (gone,)
        with pytest.raises(WarehouseAway):
            kept.ask(
                lambda conn: conn.execute("select pg_terminate_backend(pg_backend_pid())"),
                patient=False,
            )
        assert asked(kept) != gone


def test_threads_never_share_one(warehouse: Warehouse) -> None:
    inside, other = threading.Event(), threading.Event()

    def held(conn: psycopg.Connection) -> int:
        inside.set()
        assert other.wait(30)
        return conn.info.backend_pid

    with warehouse.keeping_connections() as kept:
        pids: list[int] = []
        thread = threading.Thread(target=lambda: pids.append(kept.ask(held)))
        thread.start()
        assert inside.wait(30)
        pids.append(asked(kept))
        other.set()
        thread.join()
        assert len(set(pids)) == 2


def test_no_more_are_open_than_the_settings_allow_and_no_more_kept_than_the_pool_holds(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(warehouse, pool_size=1, max_overflow=1)
    both, go_on = threading.Barrier(3), threading.Event()

    def held(conn: psycopg.Connection) -> None:
        both.wait(30)
        assert go_on.wait(30)

    with few.keeping_connections() as kept:
        threads = [threading.Thread(target=kept.ask, args=(held,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        both.wait(30)
        monkeypatch.setattr(postgres, "PATIENCE", 0.01)
        with pytest.raises(WarehouseAway, match="all 2 connections"):
            kept.ask(lambda _: None, patient=False)
        go_on.set()
        for thread in threads:
            thread.join()
        assert kept.pool is not None
        assert len(kept.pool.idle) == 1
        kept.ask(lambda _: None)
