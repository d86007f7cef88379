"""Key and indexes of an empty table are built with its first rows, and missing for nobody else."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from loaders.engine.signals import handled
from loaders.landing import first_copy, first_rows
from loaders.landing.first_copy import Changes
from loaders.landing.target import Target
from loaders.tdx.tables import KLINE_DAILY, REJECTED_ROW
from loaders.warehouse import migrate
from loaders.warehouse.tables import Batch
from orchestration.checks import gather, status
from orchestration.checks.place import Place
from orchestration.report.space import read_space
from quotemill.errors import LockHeldError, SettingsError
from quotemill.warehouse.postgres import Warehouse
from tests.bars import bars
from tests.bench import settings_at
from tests.integration.landing.conftest import LandingBench

INDEXES = """
    select pg_get_indexdef(indexrelid) from pg_index
    where indrelid = 'raw_tdx.kline_daily'::regclass order by indisprimary desc, 1
"""
ROWS = "select code, trade_date, close from raw_tdx.kline_daily order by 1, 2"
TARGET = Target(
    "raw_tdx",
    "kline_daily",
    KLINE_DAILY.key,
    entity="code",
    day="trade_date",
    indexes=KLINE_DAILY.index_names,
)


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that built key and indexes, in order; ten rows are many."""
    monkeypatch.setattr(first_copy, "FEWEST", 10)
    statements, build = list[str](), first_rows.build

    def build_noted(conn: psycopg.Connection, dropped: list[str]) -> None:
        build(conn, dropped)
        statements.extend(dropped)

    monkeypatch.setattr(first_rows, "build", build_noted)
    return statements


@pytest.fixture
def whole(conn: psycopg.Connection, bench: LandingBench) -> list[Any]:
    """The key and the indexes of the prepared table."""
    indexes = conn.execute(INDEXES).fetchall()
    assert len(indexes) == 1 + len(KLINE_DAILY.indexes)
    return indexes


def land(bench: LandingBench, rows: pa.Table) -> tuple[int, int, int]:
    done = bench.land_batches(KLINE_DAILY, Batch(rows))
    return done.read, done.new, done.changed


def file_of(conn: psycopg.Connection) -> Any:
    return conn.execute("select pg_relation_filenode('raw_tdx.kline_daily')").fetchone()


def test_first_rows_land_without_key_and_indexes_and_commit_with_them(
    bench: LandingBench, conn: psycopg.Connection, built: list[str], whole: list[Any]
) -> None:
    rows = bars(3, 0, 30)
    assert land(bench, rows) == (90, 90, 0)
    assert len(built) == len(whole)
    assert conn.execute(INDEXES).fetchall() == whole

    assert land(bench, rows) == (90, 0, 0)
    assert land(bench, bars(5, 0, 30).slice(90)) == (60, 60, 0)
    assert len(built) == len(whole)


def test_a_failed_load_leaves_the_empty_table_with_key_and_indexes(
    bench: LandingBench, conn: psycopg.Connection, built: list[str], whole: list[Any]
) -> None:
    conn.execute("alter table ops.landed_files add constraint broken check (rows_new = 0)")
    with pytest.raises(Exception, match="broken"):
        land(bench, bars(3, 0, 30))

    assert len(built) == len(whole)
    assert conn.execute(INDEXES).fetchall() == whole
    assert conn.execute(ROWS).fetchall() == []
    assert conn.execute("select pg_relation_size('raw_tdx.kline_daily')").fetchone() == (0,)


def test_a_table_with_rows_is_never_emptied(
    bench: LandingBench, conn: psycopg.Connection, built: list[str], whole: list[Any]
) -> None:
    land(bench, bars(2, 0, 30))
    stored, file = conn.execute(ROWS).fetchall(), file_of(conn)
    built.clear()
    with bench.connect() as landing:
        assert first_rows.clear(landing, TARGET) is None

    assert land(bench, bars(4, 0, 30).slice(60)) == (60, 60, 0)  # straight too
    assert built == []
    assert conn.execute(ROWS).fetchall()[: len(stored)] == stored
    assert conn.execute(INDEXES).fetchall() == whole
    assert file_of(conn) == file


