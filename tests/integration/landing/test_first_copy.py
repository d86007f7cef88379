"""Rows after all stored rows of their codes go straight in, and are reported as any others."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pyarrow as pa
import pytest

from loaders.landing import first_copy, landed_file, staging
from loaders.tdx.tables import KLINE_DAILY, KLINE_MINUTE, KLINE_PERIOD
from loaders.warehouse import migrate
from loaders.warehouse.tables import Batch, LandedTable
from tests.bars import bars, minutes
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench

ROWS = "select * from raw_tdx.kline_daily order by code, trade_date"
FEED = """
    select key, dates::text from ops.changes
    where table_name = 'raw_tdx.kline_daily' order by key, xid::text::bigint
"""


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows of the files that went through the temp table."""
    monkeypatch.setattr(first_copy, "FEWEST", 10)
    counts, copy = list[int](), landed_file.copy_to_stage

    def counted(conn: psycopg.Connection, file: object, *rest: object) -> object:
        result = copy(conn, file, *rest)  # type: ignore[arg-type]
        if result >= first_copy.FEWEST:
            counts.append(result)
        return result

    monkeypatch.setattr(landed_file, "copy_to_stage", counted)
    return counts


def land(
    bench: LandingBench, rows: pa.Table, table: LandedTable = KLINE_DAILY
) -> tuple[int, int, int]:
    done = bench.land_batches(table, Batch(rows))
    return done.read, done.new, done.changed


@pytest.mark.parametrize("days", [30, 1_500])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_straight_copy_and_upsert_give_the_same_rows_and_feed(
    bench: LandingBench,
    conn: psycopg.Connection,
    staged: list[int],
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    is_sorted: bool,
) -> None:
    monkeypatch.setattr(staging, "COPY_ROWS", 70)
    rows = bars(3, 0, days)
    rows = rows if is_sorted else rows.sort_by([("close", "ascending"), ("code", "descending")])
    assert land(bench, rows) == (len(rows), len(rows), 0)
    assert staged == []
    straight, changes = conn.execute(ROWS).fetchall(), conn.execute(FEED).fetchall()
    conn.execute("truncate raw_tdx.kline_daily, ops.changes")
    monkeypatch.setattr(first_copy, "FEWEST", 10**9)

    assert land(bench, rows) == (len(rows), len(rows), 0)
    assert [row[:-1] for row in conn.execute(ROWS)] == [row[:-1] for row in straight]
    assert conn.execute(FEED).fetchall() == changes
    assert len(changes) == 3


@pytest.mark.parametrize("make", [bars, minutes])
def test_days_after_the_stored_ones_are_not_compared(
    bench: LandingBench,
    conn: psycopg.Connection,
    staged: list[int],
    make: Callable[[int, int, int], pa.Table],
) -> None:
    table = KLINE_DAILY if make is bars else KLINE_MINUTE
    before, rows = make(2, 0, 30), make(3, 30, 20)  # one code is new
    migrate.prepare(bench.warehouse, [table])
    land(bench, before, table)
    conn.execute("truncate ops.changes")
    assert land(bench, rows, table) == (len(rows), len(rows), 0)
    assert staged == []
    count = f"select count(*) from {table.qualified}"
    assert conn.execute(count).fetchone() == (len(before) + len(rows),)
    first, last = min(rows["trade_date"].to_pylist()), max(rows["trade_date"].to_pylist())
    [days] = conn.execute(
        "select distinct range_agg(dates)::text from ops.changes group by key"
    ).fetchone() or [None]
    assert days is not None
    assert days.startswith(f"{{[{first},")
    assert days.endswith(f",{last + timedelta(1)})}}")


@pytest.mark.parametrize("stored", [(0, 15), (29, 30), (40, 41)], ids=["first", "last", "later"])
def test_rows_that_do_not_follow_the_stored_ones_are_compared(
    bench: LandingBench, conn: psycopg.Connection, staged: list[int], stored: tuple[int, int]
) -> None:
    first, end = stored
    before, rows = bars(1, first, end - first), bars(2, 0, 30)
    land(bench, before)
    staged.clear()
    new = len(rows) - len(before) if end <= 30 else len(rows)
    assert land(bench, rows) == (len(rows), new, 0)
    assert staged == [len(rows)]
    count = new + len(before)
    assert conn.execute("select count(*) from raw_tdx.kline_daily").fetchone() == (count,)


def test_bars_of_several_periods_follow_as_others(
    bench: LandingBench, conn: psycopg.Connection, staged: list[int]
) -> None:
    def of(first: int, count: int) -> pa.Table:
        rows = minutes(2, first, count).drop_columns(["source_label"])
        period = pa.array(["minute5"] * len(rows))
        return conform(rows.append_column("period", period), KLINE_PERIOD)

    migrate.prepare(bench.warehouse, [KLINE_PERIOD])
    land(bench, of(0, 2), KLINE_PERIOD)
    assert land(bench, rows := of(2, 1), KLINE_PERIOD) == (len(rows), len(rows), 0)
    assert staged == []
    assert land(bench, of(2, 2), KLINE_PERIOD) == (2 * len(rows), len(rows), 0)
    assert staged == [2 * len(rows)]
    assert conn.execute("select count(*) from raw_tdx.kline_period").fetchone() == (4 * len(rows),)


def test_rows_whose_key_is_the_code_alone_are_compared_once_there_are_any(
    bench: LandingBench, conn: psycopg.Connection, staged: list[int]
) -> None:
    one_key = replace(KLINE_DAILY, name="bar_of_code", key=("code",), day=None, indexes=())
    migrate.prepare(bench.warehouse, [one_key])
    rows = bars(30, 0, 1)
    assert land(bench, rows.slice(0, 20), one_key) == (20, 20, 0)
    assert staged == []
    assert land(bench, rows, one_key) == (30, 10, 0)
    assert staged == [30]


def test_a_key_that_repeats_in_the_file_lands_once(
    bench: LandingBench, conn: psycopg.Connection, staged: list[int]
) -> None:
    rows = bars(1, 0, 30)
    land(bench, pa.concat_tables([rows, rows.slice(0, 1)]))
    assert staged == [len(rows) + 1]
    assert conn.execute("select count(*) from raw_tdx.kline_daily").fetchone() == (len(rows),)


def test_every_date_of_a_table_without_days_is_reported(
    bench: LandingBench, conn: psycopg.Connection, staged: list[int]
) -> None:
    dateless = replace(KLINE_DAILY, name="bar_of_no_day", day=None, indexes=())
    migrate.prepare(bench.warehouse, [dateless])
    assert land(bench, rows := bars(2, 0, 30), dateless) == (len(rows), len(rows), 0)
    assert staged == []
    changes = conn.execute("select key, dates::text from ops.changes order by key").fetchall()
    assert changes == [(code, "{(,)}") for code in sorted(set(rows["code"].to_pylist()))]
