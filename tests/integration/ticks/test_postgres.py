"""What is of the store in the warehouse alone."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from loaders.ticks import postgres
from loaders.ticks.postgres import PostgresStore
from loaders.ticks.tables import MAIN_TICKS
from loaders.warehouse.content import RestoredMeanwhile, content_id
from loaders.warehouse.migrate import prepare
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from quotemill.errors import SettingsError
from quotemill.ticks.questdb_http import StoreError
from tests.integration.ticks.conftest import a_warehouse
from tests.integration.ticks.test_stores import indexed
from tests.ticks import KEY, day_of_ticks, write_day


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


def test_a_schema_of_others_is_left_alone(url: str, tmp_path: Path) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("create schema ticks; create table ticks.theirs (x int)")
    with pytest.raises(SettingsError, match="did not create"):
        PostgresStore(a_warehouse(url, tmp_path)).prepare()


def test_a_table_of_another_shape_is_named(url: str, tmp_path: Path) -> None:
    store = PostgresStore(a_warehouse(url, tmp_path))
    store.prepare()
    table = f"ticks.{MAIN_TICKS.name}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"alter table {table} alter column volume type double precision".encode())
    with pytest.raises(SettingsError, match="double precision as its column volume, not bigint"):
        store.prepare()


def test_a_day_that_reads_back_differently_is_not_stored(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(a_warehouse(url, tmp_path))
    store.prepare()
    put = postgres._put
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "_put", lambda conn, table, rows: put(conn, table, rows.slice(1)))
        with pytest.raises(StoreError, match="as 9 rows"):
            write_day(store, day_of_ticks(10))
    assert store.measure(*KEY).rows == 0


def test_dropped_tables_are_reported(url: str, tmp_path: Path) -> None:
    assert PostgresStore(a_warehouse(url, tmp_path)).summary().days == 0
    with pytest.raises(StoreError, match="does not exist"):
        PostgresStore(a_warehouse(url, tmp_path)).measure(*KEY)


def test_nothing_read_before_a_restore_is_written_after_it(url: str, tmp_path: Path) -> None:
    """A day that the index has, and not the ticks, would never be fetched again."""
    warehouse, file = a_warehouse(url, tmp_path), tmp_path / "dump"
    prepare(warehouse, [])
    content_id(warehouse)  # as a load does first
    store = PostgresStore(warehouse)
    store.prepare()
    dump(warehouse, file)
    store.put_index([indexed(KEY, write_day(store, day_of_ticks(10)))])
    rows = store.index()
    restore(warehouse, file, clean=True)
    with pytest.raises(RestoredMeanwhile):
        store.put_index(rows)
    assert PostgresStore(warehouse).index() == []


def test_nothing_is_written_to_a_nearly_full_disk(url: str, tmp_path: Path) -> None:
    store = PostgresStore(a_warehouse(url, tmp_path), min_free_gb=10.0**9)
    store.prepare()
    free = store.free_bytes()
    assert free is not None
    assert free > 0
    [problem] = store.check()
    assert problem.endswith(
        "too little for a day of ticks: free some space, or lower questdb.min_free_gb"
    )
    with pytest.raises(StoreError, match="GiB are free") as raised:
        write_day(store, day_of_ticks(10))
    assert "MIN_FREE_GB" in raised.value.hint
    assert store.measure(*KEY).rows == 0
    assert PostgresStore(a_warehouse(url, tmp_path), min_free_gb=10.0**-9).check() == []


def test_free_space_is_unknown_without_the_data_directory(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(a_warehouse(url, tmp_path), min_free_gb=10.0**9)
    with psycopg.connect(url) as conn:
        conn.execute("create role reader_of_little")
        conn.execute("set role reader_of_little")
        assert postgres._data_directory(conn) is None
        conn.execute("reset role; create role heir noinherit in role pg_read_all_settings")
        conn.execute("set role heir")  # may become who knows it, and is not
        assert postgres._data_directory(conn) is None
        conn.rollback()
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "_data_directory", lambda _: "/nowhere/at/all")
        assert store.free_bytes() is None
        assert store.check() == []
    far: Any = SimpleNamespace(info=SimpleNamespace(host="db.example"))
    assert postgres._data_directory(far) is None