def test_rows_committed_just_before_the_lock_stay(
    bench: LandingBench,
    conn: psycopg.Connection,
    built: list[str],
    whole: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    land(bench, bars(1, 0, 30))
    conn.execute("create temp table typed as select * from raw_tdx.kline_daily")
    conn.execute("truncate raw_tdx.kline_daily")
    conn.execute("set lock_timeout = '5s'")  # a row typed under the lock fails
    has_rows, asked = first_rows.has_rows, list[bool]()

    def type_rows_after_the_answer(*args: Any) -> bool:
        asked.append(has_rows(*args))
        if len(asked) == 1:
            conn.execute("insert into raw_tdx.kline_daily table typed")
        return asked[-1]

    monkeypatch.setattr(first_rows, "has_rows", type_rows_after_the_answer)
    built.clear()
    with bench.connect() as landing:
        assert first_rows.clear(landing, TARGET) is None
        landing.commit()

    assert asked == [False, True]
    assert len(conn.execute(ROWS).fetchall()) == 30
    assert conn.execute(INDEXES).fetchall() == whole


def test_who_asks_meanwhile_waits_briefly_and_gets_a_sentence(
    bench: LandingBench, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, report = [], Changes.report
    reading = replace(warehouse, lock_timeout="10ms")
    settings = settings_at(warehouse.url, warehouse.home)

    def report_and_read(*args: Any) -> None:
        report(*args)
        for ask in (
            lambda conn: conn.execute(ROWS).fetchall(),
            lambda conn: read_space(conn, settings),
        ):
            with pytest.raises(LockHeldError) as error:
                reading.ask(ask, patient=False)
            said.append(str(error.value))
        # these ask for no row and no size of a landed table
        assert status.read_status(settings, reading).problems
        place = Place(settings, reading, datetime.now(UTC))
        assert {check.verdict for check in gather.gather(place, ["server"])} == {"ok"}

    monkeypatch.setattr(Changes, "report", report_and_read)
    assert land(bench, bars(3, 0, 30)) == (90, 90, 0)

    assert len(said) == 2
    assert all(" is locked by " in text for text in said)


def test_a_load_stopped_at_once_does_not_wait_for_its_rows(
    bench: LandingBench, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_up, servers, report = Event(), list[int](), Changes.report

    def report_after_a_ctrl_c(changes: Changes, landing: psycopg.Connection) -> None:
        servers.append(landing.info.backend_pid)
        os.kill(os.getpid(), signal.SIGINT)
        try:
            landing.execute("select pg_sleep(60)")  # as the COPY of many rows
        except psycopg.Error:
            hung_up.set()
            raise
        report(changes, landing)

    monkeypatch.setattr(Changes, "report", report_after_a_ctrl_c)
    with (
        handled({signal.SIGINT: signal.default_int_handler}),  # as in a command
        pytest.raises(KeyboardInterrupt),
    ):
        land(bench, bars(3, 0, 30))

    assert hung_up.wait(20)
    # a server that sleeps notices nothing, and keeps its lock
    conn.execute("select pg_terminate_backend(%s, 20000)", servers)
    assert conn.execute(ROWS).fetchall() == []


def test_a_key_that_repeats_in_a_first_file_lands_once(
    bench: LandingBench, conn: psycopg.Connection, whole: list[Any]
) -> None:
    rows = bars(2, 0, 30)
    assert land(bench, pa.concat_tables([rows, rows.slice(7, 3)]))[1] == 60
    assert conn.execute(INDEXES).fetchall() == whole
    assert len(conn.execute(ROWS).fetchall()) == 60


def test_a_table_in_use_keeps_its_key(
    bench: LandingBench, warehouse: Warehouse, built: list[str]
) -> None:
    with warehouse.connect() as reader:
        reader.execute("select count(*) from raw_tdx.kline_daily")
        assert land(bench, bars(3, 0, 30)) == (90, 90, 0)
    assert built == []


@pytest.mark.parametrize(
    "use",
    [
        "alter table raw_tdx.kline_daily replica identity using index kline_daily_pkey",
        "alter table raw_tdx.kline_daily cluster on kline_daily_pkey",
        "comment on constraint kline_daily_pkey on raw_tdx.kline_daily is 'ours'",
        "create table public.notes (code text, trade_date date, "
        "foreign key (code, trade_date) references raw_tdx.kline_daily)",
        "create view public.theirs as select code, trade_date, close from raw_tdx.kline_daily "
        "group by code, trade_date",
        "create unique index theirs on raw_tdx.kline_daily (trade_date, code); "
        "create table public.notes (code text, trade_date date, "
        "foreign key (trade_date, code) references raw_tdx.kline_daily (trade_date, code))",
    ],
    ids=["replicas", "cluster", "comment", "foreign key", "view", "another unique index"],
)
def test_a_key_of_which_users_would_lose_something_stays(
    bench: LandingBench, conn: psycopg.Connection, built: list[str], use: str
) -> None:
    conn.execute(use.encode())
    before = conn.execute(INDEXES).fetchall()
    assert land(bench, bars(3, 0, 30)) == (90, 90, 0)
    assert built == []
    assert conn.execute(INDEXES).fetchall() == before


def test_indexes_of_the_user_stay(bench: LandingBench, conn: psycopg.Connection) -> None:
    conn.execute("create index theirs on raw_tdx.kline_daily (close)")
    before = conn.execute(INDEXES).fetchall()
    land(bench, bars(3, 0, 30))
    assert conn.execute(INDEXES).fetchall() == before


def test_a_hypertable_keeps_its_key(
    database_of: Callable[..., str], tmp_path: Path, built: list[str]
) -> None:
    bench = LandingBench(database_of("apache"), tmp_path, KLINE_DAILY, REJECTED_ROW)
    with bench.warehouse.connect(autocommit=True) as conn:
        conn.execute("select create_hypertable('raw_tdx.kline_daily', 'trade_date')")
        before = conn.execute(INDEXES).fetchall()
        assert land(bench, bars(3, 0, 30)) == (90, 90, 0)
        assert built == []
        assert conn.execute(INDEXES).fetchall() == before


def test_a_command_builds_the_key_and_the_indexes_that_a_table_lacks(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection, whole: list[Any]
) -> None:
    land(bench, bars(3, 0, 30))
    conn.execute("alter table raw_tdx.kline_daily drop constraint kline_daily_pkey")
    for name in KLINE_DAILY.index_names:
        conn.execute(f"drop index raw_tdx.{name}".encode())

    with warehouse.connect() as reader:
        reader.execute("select count(*) from raw_tdx.kline_daily")
        migrate.prepare(warehouse, [KLINE_DAILY])  # waits for nobody
        assert len(conn.execute(INDEXES).fetchall()) < len(whole)
    migrate.prepare(warehouse, [KLINE_DAILY])

    assert conn.execute(INDEXES).fetchall() == whole
    assert land(bench, bars(3, 0, 30)) == (90, 0, 0)


def test_an_index_of_a_part_of_the_rows_stands_for_none(
    warehouse: Warehouse, conn: psycopg.Connection, whole: list[Any]
) -> None:
    [index] = KLINE_DAILY.index_names
    on = "on raw_tdx.kline_daily (trade_date)"
    conn.execute("alter table raw_tdx.kline_daily drop constraint kline_daily_pkey")
    conn.execute(f"drop index raw_tdx.{index}".encode())
    conn.execute(f"create index {index} {on} where is_final".encode())
    conn.execute(f"create unique index theirs {on} where code = 'sh600000'".encode())
    migrate.prepare(warehouse, [KLINE_DAILY])
    conn.execute("drop index raw_tdx.theirs")
    assert conn.execute(INDEXES).fetchall() == whole


def test_a_key_of_another_name_is_one(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute("alter index raw_tdx.kline_daily_pkey rename to theirs")
    migrate.prepare(warehouse, [KLINE_DAILY])
    assert land(bench, bars(3, 0, 30)) == (90, 90, 0)


def test_rows_that_share_a_key_since_somebody_dropped_it_are_named(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection, whole: list[Any]
) -> None:
    land(bench, bars(1, 0, 30))
    conn.execute("alter table raw_tdx.kline_daily drop constraint kline_daily_pkey")
    conn.execute("insert into raw_tdx.kline_daily select * from raw_tdx.kline_daily limit 1")

    said = r"several rows of raw_tdx\.kline_daily .*: Key \(code, trade_date\)=\(sh600000, 20"
    with pytest.raises(SettingsError, match=said):
        migrate.prepare(warehouse, [KLINE_DAILY])
    assert len(conn.execute(ROWS).fetchall()) == 31
    conn.execute(
        "delete from raw_tdx.kline_daily where ctid = (select max(ctid) from raw_tdx.kline_daily)"
    )

    migrate.prepare(warehouse, [KLINE_DAILY])
    assert conn.execute(INDEXES).fetchall() == whole


def test_an_upgrade_builds_what_a_killed_load_of_before_had_dropped(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection, whole: list[Any]
) -> None:
    [index] = KLINE_DAILY.index_names
    conn.execute("alter table raw_tdx.kline_daily drop constraint kline_daily_pkey")
    # the build of an index was cut short: it is there, and unusable
    conn.execute(
        "update pg_index set indisvalid = false where indexrelid = %s::regclass",
        (f"raw_tdx.{index}",),
    )
    conn.execute(
        "create table ops.pending_indexes (schema_name text not null, index_name text not null, "
        "table_name text not null, definition text not null, lane text, "
        "recorded_at timestamptz not null default clock_timestamp(), "
        "primary key (schema_name, index_name))"
    )
    conn.execute(
        "insert into ops.pending_indexes (schema_name, index_name, table_name, definition, lane) "
        "select 'raw_tdx', name, 'kline_daily', 'create …', 'tdx' from unnest(%s::text[]) as name",
        (["kline_daily_pkey", index],),
    )
    conn.execute("delete from ops.schema_migrations where name = '0006_first_rows.sql'")

    migrate.prepare(warehouse, [KLINE_DAILY])

    assert conn.execute(INDEXES).fetchall() == whole
    assert conn.execute("select bool_and(indisvalid) from pg_index").fetchone() == (True,)
    assert conn.execute("select to_regclass('ops.pending_indexes')").fetchone() == (None,)
