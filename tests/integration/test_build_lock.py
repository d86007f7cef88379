"""The lock of a build: free for the next one as soon as a build ended."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orchestration.archive.store import archive_lock
from orchestration.run.build_record import Wait, build_lock
from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse, WarehouseAway


def test_a_released_build_lock_is_free_at_once(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    opened: list[psycopg.Connection] = []

    class Late(Warehouse):
        """Its server takes long to notice that a connection was closed."""

        def connect(self, **options: Any) -> psycopg.Connection:
            conn = super().connect(**options)
            opened.append(conn)
            conn.close = lambda: None  # type: ignore[method-assign]
            return conn

    warehouse = Late(new_database(), "test", False, "market", None, "test", tmp_path)
    with build_lock(warehouse), pytest.raises(LockHeldError), build_lock(warehouse):
        pass
    with build_lock(warehouse):
        pass
    assert len(opened) == 3
    for conn in opened:
        psycopg.Connection.close(conn)


def test_a_session_that_breaks_before_its_lock_is_a_warehouse_that_is_away(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    class Breaking(Warehouse):
        """Its server ends each session at once."""

        def connect(self, **options: Any) -> psycopg.Connection:
            conn = super().connect(**options)
            with super().connect(autocommit=True) as other:
                other.execute("select pg_terminate_backend(%s, 10000)", (conn.info.backend_pid,))
            return conn

    warehouse = Breaking(new_database(), "test", False, "market", None, "test", tmp_path)
    for lock in (build_lock, archive_lock):
        with pytest.raises(WarehouseAway, match="cannot be reached"), lock(warehouse):
            pass


def test_a_build_waits_for_another_one_up_to_its_deadline(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    warehouse = Warehouse(new_database(), "test", False, "market", None, "test", tmp_path)
    held, free, lines = threading.Event(), threading.Event(), list[str]()

    def hold() -> None:
        with build_lock(warehouse):
            held.set()
            free.wait()

    def release(line: str) -> None:
        lines.append(line)
        free.set()

    other = threading.Thread(target=hold)
    other.start()
    held.wait()
    late = pytest.raises(LockHeldError, match=" 0 minutes")
    with late, build_lock(warehouse, Wait(0, lines.append)):
        pass
    with build_lock(warehouse, Wait(60, release)):
        other.join()
    assert [line.split(" ")[:2] for line in lines] == [["build:", "waiting"]] * 2


def test_a_server_that_ends_idle_sessions_ends_no_lock(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    warehouse = Warehouse(new_database(), "test", False, "market", None, "test", tmp_path)
    with warehouse.connect() as conn:
        limit = sql.SQL("alter database {} set idle_session_timeout = '100ms'")
        conn.execute(limit.format(sql.Identifier(conn.info.dbname)))
    is_open = "select 1 from pg_stat_activity where pid = %s"
    with build_lock(warehouse), psycopg.connect(warehouse.url, autocommit=True) as other:
        with warehouse.connect(autocommit=True) as conn:
            while conn.execute(is_open, (other.info.backend_pid,)).fetchone():
                pass
        with pytest.raises(LockHeldError), build_lock(warehouse):
            pass
