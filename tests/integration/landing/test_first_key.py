"""The key of an empty table is built with the first rows, and missing for nobody who has rows."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.engine.signals import handled
from loaders.landing import first_copy, first_key, indexes
from loaders.landing.editions.plain import PlainTable
from loaders.landing.first_copy import Changes
from loaders.landing.landed_file import land_file
from loaders.landing.target import Target
from loaders.tdx.tables import KLINE_DAILY, REJECTED_ROW
from loaders.warehouse.content import find_content
from loaders.warehouse.tables import Batch
from orchestration.checks import doctor
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse
from tests.bars import bars
from tests.integration.landing.conftest import LandingBench

KEY = """
    select pg_get_constraintdef(oid) from pg_constraint
    where conrelid = 'raw_tdx.kline_daily'::regclass and contype = 'p'
"""
ROWS = "select code, trade_date, close from raw_tdx.kline_daily order by 1, 2"
PENDING = "select index_name from ops.pending_indexes where index_name = 'kline_daily_pkey'"
WHOLE = ("PRIMARY KEY (code, trade_date)",)


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What became of the key, in order; ten rows are many."""
    monkeypatch.setattr(first_copy, "FEWEST", 10)
    steps, build = list[str](), first_key.build_key

    def build_noted(*args: Any) -> None:
        build(*args)
        steps.append("built")

    monkeypatch.setattr(first_key, "build_key", build_noted)
    return steps


def land(bench: LandingBench, rows: pa.Table) -> tuple[int, int, int]:
    done = bench.land_batches(KLINE_DAILY, Batch(rows), dataset="kline_daily")
    return done.read, done.new, done.changed


def drop_key(conn: psycopg.Connection) -> None:
    """As a load that was killed after it had dropped the key."""
    conn.execute("alter table raw_tdx.kline_daily drop constraint kline_daily_pkey")
    conn.execute(
        "insert into ops.pending_indexes (schema_name, index_name, table_name, definition, lane) "
        "values ('raw_tdx', 'kline_daily_pkey', 'kline_daily', 'alter table raw_tdx.kline_daily "
        "add constraint kline_daily_pkey primary key (code, trade_date)', 'tdx')"
    )


def test_first_rows_land_without_the_key_and_commit_with_it(
    bench: LandingBench, conn: psycopg.Connection, built: list[str]
) -> None:
    rows = bars(3, 0, 30)
    assert land(bench, rows) == (90, 90, 0)
    assert built == ["built"]
    assert conn.execute(KEY).fetchone() == WHOLE
    assert conn.execute(PENDING).fetchone() is None

    assert land(bench, rows) == (90, 0, 0)
    assert land(bench, bars(5, 0, 30).slice(90)) == (60, 60, 0)
    assert built == ["built"]


