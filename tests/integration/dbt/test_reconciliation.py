"""Rows of qa.reconciliation for bars that agree, and for each kind of difference."""

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from orchestration.checks.reconcile import record
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, REBUILD
from tests.integration.dbt.raw import (
    action,
    bar,
    land,
    security,
    touch,
    trading_day,
    weekdays,
)
from tests.integration.dbt.raw_comparison import day_of, period_bars, real_vendor_bars
from tests.integration.dbt.raw_intraday import at, minutes
from tests.integration.dbt.real_market import land_real_market

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
CODE, OTHER = "sh600000", "sz000002"
DAYS = weekdays(date(2024, 6, 3), 10)
# the views are there once built: afterwards these tables are all that changes
REFRESH = (
    "run",
    "--select",
    "int_corporate_actions__known",
    "corporate_actions",
    "adjustment_segments",
    "reconciliation",
)
Row = tuple[object, ...]


def land_agreeing_market(conn: psycopg.Connection) -> None:
    """Two codes with everything stored and equal."""
    conn.execute("delete from ops.settings where key = 'reconciliation:newest'")
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(CODE), security(OTHER)])
    for code in (CODE, OTHER):
        days = []
        for n, day in enumerate(DAYS):
            rows = minutes(code, day, f"{10 + n}.00", 10 + n)
            # the closing auction has minutes without trade
            rows[237] |= {"volume": 0, "amount": 0}
            land(conn, "kline_minute", rows)
            days.append(day_of(rows))
            for period, size in (("minute5", 5), ("minute15", 15), ("minute30", 30), ("hour", 60)):
                land(conn, "kline_period", period_bars(rows, period, size))
        land(conn, "kline_daily", days)
        land(conn, "kline_period", period_bars(days, "week", 5))
        land(conn, "kline_period", period_bars(days, "month", 10))
        # a day of a file, which an older load landed, is compared with nothing
        files = [row | {"close": 1} for row in period_bars(days, "day", 1)]
        land(conn, "kline_period", files)
        adjusted = [{k: v for k, v in d.items() if k != "amount"} for d in days]
        land(conn, "kline_adjusted", adjusted)


def differences(conn: psycopg.Connection) -> list[Row]:
    columns = "check_name, code, period, likely_cause"
    rows = conn.execute(f"select distinct {columns} from qa.reconciliation".encode())
    return sorted(rows)


