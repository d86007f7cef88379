"""Whatever the order in which rows arrive, building as they come equals building from nothing."""

from datetime import date

import psycopg
import pytest

from tests.integration.dbt.conftest import BARS, BARS_AGAIN, Dbt
from tests.integration.dbt.raw import action, bar, land, security, touch, trading_day, weekdays

TABLES = {
    "market.symbol_dim": "code",
    "market.trading_calendar": "trade_date",
    "market.corporate_actions": "code, ex_date, source, seq",
    "market.adjustment_segments": "code, valid_from",
    "market.kline_daily_qfq": "code, trade_date",
    "market.kline_weekly_qfq": "code, week_start",
    "market.kline_monthly_qfq": "code, month_start",
    "quotemill_intermediate.int_bars__findings": "code, trade_date, check_name",
}
DAYS = weekdays(date(2023, 12, 18), 20)
# all is built; a test lands its rows and builds the tables
pytestmark = pytest.mark.usefixtures("models")


def contents(conn: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: conn.execute(f"select * from {table} order by {key}").fetchall()
        for table, key in TABLES.items()
    }


def from_nothing(conn: psycopg.Connection, dbt: Dbt) -> dict[str, list[tuple[object, ...]]]:
    for schema in ("market", "qa", "quotemill_staging", "quotemill_intermediate"):
        conn.execute(f"drop schema {schema} cascade")
    assert dbt("build", *BARS).success
    return contents(conn)


def test_building_day_by_day_equals_building_from_nothing(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    def prices(day: int, *codes: str, **changes: object) -> None:
        rows = [bar(code, DAYS[day], f"{10 + day}.01", **changes) for code in codes]
        land(conn, "kline_daily", rows)

    codes = ("sh600000", "sz000002", "sh510300")
    land(conn, "security", [security(code) for code in codes[:2]])
    for day in range(3):
        land(conn, "trading_day", [trading_day(DAYS[day])])
        prices(day, *codes)
    assert dbt(*BARS_AGAIN).success

    # an event announced for later, and a bar that is still provisional
    land(conn, "trading_day", [trading_day(d) for d in DAYS[3:12]])
    land(conn, "corporate_action", [action("sh600000", DAYS[5], cash_per10_yuan="1.3")])
    prices(3, *codes, is_final=False)
    assert dbt(*BARS_AGAIN).success

    # the next days, one of them late; the event comes into force
    prices(3, *codes, high=13_500, is_final=True)
    for day in (5, 6):
        prices(day, *codes)
    assert dbt(*BARS_AGAIN).success

    # the late day of one code, a correction far back, a fund known only now, a second event
    prices(4, "sh600000")
    prices(0, "sz000002", low=9_000)
    land(conn, "security", [security("sh510300", "fund")])
    land(conn, "corporate_action", [action("sz000002", DAYS[6], bonus_total_per10="2")])
    prices(7, "sh600000", "sz000002")
    assert dbt(*BARS_AGAIN).success

    # a day that the calendar had missed, one code without a bar on it
    land(conn, "trading_day", [trading_day(d) for d in DAYS[13:16]])
    prices(13, *codes)
    prices(15, *codes)
    assert dbt(*BARS_AGAIN).success
    conn.execute("delete from raw_tdx.trading_day where trade_date = %s", (DAYS[14],))
    touch(conn, "trading_day")
    assert dbt(*BARS_AGAIN).success

    # one event is withdrawn, another split in two rows, a wrong bar taken out by hand
    land(
        conn,
        "corporate_action",
        [
            action("sh600000", DAYS[5], cash_per10_yuan="1.3", is_withdrawn=True),
            action("sz000002", DAYS[6], seq=2, rights_per10="3", rights_price_yuan="4.5"),
        ],
    )
    conn.execute(
        "delete from raw_tdx.kline_daily where code = 'sh600000' and trade_date = %s", (DAYS[7],)
    )
    touch(conn, "kline_daily", "sh600000")
    prices(8, "sz000002")
    assert dbt(*BARS_AGAIN).success

    day_by_day = contents(conn)
    again = dbt(*BARS_AGAIN)
    assert again.success
    assert {m: n for m, n in again.written.items() if n > 0} == {}
    assert contents(conn) == day_by_day
    assert from_nothing(conn, dbt) == day_by_day
    assert len(day_by_day["market.kline_daily_qfq"]) == 3 * 6 + 1 + 2 + 3 * 2 - 1 + 1