def test_readers_and_failed_loads_find_a_table_without_its_key_empty(
    bench: LandingBench,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, report = [], Changes.report

    def report_and_read(*args: Any) -> None:
        report(*args)
        with warehouse.connect() as reader:
            reader.execute("set lock_timeout = '10ms'")
            seen.append(reader.execute("select count(*) from raw_tdx.kline_daily").fetchone())

    monkeypatch.setattr(Changes, "report", report_and_read)
    conn.execute("alter table ops.landed_files add constraint broken check (rows_new = 0)")
    with pytest.raises(Exception, match="broken"):
        land(bench, bars(3, 0, 30))

    assert seen == [(0,)]
    assert conn.execute(KEY).fetchone() is None
    assert conn.execute(ROWS).fetchall() == []
    [check] = doctor.check_indexes(conn, [KLINE_DAILY])
    assert "kline_daily_pkey is missing" in check.text
    indexes.build_pending(conn, [KLINE_DAILY], "tdx", print)
    assert conn.execute(KEY).fetchone() == WHOLE
    assert conn.execute(PENDING).fetchone() is None


def test_a_load_stopped_at_once_does_not_wait_for_its_rows(
    bench: LandingBench, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, report = Event(), Changes.report

    def report_after_a_ctrl_c(changes: Changes, landing: psycopg.Connection) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            landing.execute("select pg_sleep(60)")  # as the COPY of many rows
        finally:
            ended.set()
        report(changes, landing)

    monkeypatch.setattr(Changes, "report", report_after_a_ctrl_c)
    with (
        handled({signal.SIGINT: signal.default_int_handler}),  # as in a command
        pytest.raises(KeyboardInterrupt),
    ):
        land(bench, bars(3, 0, 30))

    assert ended.wait(20)
    assert conn.execute(ROWS).fetchall() == []


@pytest.mark.parametrize("fewest", [10, 1_000])
def test_the_next_load_gives_a_table_its_key_back(
    bench: LandingBench,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    fewest: int,
) -> None:
    drop_key(conn)
    monkeypatch.setattr(first_copy, "FEWEST", fewest)  # straight into the table, or not

    assert land(bench, bars(3, 0, 30)) == (90, 90, 0)

    assert conn.execute(KEY).fetchone() == WHOLE
    assert conn.execute(PENDING).fetchone() is None


def test_what_a_killed_load_left_is_read_once_not_for_each_code(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    drop_key(conn)
    target = Target("raw_tdx", "kline_daily", KLINE_DAILY.key, entity="code", day="trade_date")
    codes = [f"sh{number}" for number in range(600_000, 600_050)]
    scans = "select seq_scan from pg_stat_xact_user_tables where relname = 'kline_daily'"
    with conn.transaction():
        assert not first_copy._has_rows(conn, PlainTable(target), codes)
        [(read,)] = conn.execute(scans).fetchall()
    assert read <= 1


def test_the_next_load_removes_the_dead_rows_of_a_killed_one(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    size = "select pg_relation_size('raw_tdx.kline_daily')"
    land(bench, bars(3, 0, 30))
    conn.execute("delete from raw_tdx.kline_daily")
    first_key.remove_dead(conn, KLINE_DAILY)  # its key leads past them
    assert conn.execute(size).fetchone() != (0,)
    drop_key(conn)

    with bench.connect() as reader:
        reader.execute(ROWS)
        first_key.remove_dead(conn, KLINE_DAILY)  # and waits for nobody
        assert conn.execute(size).fetchone() != (0,)
    first_key.remove_dead(conn, KLINE_DAILY)
    assert conn.execute(size).fetchone() == (0,)


def test_a_key_that_repeats_in_a_first_file_lands_once(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    rows = bars(2, 0, 30)
    assert land(bench, pa.concat_tables([rows, rows.slice(7, 3)]))[1] == 60
    assert conn.execute(KEY).fetchone() == WHOLE
    assert len(conn.execute(ROWS).fetchall()) == 60


def test_rows_typed_by_hand_meanwhile_are_compared(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    drop_key(conn)
    rows = bars(2, 0, 30)
    land(bench, rows)
    stored = conn.execute(ROWS).fetchall()
    conn.execute("create temp table kept as select * from raw_tdx.kline_daily limit 1")
    conn.execute("truncate raw_tdx.kline_daily")
    drop_key(conn)
    conn.execute("insert into raw_tdx.kline_daily select * from kept")

    assert land(bench, rows)[0] == 60

    assert conn.execute(ROWS).fetchall() == stored
    assert conn.execute(KEY).fetchone() == WHOLE


@pytest.mark.parametrize("fewest", [10, 1_000])
def test_rows_typed_twice_meanwhile_are_named(
    bench: LandingBench, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, fewest: int
) -> None:
    rows = bars(2, 0, 30)
    land(bench, rows)
    conn.execute("create temp table typed as select * from raw_tdx.kline_daily limit 1")
    conn.execute("truncate raw_tdx.kline_daily")
    drop_key(conn)
    conn.execute("insert into raw_tdx.kline_daily table typed union all table typed")
    monkeypatch.setattr(first_copy, "FEWEST", fewest)

    said = r"several rows of raw_tdx\.kline_daily .*: Key \(code, trade_date\)=\(sh600000, 20"
    with pytest.raises(SettingsError, match=said):
        land(bench, rows)
    assert conn.execute("select count(*) from raw_tdx.kline_daily").fetchone() == (2,)
    conn.execute("delete from raw_tdx.kline_daily where ctid = '(0,1)'")

    assert land(bench, rows)[0] == 60
    assert conn.execute(KEY).fetchone() == WHOLE


def test_a_second_load_waits_for_the_key_and_stores_no_row_twice(
    bench: LandingBench,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drop_key(conn)
    rows, file = bars(3, 0, 30), tmp_path / "rows.parquet"
    pq.write_table(rows.append_column("_dlt_load_id", pa.array(["2"] * len(rows))), file)
    target = Target("raw_tdx", "kline_daily", KLINE_DAILY.key, entity="code", day="trade_date")
    waiting = (
        "select 1 from pg_locks where not granted and mode = 'ShareRowExclusiveLock' "
        "and relation = 'raw_tdx.kline_daily'::regclass"
    )
    loads, report = [], Changes.report

    def land_beside() -> None:
        with warehouse.connect() as other:
            content = find_content(other)
            other.commit()
            land_file(other, file, target, file_id="2/rows", lane="other", content=content)

    with ThreadPoolExecutor(1) as thread:

        def report_beside_another(*args: Any) -> None:
            report(*args)
            if not loads:
                loads.append(thread.submit(land_beside))
                while conn.execute(waiting).fetchone() is None:
                    assert not loads[0].done()

        monkeypatch.setattr(Changes, "report", report_beside_another)
        assert land(bench, rows) == (90, 90, 0)
        loads[0].result()

    landed = "select rows_read, rows_new, rows_changed from ops.landed_files where load_id = '2'"
    assert conn.execute(landed).fetchall() == [(90, 0, 0)]
    assert len(conn.execute(ROWS).fetchall()) == 90
    assert conn.execute(KEY).fetchone() == WHOLE


def test_the_key_of_a_table_in_use_stays(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection, built: list[str]
) -> None:
    with warehouse.connect() as reader:
        reader.execute("select count(*) from raw_tdx.kline_daily")
        land(bench, bars(3, 0, 30))
    assert built == []
    assert conn.execute(KEY).fetchone() == WHOLE


def test_a_key_that_others_depend_on_stays(
    bench: LandingBench, conn: psycopg.Connection, built: list[str]
) -> None:
    conn.execute(
        "create view public.theirs as select code, trade_date, close from raw_tdx.kline_daily "
        "group by code, trade_date"
    )
    land(bench, bars(3, 0, 30))
    assert built == []
    assert conn.execute(KEY).fetchone() == WHOLE


@pytest.mark.parametrize(
    "use",
    [
        "alter table raw_tdx.kline_daily replica identity using index kline_daily_pkey",
        "alter table raw_tdx.kline_daily cluster on kline_daily_pkey",
        "comment on constraint kline_daily_pkey on raw_tdx.kline_daily is 'ours'",
        "create table public.notes (code text, trade_date date, "
        "foreign key (code, trade_date) references raw_tdx.kline_daily)",
    ],
    ids=["replicas", "cluster", "comment", "foreign key"],
)
def test_a_key_of_which_users_would_lose_something_stays(
    bench: LandingBench, conn: psycopg.Connection, built: list[str], use: str
) -> None:
    conn.execute(use.encode())
    land(bench, bars(3, 0, 30))
    assert built == []
    assert conn.execute(KEY).fetchone() == WHOLE


def test_a_hypertable_keeps_its_key(
    database_of: Callable[..., str], tmp_path: Path, built: list[str]
) -> None:
    bench = LandingBench(database_of("apache"), tmp_path, KLINE_DAILY, REJECTED_ROW)
    with bench.warehouse.connect(autocommit=True) as conn:
        conn.execute("select create_hypertable('raw_tdx.kline_daily', 'trade_date')")
        land(bench, bars(3, 0, 30))
        assert built == []
        assert conn.execute(KEY).fetchone() == WHOLE
