"""Quotes and the overview of a code."""

from datetime import date
from decimal import Decimal

import psycopg

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land, security, trading_day, weekdays
from tests.integration.dbt.raw_intraday import at, quote

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
DAYS = weekdays(date(2024, 6, 3), 6)
MOMENT = at(DAYS[4], "10:30")


def test_a_missing_price_is_null_and_levels_are_in_yuan_and_shares(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security("sh600000"), security("sh600001")])
    land(conn, "trading_day", [trading_day(DAYS[4])])
    land(
        conn,
        "quote",
        [quote("sh600000", MOMENT, "10", "10.50"), quote("sh600001", MOMENT, "8.88", None)],
    )
    parts = {"trade_date": DAYS[4], "row_count": 1, "previous_close": 10_000, "amount_yuan": "12.5"}
    prices = {"open": 10_100, "high": 10_200, "low": 9_900, "close": 10_150, "volume": 7}
    land(
        conn,
        "stock_info",
        [
            {"code": "sh600000", "part": "quote", **parts, **prices},
            {"code": "sh600000", "part": "minute", **parts, **prices, "row_count": 240},
        ],
    )

    dbt("run", "-s", "+stock_info,config.materialized:followed")

    columns = (
        "previous_close, open, close, volume_shares, bid1_price, bid5_volume_shares, ask1_price, "
        "spread, is_suspended, last_trade_shares, inside_dish_shares, outer_disc_shares"
    )
    rows = conn.execute(f"select {columns} from market.quote_snapshot order by code").fetchall()
    values = [" ".join(str(value) for value in row) for row in rows]
    assert values == [
        "10.000 10.500 10.500 1000 10.490 500 10.510 0.020 False 100 400 600",
        "8.880 None None 0 None 0 None None True 0 400 600",
    ]
    info = conn.execute(
        "select code, name, quote_close, quote_volume_shares, minute_count, adjusted_bar_date "
        "from market.stock_info order by code"
    ).fetchall()
    assert info == [
        ("sh600000", "SH600000", Decimal("10.150"), 700, 240, None),
        ("sh600001", "SH600001", None, None, None, None),
    ]
