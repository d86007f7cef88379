"""A continuous aggregate replaced by another or by a table, and a table replaced by one."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.editions.aggregates import (
    BUILD,
    DAYS,
    content,
    continuous,
    one_day,
    wait_for_lock,
)
from tests.integration.dbt.editions.hypertables import make_hypertable, make_plain
from tests.integration.dbt.test_rollups import Stored, assert_built


@pytest.fixture
def edition() -> str:
    """The one with continuous aggregates."""
    return "tsl"


def test_another_query_replaces_it_or_names_its_readers(
    built: Stored, conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("create view public.mine as select * from market.kline_5m")
    conn.execute("drop materialized view market.kline_5m cascade")
    conn.execute(
        "create materialized view market.kline_5m with (timescaledb.continuous) as select code, "
        "time_bucket('1 day', bar_end) as bar_end, max(trade_date) as trade_date "
        "from raw_tdx.kline_minute group by 1, 2 with no data"
    )
    conn.execute("create view public.mine as select * from market.kline_5m")

    refused = dbt.fails(*BUILD)

    assert refused.refuses("market.kline_5m", "other query", "public.mine", "--full-refresh")
    conn.execute("drop view public.mine")
    dbt(*BUILD)
    assert_built(conn, built.rows)


def test_one_waits_for_another_without_a_lock_on_minutes(
    built: Stored, conn: psycopg.Connection, warehouse: Warehouse, dbt: Dbt
) -> None:
    """A stand-in for dbt's other thread, which replaces an aggregate by a table."""
    conn.execute(
        "insert into ops.ingestion_state (source, dataset, key, last_success_at) "
        "values ('tdx', 'minute_5m', 'sh600000', now())"
    )
    dbt("run", "-s", "kline_5m")
    with ThreadPoolExecutor(1) as thread, warehouse.connect() as other:
        other.execute("select from ops.locks where name ~ 'continuous_aggregate' for update")
        building = thread.submit(dbt, "run", "-s", "kline_15m")
        wait_for_lock(conn, building)
        assert not building.done()
        other.execute("set local lock_timeout = '5s'")
        other.execute("lock table raw_tdx.kline_minute in access exclusive mode")
        other.rollback()
        building.result()

    dbt(*BUILD, "--populate-cache")  # what read the aggregates was dropped with them
    assert continuous(conn) == []
    assert_built(conn, built.rows)


def test_a_new_continuous_aggregate_keeps_bars_of_dropped_minutes(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    make_plain(conn)
    stored = Stored(conn, {})
    stored.land(row for day in DAYS[:3] for row in one_day(day, "sh600000", "sz000002"))
    dbt(*BUILD)
    assert continuous(conn) == []
    make_hypertable(conn)
    conn.execute(
        "select drop_chunks('raw_tdx.kline_minute', %s::timestamptz)", (f"{DAYS[1]} 00:00+00",)
    )

    dbt(*BUILD, "--populate-cache")  # what reads the tables is dropped with them
    assert len(continuous(conn)) == 3
    assert_built(conn, stored.rows)
    spans = conn.execute(
        "select distinct range_end - range_start from timescaledb_information.chunks "
        "where hypertable_schema || '.' || hypertable_name = %s",
        (content(conn, "kline_5m"),),
    )
    assert spans.fetchall() == [(timedelta(days=90),)]  # of the rows carried over too
    stored.land(one_day(DAYS[3], "sh600000"))
    dbt(*BUILD, "--full-refresh")
    assert_built(conn, stored.rows)
