"""Locks that a role without rights in the warehouse cannot keep from its writers."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from loaders.sources import landed_tables
from loaders.warehouse import turns
from loaders.warehouse.lock import LOCK, is_lane_busy, load_lock
from loaders.warehouse.migrate import prepare
from loaders.warehouse.turns import MIGRATE
from orchestration.alerts.check import _locked
from orchestration.archive import store
from orchestration.archive.alone import alone
from orchestration.run import build_record
from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse

STRANGER = "stranger"
Lock = Callable[[Warehouse], AbstractContextManager[object]]
LOCKS: dict[str, Lock] = {
    f"{LOCK}tdx": lambda warehouse: load_lock(warehouse, "tdx"),
    build_record.LOCK: build_record.build_lock,
    store.LOCK: store.archive_lock,
    "quotemill:alerts": _locked,
}


@pytest.fixture
def warehouse(prepared_dsn: str, tmp_path: Path) -> Warehouse:
    return Warehouse(prepared_dsn, "test", False, "market", None, "test", tmp_path)


@pytest.fixture
def stranger(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """A session of a role that may log in and nothing else."""
    with warehouse.connect(autocommit=True) as owner:
        owner.execute(f"drop role if exists {STRANGER}".encode())
        owner.execute(f"create role {STRANGER} login password 'x'".encode())
    address = make_conninfo(warehouse.url, user=STRANGER, password="x")
    with closing(psycopg.connect(address, autocommit=True)) as conn:
        yield conn
    with warehouse.connect(autocommit=True) as owner:
        owner.execute(f"drop role {STRANGER}".encode())


def seize_all(stranger: psycopg.Connection) -> None:
    """Take what anybody can know: the names of our locks, and the numbers that are held."""
    names = [*LOCKS, *(f"quotemill:{n}" for n in ("migrate", "ownership", "create_functions"))]
    for name in names:
        stranger.execute("select pg_try_advisory_lock_shared(hashtextextended(%s, 0))", (name,))


def seen_keys(stranger: psycopg.Connection) -> list[int]:
    """The numbers of the locks that anybody holds now."""
    query = (
        "select (classid::bigint << 32) | objid::bigint "
        "from pg_locks where locktype = 'advisory' and objsubid = 1"
    )
    return [key for (key,) in stranger.execute(query.encode())]


@pytest.mark.parametrize("name", LOCKS)
def test_a_stranger_keeps_no_writer_from_a_lock(
    name: str, warehouse: Warehouse, stranger: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LIMIT", 1)
    seize_all(stranger)
    for _ in range(3):
        with LOCKS[name](warehouse):
            with pytest.raises(LockHeldError), LOCKS[name](warehouse):
                pass
            assert is_lane_busy(warehouse, "tdx") == (name == f"{LOCK}tdx")
            seen = seen_keys(stranger)
        assert not is_lane_busy(warehouse, "tdx")
        for key in seen:
            stranger.execute("select pg_advisory_lock(%s)", (key,))


@pytest.mark.parametrize("name", LOCKS)
def test_one_of_two_that_meet_a_stranger_gets_the_lock(
    name: str, warehouse: Warehouse, stranger: psycopg.Connection
) -> None:
    seize_all(stranger)
    with warehouse.connect(autocommit=True) as first, warehouse.connect(autocommit=True) as second:
        assert turns.take(first, name) is None
        stranger.execute("select pg_advisory_unlock_all()")
        assert f"session {first.info.backend_pid} " in str(turns.take(second, name))
        turns.let_go(first)
        assert turns.take(second, name) is None


def test_a_stranger_stops_no_command_that_prepares_the_warehouse(
    warehouse: Warehouse, stranger: psycopg.Connection
) -> None:
    seize_all(stranger)
    prepare(warehouse, landed_tables())


def test_a_stranger_at_the_very_first_command_is_named(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LIMIT", 0.2)
    empty = Warehouse(new_database(), "test", False, "market", None, "test", tmp_path)
    with empty.connect(autocommit=True, application_name="other") as conn:
        seize_all(conn)
        pid = conn.info.backend_pid
        with pytest.raises(LockHeldError, match=rf"session {pid} .* \(other") as held:
            prepare(empty, landed_tables())
    assert f"pg_terminate_backend({pid})" in str(held.value.hint)
    prepare(empty, landed_tables())


def test_nobody_prepares_an_empty_warehouse_beside_a_restore(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LIMIT", 0.2)
    empty = Warehouse(new_database(), "test", False, "market", None, "test", tmp_path)
    with alone(empty), pytest.raises(LockHeldError, match="quotemill warehouse lock"):
        prepare(empty, landed_tables())
    prepare(empty, landed_tables())


def test_a_writer_that_takes_too_long_is_named(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LIMIT", 1)
    with warehouse.connect(application_name="slow") as slow:
        turns.wait_for_turn(slow, MIGRATE)
        pid = slow.info.backend_pid
        with pytest.raises(LockHeldError, match=rf"session {pid} .* \(slow since 20"):
            prepare(warehouse, landed_tables())
        slow.rollback()
    prepare(warehouse, landed_tables())


def test_a_held_lock_keeps_nobody_from_vacuum(warehouse: Warehouse) -> None:
    """Locks are held for a day: an open transaction with a number would keep all dead rows."""
    with load_lock(warehouse, "tdx"), warehouse.connect() as conn:
        query = "select count(*) from pg_stat_activity where application_name like %s and ("
        query += "backend_xid is not null or backend_xmin is not null)"
        name = "quotemill load lock: tdx"
        assert conn.execute(query.encode(), (name,)).fetchone() == (0,)
