"""The first rows of a table land while dlt extracts them, exactly as they land otherwise."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from loaders.engine.signals import handled
from loaders.landing import early_copy, landed_file, load_job, resources
from loaders.landing.early_copy import EarlyCopy
from loaders.tdx.tables import KLINE_DAILY, REJECTED_ROW
from loaders.warehouse.tables import Batch
from quotemill.errors import DataQualityError, LockHeldError
from tests.bars import bars
from tests.integration.landing.conftest import LandingBench

ROWS = "select * from raw_tdx.kline_daily order by code, trade_date"
KEY = "select indexrelid::regclass::text from pg_index where indisprimary and indrelid = "
KEY += "'raw_tdx.kline_daily'::regclass"
FILES = "select rows_read, rows_new, rows_changed from ops.landed_files where table_name = %s"
CODES = 6


@pytest.fixture(autouse=True)
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which way files landed; thirty rows are many."""
    monkeypatch.setattr(early_copy, "FEWEST", 30)
    monkeypatch.setattr(resources, "ITEM_ROWS", 30)
    ways = list[str]()
    land_copied, land_file = landed_file.land_copied, landed_file.land_file

    def note_copied(*args: Any, **options: Any) -> None:
        land_copied(*args, **options)
        ways.append("early")

    def note_file(conn: Any, path: Path, *args: Any, **options: Any) -> None:
        land_file(conn, path, *args, **options)
        if path.name.startswith("kline_daily."):
            ways.append("file")

    monkeypatch.setattr(early_copy, "land_copied", note_copied)
    monkeypatch.setattr(load_job, "land_file", note_file)
    return ways


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[EarlyCopy]:
    """The early copies of the test."""
    copies, init = list[EarlyCopy](), EarlyCopy.__init__

    def note(early: EarlyCopy, *args: Any, **options: Any) -> None:
        init(early, *args, **options)
        copies.append(early)

    monkeypatch.setattr(EarlyCopy, "__init__", note)
    return copies


def parts(rows: pa.Table, size: int = 30) -> list[Batch]:
    return [Batch(rows.slice(start, size)) for start in range(0, len(rows), size)]


def land(bench: LandingBench, batches: Iterator[Batch] | list[Batch]) -> tuple[int, int, int]:
    done = bench.land_batches(KLINE_DAILY, *batches, copies_early=True)
    return done.read, done.new, done.changed


def drawn(bench: LandingBench, batches: Iterator[Batch]) -> tuple[int, int, int]:
    """As `land`, of batches that do something when they are drawn."""
    pipeline, _ = bench.open()
    done = load_job.land(
        pipeline,
        bench.warehouse,
        "tdx",
        KLINE_DAILY,
        batches,
        REJECTED_ROW,
        copies_early=True,
    )
    return done.read, done.new, done.changed


def stored(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """The rows without the load's name, which comes last."""
    return [row[:-1] for row in conn.execute(ROWS).fetchall()]


def await_copy(early: EarlyCopy, rows: int) -> None:
    while early._waiting:
        early._waiting.pop(0).result()
    assert early._rows == rows


def test_early_rows_are_those_of_the_file_with_key_feed_and_counts(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str]
) -> None:
    rows = bars(CODES, 0, 30)
    assert land(bench, parts(rows)) == (180, 180, 0)
    assert copied == ["early"]
    early, feed = stored(conn), bench.take_changes(KLINE_DAILY)
    loads = conn.execute("select distinct _dlt_load_id from raw_tdx.kline_daily").fetchall()
    assert loads == conn.execute("select load_id from ops.landed_files").fetchall()
    assert conn.execute(KEY).fetchall() == [("raw_tdx.kline_daily_pkey",)]
    assert conn.execute(FILES, ("kline_daily",)).fetchall() == [(180, 180, 0)]

    conn.execute("truncate raw_tdx.kline_daily, ops.landed_files")
    bench.land_batches(KLINE_DAILY, *parts(rows))
    assert copied == ["early", "file"]
    assert (stored(conn), bench.take_changes(KLINE_DAILY)) == (early, feed)

    assert land(bench, parts(rows)) == (180, 0, 0)
    assert copied == ["early", "file", "file"]


