"""`dbt source freshness` counts trading days, and tests of keys see what a key would refuse."""

import psycopg

from tests.integration.dbt.conftest import Dbt

DAY = "(now() at time zone 'Asia/Shanghai')::date"


def set_last_day(conn: psycopg.Connection, days_ago: int) -> None:
    conn.execute(
        "insert into ops.ingestion_state (source, dataset, key, cursor, last_success_date) "
        f"values ('tdx', 'kline_daily', 'sh600000', '', {DAY} - %(ago)s) "
        f"on conflict (source, dataset, key) do update set last_success_date = {DAY} - %(ago)s",
        {"ago": days_ago},
    )


def test_the_age_of_a_source_is_counted_in_trading_days(
    models: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    def freshness() -> str:
        return dbt("source", "freshness", "-s", "source:raw_tdx.kline_daily").statuses[
            "kline_daily"
        ]

    assert freshness() == "pass"  # never loaded: not in use
    set_last_day(conn, 20)
    assert freshness() == "pass"  # a holiday of twenty days
    conn.execute(
        "insert into raw_tdx.trading_day (trade_date, source, source_route, fetched_at, is_final) "
        f"select {DAY} - ago, 'service', 'test', now(), true from generate_series(1, 6) as ago"
    )
    assert freshness() == "error"
    set_last_day(conn, 3)
    assert freshness() == "warn"
    set_last_day(conn, -1)
    assert freshness() == "pass"
