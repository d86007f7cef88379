"""Two codes and thirty days, built, whose changes are followed."""

from datetime import date

import psycopg

from tests.integration.dbt.raw import bar, land, trading_day, weekdays

DAYS = weekdays(date(2023, 12, 18), 40)
CODES = ("sh600000", "sz000002")
TABLES_OF_BARS = [f"kline_{length}_qfq" for length in ("daily", "weekly", "monthly")]


def land_days(conn: psycopg.Connection, days: list[date], close: str = "10") -> None:
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "kline_daily", [bar(code, day, close) for code in CODES for day in days])


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