def test_few_rows_are_not_copied_early(bench: LandingBench, copied: list[str]) -> None:
    assert land(bench, parts(bars(1, 0, 20))) == (20, 20, 0)
    assert copied == ["file"]


def test_a_reader_of_early_rows_waits_for_their_commit(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str], seen: list[EarlyCopy]
) -> None:
    def batches() -> Iterator[Batch]:
        yield from parts(bars(3, 0, 30))
        await_copy(seen[0], 90)
        conn.execute("set lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("select count(*) from raw_tdx.kline_daily")
        assert conn.execute(KEY).fetchone() is not None  # to others it is still there

    assert drawn(bench, batches()) == (90, 90, 0)
    assert copied == ["early"]
    assert len(stored(conn)) == 90


def test_a_key_that_repeats_among_early_rows_lands_once(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str]
) -> None:
    rows = bars(CODES, 0, 30)
    assert land(bench, parts(pa.concat_tables([rows, rows.slice(7, 3)])))[1] == 180
    assert copied == ["file"]
    assert len(stored(conn)) == 180
    assert conn.execute(KEY).fetchone() is not None


@pytest.mark.parametrize("times", [0, 2])
def test_early_rows_that_are_not_those_of_the_file_are_undone(
    bench: LandingBench,
    conn: psycopg.Connection,
    copied: list[str],
    monkeypatch: pytest.MonkeyPatch,
    times: int,
) -> None:
    calls, add = [], EarlyCopy.add

    def add_the_third_otherwise(early: EarlyCopy, *args: Any) -> None:
        calls.append(args)
        for _ in range(times if len(calls) == 3 else 1):
            add(early, *args)

    monkeypatch.setattr(EarlyCopy, "add", add_the_third_otherwise)
    assert land(bench, parts(bars(CODES, 0, 30))) == (180, 180, 0)
    assert copied == ["file"]
    assert len(stored(conn)) == 180
    assert conn.execute(KEY).fetchone() is not None


def test_a_table_that_refuses_early_rows_ends_the_load(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str]
) -> None:
    rows = bars(CODES, 0, 30)
    refused = rows["close"][50].as_py()
    conn.execute(f"alter table raw_tdx.kline_daily add check (close <> {refused})")
    with pytest.raises(DataQualityError, match=r"raw_tdx\.kline_daily rejects"):
        land(bench, parts(rows))
    assert copied == []
    assert stored(conn) == []
    assert conn.execute(KEY).fetchone() is not None


def test_a_table_in_use_keeps_its_key_and_lands_by_file(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str]
) -> None:
    with bench.connect() as reader:
        reader.execute("select count(*) from raw_tdx.kline_daily")
        assert land(bench, parts(bars(CODES, 0, 30))) == (180, 180, 0)
    assert copied == ["file"]
    assert conn.execute(KEY).fetchone() is not None


def test_early_rows_land_by_file_after_their_session_is_gone(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str], seen: list[EarlyCopy]
) -> None:
    def batches() -> Iterator[Batch]:
        for number, batch in enumerate(parts(bars(CODES, 0, 30))):
            if number == 3:
                await_copy(seen[0], 90)
                session = seen[0]._conn
                assert session is not None
                conn.execute("select pg_terminate_backend(%s)", (session.info.backend_pid,))
            yield batch

    assert drawn(bench, batches()) == (180, 180, 0)
    assert copied == ["file"]
    assert len(stored(conn)) == 180
    assert conn.execute(KEY).fetchone() is not None


