"""The warehouse is shared: with a user's own tables, with readers, and with another build."""

from datetime import date

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import EMPTY, MODELS, NO_TESTS, UPDATE
from tests.integration.dbt.raw import (
    bar,
    land,
    minute,
    security,
    session_minutes,
    trading_day,
)

pytestmark = MODELS

DAY = date(2024, 1, 2)


def land_one_bar(conn: psycopg.Connection) -> None:
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(DAY)])
    land(conn, "kline_daily", [bar("sh600000", DAY, "10")])


@EMPTY
def test_a_relation_that_is_not_ours_is_never_replaced(conn: psycopg.Connection, dbt: Dbt) -> None:
    conn.execute("create table market.kline_daily (mine integer)")
    conn.execute("insert into market.kline_daily values (1)")

    outcome = dbt.fails("build", "-s", "trading_calendar")

    assert outcome.refuses(
        "market.kline_daily", "QUOTEMILL_MARKET_SCHEMA", "QUOTEMILL_WAREHOUSE_URL"
    ), outcome.error
    assert conn.execute("table market.kline_daily").fetchall() == [(1,)]
    assert conn.execute("select to_regclass('market.trading_calendar')").fetchone() == (None,)


def test_plain_dbt_refuses_while_another_build_holds_the_lock(
    warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_one_bar(conn)
    with warehouse.connect(application_name="quotemill build") as holder:
        holder.execute("select pg_advisory_lock(hashtextextended('quotemill:build', 0))")

        refused = dbt.fails("run", "-s", "trading_calendar")
        monkeypatch.setenv("QUOTEMILL_BUILD_LOCK_HELD", "1")
        left_over = dbt.fails("run", "-s", "trading_calendar")
        monkeypatch.setenv("QUOTEMILL_BUILD_LOCK_HELD", str(holder.info.backend_pid))
        our_own = dbt("run", "-s", "trading_calendar")

    assert "Another build is writing" in refused.error
    assert "quotemill build" in refused.error
    assert not left_over.success
    assert our_own.success


@EMPTY
def test_plain_dbt_refuses_a_warehouse_that_a_newer_version_used(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("insert into ops.schema_migrations (name) values ('9999_later.sql')")
    refused = dbt.fails("run", "-s", "trading_calendar")
    assert refused.refuses("9999_later.sql"), refused.error


@EMPTY
def test_plain_dbt_on_an_empty_warehouse_says_what_to_do(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("drop schema ops cascade")

    outcome = dbt.fails("build")

    assert not outcome.success
    assert "loaders run" in outcome.error


def test_readers_keep_their_grants_and_views_through_rebuilds(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_one_bar(conn)
    conn.execute("drop role if exists dbt_test_reader")
    conn.execute("create role dbt_test_reader")
    conn.execute("update ops.settings set value = 'dbt_test_reader' where key = 'reader_role'")
    # a table, the view of its raw prices, a view of another schema
    models = ("--select", "+kline_daily_qfq", "kline_daily", "+qa_calendar_horizon", *NO_TESTS)
    try:
        dbt("build", *models)
        conn.execute("create schema research")
        conn.execute("create view research.mine as select * from market.kline_daily")
        conn.execute("create view research.mine_too as select * from market.kline_daily_qfq")
        seed = "quotemill_intermediate.corporate_action_overrides"
        conn.execute(f"create view research.settled as select * from {seed}")
        land(conn, "kline_daily", [bar("sh600000", DAY, "11")])
        dbt("build", *models)
        seen = conn.execute("select close from research.mine natural join research.mine_too")
        assert seen.fetchall() == [(11,)]

        dbt("build", "--full-refresh", *models)
        # the file ships without a line; a seed that was dropped would have taken the view along
        assert conn.execute("select code from research.settled").fetchall() == []
        conn.execute("set role dbt_test_reader")
        for relation in ("market.kline_daily", "market.kline_daily_qfq", "qa.qa_calendar_horizon"):
            conn.execute(f"select 1 from {relation} limit 1")
        conn.execute("reset role")
    finally:
        conn.execute("drop owned by dbt_test_reader")
        conn.execute("drop role dbt_test_reader")


def test_a_view_with_other_columns_says_what_would_go_with_it(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    build = ("run", "-s", "index_kline_daily")
    ours = "select pg_get_viewdef('market.index_kline_daily'::regclass)"
    made = conn.execute(ours).fetchone()
    # as an earlier version made it
    conn.execute("drop view market.index_kline_daily")
    conn.execute(
        "create view market.index_kline_daily as select 'sh600000'::text as code, 1 as volume"
    )
    conn.execute("create schema research")
    conn.execute("create view research.mine as select * from market.index_kline_daily")

    refused = dbt.fails(*build)

    assert refused.refuses(
        "market.index_kline_daily", "other columns", "research.mine", "--full-refresh"
    ), refused.error
    assert conn.execute("select code from research.mine").fetchall() == [("sh600000",)]
    dbt(*build, "--full-refresh")
    assert conn.execute(ours).fetchone() == made


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_the_time_zone_of_the_session_changes_nothing(
    zone: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute(f"alter database {conn.info.dbname} set timezone to '{zone}'")
    land_one_bar(conn)
    land(conn, "trading_day", [trading_day(date(2024, 1, 3), "exchange_calendar")])
    land(
        conn,
        "index_kline",
        [
            {
                **bar("sh000001", DAY, "2900"),
                "period": period,
                "bar_end": "2024-01-02 07:00+00",
                "up_count": 0,
                "down_count": 0,
            }
            for period in ("day", "week", "month", "minute1")
        ],
    )

    ends = session_minutes(DAY)
    land(conn, "kline_minute", [minute("sh600000", end, "10") for end in ends[:-1]])

    dbt(*UPDATE)
    # the last minute comes late, and is built alone
    land(conn, "kline_minute", [minute("sh600000", ends[-1], "10")])
    dbt("run", "-s", "kline_5m", "kline_15m", "kline_30m")

    conn.execute(f"set timezone to '{zone}'")
    conn.execute("set quotemill.as_of = '2024-01-03 15:59+08'")
    rows = conn.execute(
        "select (w.week_start, w.trade_date, m.month_start, c.trade_date, i.trade_date, "
        "(select week_start from market.index_kline_weekly), "
        "(select month_start from market.index_kline_monthly), "
        "(select trade_date from market.index_kline_minute))::text, "
        "(select string_agg((dataset, last_date, expected_date)::text, ' ' order by dataset) "
        "from qa.freshness where dataset <> 'codes') "
        "from market.kline_weekly_qfq as w, market.kline_monthly_qfq as m, "
        "market.trading_calendar as c, market.index_kline_daily as i where c.source = 'service'"
    ).fetchall()
    day = "2024-01-02"
    fresh = " ".join(
        f"({dataset},{day},{day})" for dataset in ("index_kline", "kline_daily", "trading_calendar")
    )
    assert rows == [
        (f"(2024-01-01,{day},2024-01-01,{day},{day},2024-01-01,2024-01-01,{day})", fresh)
    ]
    for length, last in ((5, 4), (15, 14), (30, 29), (60, 59)):
        bars = conn.execute(
            f"select bar_end, trade_date, bar_count from market.kline_{length}m order by bar_end"
        ).fetchall()
        assert bars == [(end, DAY, length) for end in ends[last::length]]
