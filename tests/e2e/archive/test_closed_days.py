"""Closed days of option chains as Parquet.

What is written, when it is written again, and who can read it.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.engine.progress import Silent
from loaders.settings import Settings
from orchestration.archive import restore as restoring
from orchestration.archive.closed import mark_changed
from orchestration.archive.content import content, content_from_sums, sums_query
from orchestration.archive.rows import count_lossy_rows
from orchestration.archive.views import find_view
from quotemill.errors import QuotemillError
from quotemill.readers.arrow import stream_rows
from quotemill.warehouse.postgres import Warehouse
from tests.conftest import DBT_DATABASE
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import EMPTY
from tests.integration.dbt.option_days import (
    AAPL,
    AFTER,
    MONDAY,
    OPTION_DAYS,
    OTHER_FILE,
    TABLES,
    TUESDAY,
    VIEWS,
    WEDNESDAY,
    archived,
    files,
    read,
)
from tests.integration.dbt.raw import land

pytestmark = OPTION_DAYS


def test_a_closed_day_becomes_a_file_for_each_underlying_once(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    # Wednesday's open interest is complete, and needs not wait for Friday's open
    on_thursday = archived(
        settings, warehouse, datetime(2026, 11, 26, 15, tzinfo=UTC), dry_run=True
    )
    assert on_thursday.planned == dict.fromkeys(VIEWS, 3)
    assert not folder.exists()

    first = archived(settings, warehouse)
    assert (first.exit_code, first.files, first.unchanged) == (0, 9, 0)
    assert first.rows == (6 + 2 + 6) * (14 + 1 + 1)
    assert files(folder) == sorted(
        f"view={view}/date={day}/underlying={symbol}/exchange=SMART/part-0.parquet"
        for view in VIEWS
        for day, symbol in (
            ("2026-11-24", "AAPL"),
            ("2026-11-24", "BRK%20B"),
            ("2026-11-25", "AAPL"),
        )
    )
    before = {name: (folder / name).stat().st_mtime_ns for name in files(folder)}
    again = archived(settings, warehouse)
    assert (again.files, again.unchanged, again.planned) == (0, 0, dict.fromkeys(VIEWS, 0))
    assert {name: (folder / name).stat().st_mtime_ns for name in files(folder)} == before


def test_the_files_have_exact_prices_utc_and_units(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    file = folder / "view=chain_intraday" / OTHER_FILE
    schema = pq.read_schema(file)
    kinds = {
        "bid": pa.decimal128(18, 6),
        "strike": pa.decimal128(12, 4),
        "sample_time": pa.timestamp("us", tz="UTC"),
        "trade_date": pa.date32(),
        "iv": pa.float64(),
        "data_quality_flag": pa.list_(pa.field("element", pa.string())),
    }
    assert {name: schema.field(name).type for name in kinds} == kinds
    assert schema.field("bid").metadata[b"unit"] == b"USD per share"
    assert schema.field("volume_contracts").metadata[b"unit"] == b"contracts"
    figures = [
        field
        for view in VIEWS
        for field in pq.read_schema(folder / f"view={view}" / OTHER_FILE)
        if pa.types.is_decimal(field.type) or pa.types.is_floating(field.type)
    ]
    assert [field.name for field in figures if b"unit" not in (field.metadata or {})] == []
    assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "SNAPPY"
    rows = pq.ParquetFile(file).read().to_pylist()
    stored = conn.execute(
        "select bid, sample_time, data_quality_flag, volume_contracts, error_type "
        "from options.chain_intraday where symbol = 'BRK B' order by sample_time, conid"
    ).fetchall()
    names = ("bid", "sample_time", "data_quality_flag", "volume_contracts", "error_type")
    assert [tuple(row[name] for name in names) for row in rows] == stored
    assert len(stored) == 28
    assert isinstance(rows[0]["bid"], Decimal)


def test_pyarrow_and_duckdb_read_the_folder_as_it_lies(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    spread = (
        "select trade_date, symbol, count(*), sum(ask - bid) from {} group by 1, 2 order by 1, 2"
    )
    wanted = conn.execute(spread.format("options.chain_intraday").encode()).fetchall()
    assert len(wanted) == 3
    source = f"read_parquet('{folder}/view=chain_intraday/**/*.parquet')"
    assert duckdb.sql(spread.format(source)).fetchall() == wanted
    by_folder = duckdb.sql(
        f"select date, underlying, exchange, count(*) from {source} group by all order by all"
    ).fetchall()
    assert by_folder == [(day, symbol, "SMART", count) for day, symbol, count, _ in wanted]

    assert read(folder, "chain_intraday").num_rows == 14 * 14
    by_hive = pq.read_table(
        folder / "view=chain_daily_clean", filters=[("underlying", "=", "BRK B")]
    )
    assert by_hive["symbol"].unique().to_pylist() == ["BRK B"]


def test_a_day_that_changed_is_archived_again_and_nothing_else(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path, dbt: Dbt
) -> None:
    archived(settings, warehouse)
    land(conn, "raw_ib.open_interest", [AAPL[0].open_interest(WEDNESDAY.day, 10)])
    better = AAPL[0].quote(TUESDAY, 3, 100.5)
    land(conn, "raw_ib.chain_snapshot", [better])
    dbt(*TABLES)
    changed = archived(settings, warehouse)
    # the slot, both days of the daily table, the open interest
    assert (changed.files, changed.exit_code) == (4, 0)
    rows = read(folder, "open_interest").to_pylist()
    assert sorted(row["open_interest"] for row in rows if row["conid"] == 100) == [9, 10]
    bids = [
        row["bid"]
        for row in read(folder, "chain_intraday").to_pylist()
        if (row["conid"], row["trade_date"], row["slot_30m"]) == (100, TUESDAY.day, 3)
    ]
    assert bids == [Decimal(str(better["bid"]))]
    # rows that were written again as they were are compared, and stay
    conn.execute("insert into ops.changes (table_name) values ('raw_ib.chain_snapshot')")
    stands = archived(settings, warehouse)
    assert (stands.files, stands.unchanged) == (0, 3)


def test_what_commits_while_the_feed_is_read_is_left_to_the_next_run(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    archived(settings, warehouse)
    view = find_view("open_interest")

    class Late(psycopg.Connection):
        """A load ends right after the feed was read."""

        def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
            done = super().execute(query, *rest, **options)
            if "update ops.archive_partitions" in str(query):
                land(conn, "raw_ib.open_interest", [AAPL[0].open_interest(TUESDAY.day, 10)])
            return done

    def changed() -> list[tuple[date, str]]:
        return conn.execute(
            "select partition_date, underlying from ops.archive_partitions where is_stale"
        ).fetchall()

    with Late.connect(warehouse.url) as other:
        mark_changed(other, warehouse, view, view.fingerprint(other, warehouse))
    assert changed() == []
    with warehouse.connect() as other:
        mark_changed(other, warehouse, view, view.fingerprint(other, warehouse))
    assert changed() == [(TUESDAY.day, "AAPL")]


def test_days_are_archived_again_where_a_view_shows_something_else(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    query = conn.execute("select pg_get_viewdef('options.chain_intraday'::regclass)").fetchone()
    assert query is not None
    conn.execute(
        "create or replace view options.chain_intraday as "
        + query[0].replace(" AS dte", " + 1 AS dte", 1)
    )
    again = archived(settings, warehouse)
    assert (again.exit_code, again.files, again.unchanged) == (0, 3, 0)
    rows = read(folder, "chain_intraday").to_pylist()
    assert {(row["expiry"] - row["trade_date"]).days - row["dte"] for row in rows} == {-1}
    assert archived(settings, warehouse).planned == dict.fromkeys(VIEWS, 0)


def test_a_day_without_a_known_session_is_listed_as_waiting(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    conn.execute("delete from raw_ib.session where trade_date = %s", (TUESDAY.day,))
    result = archived(settings, warehouse, views=("chain_intraday",))
    assert (result.waiting, result.files) == ([TUESDAY.day], 1)


def test_slots_deleted_before_they_were_archived_are_not_planned_again(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    conn.execute("delete from raw_ib.chain_snapshot where symbol = 'BRK B'")
    assert archived(settings, warehouse, dry_run=True).planned["chain_intraday"] == 2


def test_the_running_day_and_what_was_not_built_wait(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, dbt: Dbt
) -> None:
    for rows in list(MONDAY.quotes(AAPL, 101))[:2]:
        land(conn, "raw_ib.chain_snapshot", rows)
    assert archived(settings, warehouse).waiting == []
    tomorrow = AFTER + timedelta(days=1)
    assert archived(settings, warehouse, tomorrow).waiting == [MONDAY.day]
    dbt(*TABLES)
    waits = archived(settings, warehouse, datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert waits.waiting == [MONDAY.day]
    assert waits.files == 0


def test_fewer_rows_than_were_archived_replace_nothing(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    conn.execute("delete from raw_ib.chain_snapshot where conid = 100 and slot_30m = 5")
    conn.execute(
        "insert into ops.changes (table_name, key) values ('raw_ib.chain_snapshot', 'AAPL')"
    )
    for _ in range(2):  # reported until it is repaired
        left = archived(settings, warehouse)
        assert (left.exit_code, left.files) == (5, 0)
        assert left.narrower == [
            f"chain_intraday {day} AAPL: the warehouse has 83 of 84 rows"
            for day in ("2026-11-24", "2026-11-25")
        ]
    assert read(folder, "chain_intraday").num_rows == 14 * 14


def test_rows_of_a_day_without_statistics_are_compared_once(
    conn: psycopg.Connection, warehouse: Warehouse
) -> None:
    [(stored,)] = conn.execute("select count(*) from raw_ib.chain_snapshot").fetchall()
    read = (
        "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables "
        "where relid = 'raw_ib.chain_snapshot'::regclass"
    )
    with warehouse.connect() as other:
        arguments = (other, warehouse, find_view("chain_intraday"), TUESDAY.day, ["AAPL", "BRK B"])
        assert count_lossy_rows(*arguments) == {}
        # the landed rows, the view's, and what files have beside it
        assert other.execute(read.encode()).fetchall()[0][0] <= 3 * stored


def test_a_view_that_no_longer_shows_what_was_landed_is_refused(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    query = conn.execute("select pg_get_viewdef('options.chain_intraday'::regclass)").fetchone()
    assert query is not None
    conn.execute(
        "create or replace view options.chain_intraday as "
        + query[0].replace("q.bid,", "(q.bid + 1)::numeric(18, 6) as bid,", 1)
    )
    refused = archived(settings, warehouse, views=("chain_intraday",))
    assert (refused.exit_code, refused.files) == (5, 0)
    assert refused.refused == [
        "chain_intraday 2026-11-24 AAPL: the view does not show 84 rows as landed",
        "chain_intraday 2026-11-24 BRK B: the view does not show 28 rows as landed",
        "chain_intraday 2026-11-25 AAPL: the view does not show 84 rows as landed",
    ]


def test_a_server_that_writes_dates_and_doubles_otherwise_is_archived_too(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    for setting in ("datestyle = 'German'", "extra_float_digits = 0"):
        conn.execute(f'alter database "{DBT_DATABASE}" set {setting}'.encode())
    conn.execute("update raw_ib.chain_snapshot set iv = 0.1::float8 + 0.2::float8")
    assert archived(settings, warehouse).files == 9
    conn.execute("truncate raw_ib.chain_snapshot")
    request = restoring.Request("chain_intraday", TUESDAY.day, WEDNESDAY.day)
    assert restoring.restore(settings, warehouse, request, Silent(), AFTER).rows == 196


def test_a_chosen_part_alone_is_archived(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    some = archived(
        settings, warehouse, views=("chain_intraday",), symbols=("AAPL",), until=date(2026, 11, 24)
    )
    assert some.files == 1
    assert archived(settings, warehouse).files == 8
    with pytest.raises(QuotemillError, match="view chain is unknown"):
        archived(settings, warehouse, views=("chain",))


@EMPTY
def test_the_warehouse_and_arrow_hash_odd_values_alike(conn: psycopg.Connection) -> None:
    schema = pa.schema(
        [
            ("name", pa.string()),
            ("price", pa.decimal128(18, 6)),
            ("small", pa.int32()),
            ("big", pa.int64()),
            ("iv", pa.float64()),
            ("at", pa.timestamp("us", tz="UTC")),
            ("day", pa.date32()),
            ("flag", pa.bool_()),
            ("flags", pa.list_(pa.string())),
        ]
    )
    conn.execute(
        "create temp table odd (name text, price numeric(18, 6), small integer, big bigint, "
        "iv double precision, at timestamptz, day date, flag boolean, flags text[])"
    )
    conn.execute(
        """insert into odd values
        ('', 0, 0, 0, 0, '1970-01-01 00:00+00', '1970-01-01', false, '{}'),
        (null, null, null, null, null, null, null, null, null),
        (E'a,"b"\nc\\N', -0.000001, -1, -9223372036854775808, '-0', '1969-12-31 23:59:59.999999+00',
            '1899-12-31', true, '{a}'),
        ('é 中', 999999999999.999999, 2147483647, 9223372036854775807, 1e-320,
            '2026-11-27 18:00:00.000001+00', '2262-04-11', true, '{a,b}'),
        ('null', 0.1, 1, 1, 0.1, '2026-03-08 07:00+00', '2026-03-08', false, '{late_capture}'),
        ('NaN', 1, 1, 1, 'NaN', 'epoch', 'epoch', false, '{}'), ('inf', 1, 1, 1, '-Infinity',
            'epoch', 'epoch', false, '{}')"""
    )
    query = sums_query(schema, "(select *, 0 as whole from odd) as rows", ["whole"])
    [(_, *sums)] = conn.execute(query.encode()).fetchall()
    rows = stream_rows(conn, "select * from odd").read_all().cast(schema)
    assert content_from_sums(*sums) == content(rows)
    assert rows.num_rows == 7
