"""Further indexes: out of the way of an import, built when a load ends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from loaders.landing import first_copy, indexes, landed_file
from loaders.landing.load_job import Landed
from loaders.landing.target import Target
from loaders.warehouse import migrate
from loaders.warehouse.lock import load_lock
from loaders.warehouse.tables import Batch, LandedTable, landed_table
from orchestration.checks import doctor
from quotemill.warehouse.postgres import Warehouse
from tests.bars import bars
from tests.integration.landing.conftest import LandingBench

BARS = landed_table(
    "raw_tdx",
    "kline_daily",
    [
        ("code", pa.string()),
        ("trade_date", pa.date32()),
        *((name, pa.int64()) for name in ("open", "high", "low", "close", "volume", "amount")),
        ("volume_unit", pa.int16()),
    ],
    key=("code", "trade_date"),
    indexes=(("trade_date",), ("trade_date", "code")),
)
NAMES = ("kline_daily_trade_date_idx", "kline_daily_trade_date_code_idx")


@pytest.fixture
def bench(warehouse_dsn: str, tmp_path: Path) -> LandingBench:
    return LandingBench(warehouse_dsn, tmp_path, BARS)


@pytest.fixture(autouse=True)
def _a_thousand_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "FEWEST", 1_000)


def land(bench: LandingBench, rows: pa.Table, table: LandedTable = BARS) -> Landed:
    return bench.land_batches(table, Batch(rows))


def there(conn: psycopg.Connection) -> dict[str, int]:
    """The further indexes that are there and valid, with their oids."""
    rows = conn.execute(
        "select c.relname, c.oid::bigint from pg_index as x "
        "inner join pg_class as c on x.indexrelid = c.oid "
        "where x.indrelid = 'raw_tdx.kline_daily'::regclass and x.indisvalid "
        "and not x.indisprimary"
    ).fetchall()
    return dict(rows)


def build(conn: psycopg.Connection, lane: str = "tdx") -> list[str]:
    said: list[str] = []
    indexes.build_pending(conn, [BARS], lane, said.append)
    return said


def test_an_import_drops_indexes_once_and_the_load_rebuilds_them(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    land(bench, bars(10, 0, 200))
    assert there(conn) == {}
    assert len(indexes.pending(conn, [BARS])) == 2
    land(bench, bars(10, 200, 200))  # no index is there that a second file could find

    assert len(build(conn)) == 2
    assert set(there(conn)) == set(NAMES)
    assert indexes.pending(conn, [BARS]) == []
    assert build(conn) == []


@pytest.mark.parametrize("days", [1, 90])
def test_a_daily_load_touches_no_index(
    bench: LandingBench, conn: psycopg.Connection, days: int
) -> None:
    land(bench, bars(11, 0, 100))
    build(conn)
    before = there(conn)

    landed = land(bench, bars(11, 100, days))

    assert landed.new == 11 * days
    assert there(conn) == before
    assert len(before) == 2


def test_a_failed_import_leaves_a_record_of_the_dropped_indexes(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    conn.execute("alter table ops.landed_files add constraint broken check (rows_new = 0)")

    with pytest.raises(Exception, match="broken"):
        land(bench, bars(10, 0, 200))

    assert there(conn) == {}
    assert len(indexes.pending(conn, [BARS])) == 2
    assert len(build(conn)) == 2
    assert set(there(conn)) == set(NAMES)


def test_readers_are_not_blocked_while_an_import_runs(
    bench: LandingBench,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    statement = landed_file.upsert_sql

    def read_before(target: Target, *args: Any, **options: Any) -> bytes:
        if target.table == BARS.name:  # dlt's own files land beside, before the indexes are dropped
            with warehouse.connect() as reader:
                reader.execute("set lock_timeout = '10ms'")
                seen.append(reader.execute("select count(*) from raw_tdx.kline_daily").fetchone())
        return statement(target, *args, **options)

    monkeypatch.setattr(landed_file, "upsert_sql", read_before)
    land(bench, bars(10, 0, 200))

    assert seen == [(0,)]
    assert there(conn) == {}


def test_a_table_with_a_reader_keeps_its_indexes(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    with warehouse.connect() as reader:
        reader.execute("select count(*) from raw_tdx.kline_daily")
        land(bench, bars(10, 0, 200))

    assert len(there(conn)) == 2


def test_any_lane_rebuilds_indexes_that_a_killed_import_dropped(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    with load_lock(warehouse, "tdx"):
        land(bench, bars(10, 0, 200))
        assert build(conn, "ib") == []
        assert there(conn) == {}

    [check] = [c for c in doctor.check_indexes(conn, [BARS]) if NAMES[0] in c.text]
    assert check.status == "warn"
    assert "dropped by an import of tdx" in check.text
    assert len(build(conn, "ib")) == 2
    assert len(there(conn)) == 2


def test_an_invalid_index_is_reported_and_rebuilt(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    land(bench, bars(1, 0, 10))
    name = NAMES[0]
    conn.execute(f"drop index raw_tdx.{name}".encode())
    with warehouse.connect() as writer, warehouse.connect(autocommit=True) as builder:
        writer.execute("lock table raw_tdx.kline_daily in row exclusive mode")
        builder.execute("set lock_timeout = '10ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):  # it waits for the writer, who stays
            builder.execute(
                f"create index concurrently {name} on raw_tdx.kline_daily (trade_date)".encode()
            )
    assert set(there(conn)) == {NAMES[1]}

    checks = doctor.check_indexes(conn, [BARS])
    assert [(c.status, "invalid" in c.text) for c in checks] == [("warn", True)]
    assert len(build(conn)) == 1
    assert set(there(conn)) == set(NAMES)


def test_an_index_of_a_table_with_a_reader_is_built_concurrently(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    land(bench, bars(10, 0, 200))
    with warehouse.connect() as reader:
        reader.execute("select count(*) from raw_tdx.kline_daily")
        # in a transaction a concurrent build is refused, and a plain one is not
        with (
            warehouse.connect() as other,
            pytest.raises(psycopg.errors.ActiveSqlTransaction, match="CONCURRENTLY"),
        ):
            build(other)
        build(conn)
    assert len(there(conn)) == 2


def test_a_newly_declared_index_is_built_at_the_end_of_a_load(
    bench: LandingBench, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    assert len(there(conn)) == 2
    land(bench, bars(1, 0, 10))
    conn.execute(f"drop index raw_tdx.{NAMES[1]}".encode())

    migrate.prepare(warehouse, [BARS])

    assert set(there(conn)) == {NAMES[0]}
    migrate.prepare(warehouse, [BARS])
    assert len(build(conn)) == 1
    assert len(there(conn)) == 2


def test_a_single_index_is_kept_during_an_import(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    before = there(conn)

    land(bench, bars(10, 0, 200), table=replace(BARS, indexes=BARS.indexes[:1]))

    assert there(conn) == before


def test_a_single_index_is_dropped_only_for_a_straight_copy(
    bench: LandingBench, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_copy, "FEWEST", 1_000)
    single = replace(BARS, indexes=BARS.indexes[:1])
    before = there(conn)
    land(bench, bars(1, 0, 10), table=single)

    land(bench, bars(10, 0, 200), table=single)  # one of its codes is there
    assert there(conn) == before

    conn.execute("truncate raw_tdx.kline_daily")
    land(bench, bars(10, 0, 200), table=single)
    assert set(there(conn)) == {NAMES[1]}


def test_indexes_of_the_user_stay(bench: LandingBench, conn: psycopg.Connection) -> None:
    conn.execute("create index theirs on raw_tdx.kline_daily (close)")

    land(bench, bars(10, 0, 200))

    assert set(there(conn)) == {"theirs"}


def test_a_record_stays_until_its_index_exists(
    bench: LandingBench, conn: psycopg.Connection
) -> None:
    land(bench, bars(10, 0, 200))
    # as if the next import had dropped it before its record is struck out
    conn.execute(
        "update ops.pending_indexes set definition = replace(definition, index_name, 'other') "
        "where index_name = %s",
        (NAMES[0],),
    )

    build(conn)

    assert [index.name for index in indexes.pending(conn, [BARS])] == [NAMES[0]]


@pytest.mark.parametrize("edition", ["apache", "tsl"])
def test_a_killed_index_build_of_a_hypertable_resumes_by_chunk(
    edition: str, database_of: Callable[..., str], tmp_path: Path
) -> None:
    bench = LandingBench(database_of(edition), tmp_path, replace(BARS, time="trade_date"))
    warehouse = bench.warehouse
    land(bench, bars(10, 0, 200))
    waiting = (
        "select pid from pg_stat_activity "
        "where wait_event_type = 'Lock' and datname = current_database()"
    )
    chunk_indexes = (
        "select x.indrelid, x.indisvalid from show_chunks('raw_tdx.kline_daily') as chunk "
        "inner join pg_index as x on x.indrelid = chunk and not x.indisprimary"
    )
    with (
        ThreadPoolExecutor(1) as other,
        warehouse.connect(autocommit=True) as conn,
        warehouse.connect(autocommit=True) as builder,
        warehouse.connect() as writer,
    ):
        chunks = conn.execute("select c::text from show_chunks('raw_tdx.kline_daily') as c")
        *_, (last,) = chunks.fetchall()
        assert there(conn) == {}
        writer.execute(f"lock table {last} in row exclusive mode".encode())
        building = other.submit(build, builder)
        while not (waiter := conn.execute(waiting).fetchone()):
            assert not building.done()
        conn.execute("set lock_timeout = '1s'")
        conn.execute(
            "insert into raw_tdx.kline_daily "
            'select (jsonb_populate_record(k, \'{"code": "sz000001"}\')).* '
            "from raw_tdx.kline_daily as k order by trade_date limit 1"
        )
        conn.execute("select pg_terminate_backend(%s)", waiter)
        with pytest.raises(psycopg.OperationalError):
            building.result()
        writer.rollback()
        while conn.execute("select 1 from pg_stat_activity where pid = %s", waiter).fetchone():
            pass

        assert there(conn) == {}
        assert conn.execute(chunk_indexes).fetchall() != []
        checks = doctor.check_indexes(conn, [BARS])
        assert [check.status for check in checks] == ["warn", "warn"]
        assert len(build(conn)) == 2
        assert set(there(conn)) == set(NAMES)
        built = [is_valid for _, is_valid in conn.execute(chunk_indexes)]
        assert built == [True] * len(built)
        assert len(built) == 2 * chunks.rowcount