@pytest.mark.long
def test_equal_bars_leave_no_row_and_each_kind_of_difference_is_named(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_agreeing_market(conn)
    record(conn, [CODE, OTHER], DAYS[0], DAYS[-1])
    dbt(*REBUILD)
    assert differences(conn) == []
    counts = dict(
        conn.execute(
            "select check_name || ' ' || period, compared_count from qa.reconciliation_counts "
            "where differing_count = 0"
        ).fetchall()
    )
    assert counts == {
        "bars_of_minutes minute5": 960,
        "bars_of_minutes minute15": 320,
        "bars_of_minutes minute30": 160,
        "bars_of_minutes hour": 80,
        "bars_of_days week": 4,
        "bars_of_days month": 2,
        "adjusted_bars day": 20,
    }

    # a minute that is gone, a price of the service's that is another, a week that grew
    conn.execute(
        "delete from raw_tdx.kline_minute where code = %s and bar_end = %s",
        (CODE, at(DAYS[2], "10:03")),
    )
    conn.execute(
        "update raw_tdx.kline_period set high = high + 10 where code = %s and period = 'minute15' "
        "and bar_end = %s",
        (OTHER, at(DAYS[3], "11:30")),
    )
    conn.execute(
        "update raw_tdx.kline_period set trade_date = trade_date - 1, volume = volume - 500 "
        "where code = %s and period = 'week' and trade_date = %s",
        (CODE, DAYS[9]),
    )
    touch(conn, "kline_minute", CODE)
    dbt(*REFRESH, "kline_5m", "kline_15m", "kline_30m")
    assert differences(conn) == [
        ("bars_of_days", CODE, "week", "unfinished_bar"),
        ("bars_of_minutes", CODE, "hour", "missing_minutes"),
        ("bars_of_minutes", CODE, "minute15", "missing_minutes"),
        ("bars_of_minutes", CODE, "minute30", "missing_minutes"),
        ("bars_of_minutes", CODE, "minute5", "missing_minutes"),
        ("bars_of_minutes", OTHER, "minute15", "unexplained"),
    ]
    row = conn.execute(
        "select field, ours, theirs, difference, bar_end, severity from qa.reconciliation "
        "where likely_cause = 'unexplained'"
    ).fetchone()
    expected = (Decimal("13.000"), Decimal("13.010"), Decimal("-0.010"))
    assert row == ("high", *expected, at(DAYS[3], "11:30"), "warning")


def test_the_label_of_noon_and_minutes_of_one_price_are_known_causes(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_agreeing_market(conn)
    # 13:01 is inside the bar that came as 13:00
    noon, after = at(DAYS[1], "11:30"), at(DAYS[1], "13:01")
    conn.execute("delete from raw_tdx.kline_minute where code = %s and bar_end = %s", (CODE, after))
    conn.execute(
        "update raw_tdx.kline_minute set source_label = '13:00', volume = 2 * volume, "
        "amount = 2 * amount where code = %s and bar_end = %s",
        (CODE, noon),
    )
    conn.execute(
        "update raw_tdx.kline_minute set amount = null, high = high - 10, low = low - 10, "
        "open = open - 10, close = close - 10 where code = %s and trade_date = %s",
        (OTHER, DAYS[5]),
    )
    record(conn, [CODE, OTHER], DAYS[0], DAYS[-1])

    dbt(*REFRESH, "kline_5m", "kline_15m", "kline_30m")

    causes = conn.execute(
        "select code, likely_cause, severity, min(bar_end), max(bar_end) from qa.reconciliation "
        "where check_name = 'bars_of_minutes' group by 1, 2, 3 order by 1"
    ).fetchall()
    assert causes == [
        (CODE, "noon_label", "info", noon, at(DAYS[1], "14:00")),
        (OTHER, "price_only_minutes", "info", at(DAYS[5], "09:35"), at(DAYS[5], "15:00")),
    ]


def unadjust(conn: psycopg.Connection, code: str, condition: str) -> None:
    conn.execute(
        "update raw_tdx.kline_adjusted as v set open = k.open, high = k.high, low = k.low, "
        "close = k.close from raw_tdx.kline_daily as k where k.code = v.code "
        f"and k.trade_date = v.trade_date and v.code = %s and {condition}",
        (code,),
    )
    touch(conn, "kline_adjusted", code)


def adjusted_findings(conn: psycopg.Connection) -> Counter[Row]:
    return Counter(
        conn.execute(
            "select code, likely_cause from qa.reconciliation where check_name = 'adjusted_bars'"
        ).fetchall()
    )


@pytest.mark.long
def test_a_vendor_that_stops_adjusting_is_one_finding(
    real_tdx_data: Path, conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_real_market(conn, real_tdx_data)
    land(conn, "kline_adjusted", real_vendor_bars(real_tdx_data, "thirdparty_forward"))
    # everything at once: 21 years
    record(conn, [CODE, OTHER], date(1990, 1, 1), date(2011, 12, 31))
    dbt(*REBUILD)
    assert adjusted_findings(conn) == {}

    # the whole series; the days before one event only; one month long before the newest event
    for condition in (
        "true",
        "v.trade_date < '2005-05-12'",
        "v.trade_date between '2001-03-01' and '2001-03-31'",
    ):
        land(conn, "kline_adjusted", real_vendor_bars(real_tdx_data, "thirdparty_forward"))
        unadjust(conn, CODE, condition)
        dbt(*REFRESH)
        assert adjusted_findings(conn) == {(CODE, "vendor_unadjusted"): 1}, condition

    # an event that we lack is something else
    land(conn, "kline_adjusted", real_vendor_bars(real_tdx_data, "thirdparty_forward"))
    conn.execute(
        "update raw_tdx.corporate_action set is_withdrawn = true "
        "where code = %s and ex_date = '2010-06-10'",
        (CODE,),
    )
    touch(conn, "corporate_action", CODE)
    record(conn, [CODE, OTHER], date(2010, 5, 1), date(2010, 5, 31))
    dbt(*REFRESH)
    assert adjusted_findings(conn) == {(CODE, "late_corporate_action"): 4 * 20}


@pytest.mark.long
def test_an_older_reading_of_the_vendor_is_not_a_missing_event(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    days = weekdays(date(2024, 1, 1), 60)
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "security", [security(CODE)])
    bars = [bar(CODE, day, f"{10 + n % 7}.00") for n, day in enumerate(days)]
    land(conn, "kline_daily", bars)
    land(conn, "corporate_action", [action(CODE, days[50], cash_per10_yuan="5")])
    # read before the event, and not again: all raw, and rightly so
    raw = [{k: v for k, v in b.items() if k != "amount"} for b in bars[:50]]
    land(conn, "kline_adjusted", raw)
    record(conn, [CODE], days[0], days[-1])

    dbt(*REBUILD)

    assert differences(conn) == []
