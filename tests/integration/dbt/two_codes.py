"""Two codes and thirty days, built, whose changes are followed."""

from datetime import date

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import NO_TESTS
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays

DAYS = weekdays(date(2023, 12, 18), 40)
CODES = ("sh600000", "sz000002")
TABLES_OF_BARS = [f"kline_{length}_qfq" for length in ("daily", "weekly", "monthly")]

# from the day bars to those of weeks and months, and the findings about them
BARS = (
    "--select",
    "+kline_weekly_qfq",
    "+kline_monthly_qfq",
    "+int_bars__findings",
    "corporate_actions",
    "+symbol_dim",
    "+changes",
    # a seed that no bar needs, but `dbt run` of all that follows
    "us_corporate_actions",
    *NO_TESTS,
)
# the tables among them, where the views stand already
BARS_AGAIN = ("run", "--select", *(f"{part},config.materialized:followed" for part in BARS[1:6]))


def land_days(conn: psycopg.Connection, days: list[date], close: str = "10") -> None:
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "kline_daily", [bar(code, day, close) for code in CODES for day in days])


def build_bars(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Thirty days of both codes."""
    land(conn, "security", [security(code) for code in CODES])
    land_days(conn, DAYS[:30])
    dbt("build", *BARS)


TWO_CODES = pytest.mark.warehouse.with_args(build_bars)


def closes(
    conn: psycopg.Connection, day: date, schema: str = "market", table: str = "kline_daily_qfq"
) -> list[object]:
    rows = conn.execute(
        f"select close from {schema}.{table} where trade_date = %s order by code", (day,)
    )
    return [float(close) for (close,) in rows]


def oids(conn: psycopg.Connection, *relations: str) -> list[object]:
    return [conn.execute("select %s::regclass::oid", (r,)).fetchone() for r in relations]


def recorded_changes(conn: psycopg.Connection, table: str) -> list[tuple[object, ...]]:
    return conn.execute(
        "select key, dates::text from ops.changes where table_name = %s order by xid, key", (table,)
    ).fetchall()