@pytest.mark.parametrize("how", ["error", "ctrl-c"])
def test_rows_of_an_extract_that_fails_are_undone(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str], how: str
) -> None:
    def batches() -> Iterator[Batch]:
        yield from parts(bars(CODES, 0, 30))
        if how == "error":
            raise LockHeldError("the lock is lost")
        os.kill(os.getpid(), signal.SIGINT)

    with (
        handled({signal.SIGINT: signal.default_int_handler}),  # as in a command
        pytest.raises(KeyboardInterrupt if how == "ctrl-c" else LockHeldError),
    ):
        drawn(bench, batches())
    assert stored(conn) == []
    assert conn.execute(KEY).fetchone() is not None
    assert conn.execute("select 1 from ops.landed_files").fetchone() is None

    rows = bars(CODES, 0, 30)
    assert land(bench, parts(rows)) == (180, 180, 0)
    assert copied == ["early"]
    assert conn.execute(KEY).fetchone() is not None


def test_a_failed_commit_lands_the_file_in_the_next_try(
    bench: LandingBench,
    conn: psycopg.Connection,
    copied: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    land_copied = early_copy.land_copied

    def break_line(session: psycopg.Connection, *args: Any, **options: Any) -> None:
        land_copied(session, *args, **options)
        conn.execute("select pg_terminate_backend(%s)", (session.info.backend_pid,))

    monkeypatch.setattr(early_copy, "land_copied", break_line)
    assert land(bench, parts(bars(CODES, 0, 30))) == (180, 180, 0)
    assert copied == ["early", "file"]
    assert len(stored(conn)) == 180
    assert conn.execute(FILES, ("kline_daily",)).fetchall() == [(180, 180, 0)]


def test_a_package_on_disk_lands_before_the_early_one(
    bench: LandingBench,
    conn: psycopg.Connection,
    copied: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = bars(CODES, 0, 30)
    pipeline, _ = bench.open()
    with monkeypatch.context() as patch:
        patch.setattr(type(pipeline), "load", lambda *_, **__: None)
        options = {"copies_early": True}
        load_job.land(
            pipeline, bench.warehouse, "tdx", KLINE_DAILY, parts(rows.slice(0, 90)), **options
        )
    assert pipeline.has_pending_data
    done = load_job.land(
        pipeline, bench.warehouse, "tdx", KLINE_DAILY, parts(rows.slice(60)), **options
    )
    assert (done.read, done.new) == (120, 90)
    assert copied == ["file", "file"]
    assert len(stored(conn)) == 180


def test_dlt_adds_a_column_though_rows_are_copied_early(
    bench: LandingBench, conn: psycopg.Connection, copied: list[str]
) -> None:
    rows = bars(CODES, 0, 30)
    fields = KLINE_DAILY.schema.append(pa.field("note", pa.string()))
    wider = replace(KLINE_DAILY, schema=fields, indexes=())
    noted = rows.append_column("note", pa.nulls(len(rows), pa.string()))
    bench.land_batches(wider, Batch(noted))  # dlt compares columns where its hints have changed
    conn.execute("alter table raw_tdx.kline_daily drop column note")
    conn.execute("truncate raw_tdx.kline_daily")

    named = replace(wider, indexes=KLINE_DAILY.indexes)
    done = bench.land_batches(named, *parts(noted), copies_early=True)
    assert (done.read, done.new) == (180, 180)
    assert copied == ["file", "file"]
    assert "note" in [column.name for column in conn.execute(ROWS).description or ()]
    assert conn.execute(KEY).fetchone() is not None


def test_a_hypertable_takes_no_early_rows(
    database_of: Callable[..., str], tmp_path: Path, copied: list[str]
) -> None:
    bench = LandingBench(database_of("apache"), tmp_path, KLINE_DAILY, REJECTED_ROW)
    with bench.warehouse.connect(autocommit=True) as conn:
        conn.execute("select create_hypertable('raw_tdx.kline_daily', 'trade_date')")
        assert land(bench, parts(bars(CODES, 0, 30))) == (180, 180, 0)
        assert copied == ["file"]
        assert conn.execute(KEY).fetchone() is not None
