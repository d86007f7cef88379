"""Quotes, the overview of a code, and true breadth."""

from datetime import date
from decimal import Decimal

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, REBUILD
from tests.integration.dbt.raw import action, bar, land, security, trading_day, weekdays
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

    assert dbt(*REBUILD).success

    columns = (
        "previous_close, open, close, volume_shares, bid1_price, bid5_volume_shares, ask1_price, "
        "spread, is_suspended"
    )
    rows = conn.execute(f"select {columns} from market.quote_snapshot order by code").fetchall()
    assert [[str(value) for value in row] for row in rows] == [
        ["10.000", "10.500", "10.500", "1000", "10.490", "500", "10.510", "0.020", "False"],
        ["8.880", "None", "None", "0", "None", "0", "None", "None", "True"],
    ]
    info = conn.execute(
        "select code, name, quote_close, quote_volume_shares, minute_count, adjusted_bar_date "
        "from market.stock_info order by code"
    ).fetchall()
    assert info == [
        ("sh600000", "SH600000", Decimal("10.150"), 700, 240, None),
        ("sh600001", "SH600001", None, None, None, None),
    ]


def breadth(conn: psycopg.Connection, day: date) -> list[tuple[object, ...]]:
    return conn.execute(
        "select exchange, basis, sampled_at, stock_count, up_count, down_count, flat_count, "
        "limit_up_count, limit_down_count, suspended_count, service_stock_count, service_up_count "
        "from market.market_stats_snapshot where trade_date = %s order by exchange, sampled_at",
        (day,),
    ).fetchall()


@pytest.mark.long
def test_breadth_counts_quotes_or_bars_where_quotes_are_missing(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    names = {"sh600005": "*ST Five"}
    codes = [f"sh60000{n}" for n in range(7)] + ["sz000001", "sz300001"]
    land(conn, "security", [security(c) | {"name": names.get(c, c)} for c in codes])
    land(conn, "security", [security("sh510300", "fund"), security("sh000001", "index")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    bars = {
        "sh600000": ("10", "10.10"),  # up
        "sh600001": ("10", "9.99"),  # down
        "sh600002": ("10", "10"),  # flat
        "sh600003": ("10", "11"),  # at its limit
        # went ex with 2 for 10 and 0.5 cash per share: (12.50 - 0.50) / 1.2 = 10.00
        "sh600004": ("12.50", "10.01"),
        "sh600005": ("10", "9.50"),  # at the limit of special treatment
        "sz000001": ("10", "11"),
        "sz300001": ("10", "11"),  # its limit is 20 %
        "sh510300": ("4", "5"),
    }
    for code, (before, after) in bars.items():
        land(conn, "kline_daily", [bar(code, DAYS[0], before), bar(code, DAYS[1], after)])
    # listed before and after, without a bar on the day
    land(conn, "kline_daily", [bar("sh600006", DAYS[0], "5"), bar("sh600006", DAYS[2], "5")])
    land(
        conn,
        "corporate_action",
        [action("sh600004", DAYS[1], cash_per10_yuan="5", bonus_total_per10="2")],
    )
    quotes = [
        quote(code, MOMENT, before, after)
        for code, (before, after) in bars.items()
        if code != "sh600004"
    ]
    land(conn, "quote", [*quotes, quote("sh600006", MOMENT, "5", None)])
    stats = {"up_count": 2_000, "down_count": 1, "flat_count": 0, "instrument_count": 9_000}
    land(
        conn,
        "market_stats",
        [
            {
                "exchange": "sh",
                "sampled_at": moment,
                "trade_date": day,
                "stock_count": 2_001,
                **stats,
            }
            for moment, day in (
                (MOMENT, DAYS[4]),
                (at(DAYS[1], "16:00"), DAYS[1]),
                (at(DAYS[5], "10:00"), DAYS[5]),
            )
        ],
    )

    assert dbt("snapshot").success  # names
    assert dbt(*REBUILD).success

    # by quotes, with the service's figures of the same moment beside
    assert breadth(conn, DAYS[4]) == [
        ("sh", "quotes", MOMENT, 6, 2, 2, 1, 1, 1, 1, 2_001, 2_000),
        ("sz", "quotes", MOMENT, 2, 2, 0, 0, 1, 0, 0, None, None),
    ]
    # by bars: the service was asked after the close in one exchange, nobody in the other
    assert breadth(conn, DAYS[1]) == [
        ("sh", "day_bars", at(DAYS[1], "16:00"), 6, 3, 2, 1, 1, 1, 1, 2_001, 2_000),
        ("sz", "day_bars", at(DAYS[1], "15:00"), 2, 2, 0, 0, 1, 0, 0, None, None),
    ]
    # neither
    assert breadth(conn, DAYS[5]) == [
        ("sh", "service", at(DAYS[5], "10:00"), *[None] * 7, 2_001, 2_000),
    ]
