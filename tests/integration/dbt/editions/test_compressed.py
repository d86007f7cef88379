"""Builds correct compressed hypertables of any size, and open only what differs."""

from datetime import UTC, datetime

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import NO_TESTS
from tests.integration.dbt.raw import land, minute, touch

TABLE = "market.kline_daily_qfq"
# more rows than a transaction may open by default
CODES, DAYS = 60, 2000
LAND = f"""
    insert into raw_tdx.security
    (code, exchange, name, instrument_type, is_listed, source_route, fetched_at, is_final)
    select 'sh' || 600000 + n, 'sh', 'N', 'stock', true, 'test', '2024-01-31 20:00+00', true
    from generate_series(1, {CODES}) as n;

    insert into raw_tdx.kline_daily
        (code, trade_date, open, high, low, close, volume, amount, source_route, fetched_at,
         is_final)
    select code, date '2015-01-01' + day, 10000, 10000, 10000, 10000, 1000, 1000000000, 'test',
        '2024-01-31 20:00+00', true
    from raw_tdx.security cross join generate_series(1, {DAYS}) as day;
"""
COMPRESS = f"""
    select create_hypertable(
        '{TABLE}', by_range('trade_date', interval '1 year'), migrate_data => true,
    create_default_indexes => false
    );
    alter table {TABLE} set (
        timescaledb.enable_columnstore, timescaledb.segmentby = 'code',
    timescaledb.orderby = 'trade_date desc'
    );
    select compress_chunk(c) from show_chunks('{TABLE}') as c;
"""
BUILD = ("run", "-s", "kline_daily_qfq")


def opened(conn: psycopg.Connection) -> int:
    """How many of the chunks hold rows beside the compressed ones."""
    rows = conn.execute("select show_chunks(%s)::text", (TABLE,)).fetchall()
    return sum(
        conn.execute(f"select exists (select from only {chunk})").fetchone() == (True,)
        for (chunk,) in rows
    )


def wrong(conn: psycopg.Connection) -> tuple[int, int]:
    """Rows stored, and how many of them, or of the landed ones, the other side lacks."""
    stored = f"select code, trade_date, close from {TABLE}"
    landed = "select code, trade_date, (close * 0.001)::numeric(18, 3) from raw_tdx.kline_daily"
    [(count, lacking)] = conn.execute(
        f"select (select count(*) from {TABLE}), (select count(*) from "
        f"(({stored} except {landed}) union all ({landed} except {stored})) as d)"
    )
    return count, lacking


@pytest.mark.parametrize("edition", ["tsl"])
def test_a_hundred_thousand_compressed_rows_are_corrected_and_deleted(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute(LAND.encode())
    touch(conn, "kline_daily")
    touch(conn, "security")
    dbt("build", "-s", "+kline_daily_qfq", *NO_TESTS)
    indexes = "select count(*) from pg_indexes where tablename = 'kline_daily_qfq'"
    before = conn.execute(indexes.encode()).fetchone()
    conn.execute(COMPRESS.encode())
    assert conn.execute(indexes.encode()).fetchone() == before

    # nothing differs
    touch(conn, "kline_daily")
    assert dbt(*BUILD).written == {"kline_daily_qfq": 0}
    assert opened(conn) == 0

    # one code of them
    conn.execute("update raw_tdx.kline_daily set close = 9990 where code = 'sh600001'")
    touch(conn, "kline_daily", "sh600001")
    assert dbt(*BUILD).written == {"kline_daily_qfq": DAYS}
    assert wrong(conn) == (CODES * DAYS, 0)

    # all of them
    conn.execute("update raw_tdx.kline_daily set close = 9980")
    touch(conn, "kline_daily")
    assert dbt(*BUILD).written == {"kline_daily_qfq": CODES * DAYS}
    assert wrong(conn) == (CODES * DAYS, 0)

    # nearly all are gone
    conn.execute(f"select compress_chunk(c) from show_chunks('{TABLE}') as c")
    assert opened(conn) == 0
    conn.execute("delete from raw_tdx.kline_daily where code > 'sh600002'")
    touch(conn, "kline_daily")
    dbt(*BUILD)
    assert wrong(conn) == (2 * DAYS, 0)


@pytest.mark.parametrize("edition", ["tsl"])
def test_the_feed_names_only_rows_that_changed_in_compressed_chunks(
    edition: str, conn: psycopg.Connection
) -> None:
    """Not of chunks that are compressed, compressed again, or dropped."""
    table = "raw_tdx.kline_minute"
    conn.execute(
        f"alter table {table} set (timescaledb.enable_columnstore, timescaledb.segmentby = 'code', "
        "timescaledb.orderby = 'bar_end desc')"
    )
    ends = [datetime(2024, month, 5, 2, n, tzinfo=UTC) for month in (1, 3) for n in range(10)]
    rows = [minute("sh600000", end, "10") for end in ends]
    land(conn, "kline_minute", rows)
    changes = f"select count(*), max(dates::text) from ops.changes where table_name = '{table}'"
    whole = conn.execute(changes).fetchone()

    conn.execute(f"select compress_chunk(c) from show_chunks('{table}') as c")
    land(conn, "kline_minute", rows)
    assert conn.execute(changes).fetchone() == whole
    land(conn, "kline_minute", [*rows[1:], minute("sh600000", ends[0], "11")])
    last = (
        f"select dates::text from ops.changes where table_name = '{table}' "
        "order by xid desc limit 1"
    )
    assert conn.execute(last).fetchone() == ("{[2024-01-05,2024-01-06)}",)
    count = conn.execute(changes).fetchone()

    conn.execute(f"select compress_chunk(c) from show_chunks('{table}') as c")
    conn.execute(f"select drop_chunks('{table}', timestamptz '2024-02-15')")
    assert conn.execute(changes).fetchone() == count
    assert conn.execute(f"select count(*) from {table}").fetchone() == (10,)
