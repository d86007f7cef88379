"""Share capital, breadth and sectors: building day by day equals building from nothing."""

from datetime import date

import psycopg
import pytest

from tests.integration.dbt.conftest import NO_TESTS, Dbt
from tests.integration.dbt.raw import action, bar, land, security, touch, trading_day, weekdays

TABLES = {
    "share_capital": "code, valid_from",
    "daily_basic": "code, trade_date",
    "market_stats_snapshot": "exchange, sampled_at",
    "sectors": "sector_id",
    "sector_members": "sector_id, code, valid_from",
}
DAYS = weekdays(date(2024, 1, 1), 12)
SEGMENTS = "+adjustment_segments,config.materialized:followed"
BREADTH = "+int_market__breadth_by_bars,config.materialized:followed"
BUILD = ("run", "--select", "trading_calendar", "symbol_dim", SEGMENTS, BREADTH, *TABLES)
# all is built; a test lands its rows and builds the tables
pytestmark = pytest.mark.usefixtures("models")


def capital(code: str, day: date, float_10k: float, total_10k: float) -> dict[str, object]:
    values = {"value1": 0, "value2": 0, "value3": float_10k, "value4": total_10k}
    return {"code": code, "event_date": day, "category": 5, "seq": 1} | values


def membership(name: str, member: str, first: date, last: date | None = None) -> dict[str, object]:
    kind = {"sector_kind": "concept", "sector_name": name, "member": member}
    return kind | {"valid_from": first, "valid_to": last}


def contents(conn: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: conn.execute(f"select * from market.{table} order by {key}").fetchall()
        for table, key in TABLES.items()
    }


@pytest.mark.long
def test_capital_built_day_by_day_equals_from_nothing(conn: psycopg.Connection, dbt: Dbt) -> None:
    codes = ("sh600000", "sz000002", "sh510300")
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(code) for code in codes[:2]])
    land(conn, "kline_daily", [bar(code, day, "10") for code in codes for day in DAYS[:5]])
    land(conn, "capital_event", [capital("sh600000", DAYS[1], 100, 200)])
    land(conn, "sector_member", [membership("a", c[2:], DAYS[0]) for c in codes])
    assert dbt(*BUILD).success

    # an earlier record, a future one, a correction; an event,
    # a fund known only now, a member that left
    land(
        conn,
        "capital_event",
        [
            capital("sh600000", DAYS[0], 50, 100),
            capital("sh600000", DAYS[1], 110, 210),
            capital("sh600000", DAYS[9], 300, 400),
            capital("sz000002", DAYS[3], 0, 400),
        ],
    )
    land(conn, "kline_daily", [bar(code, DAYS[5], "11") for code in codes])
    land(conn, "corporate_action", [action("sh600000", DAYS[5], cash_per10_yuan="1")])
    land(conn, "security", [security("sh510300", "fund")])
    land(conn, "sector_member", [membership("a", "000002", DAYS[0], DAYS[4])])
    land(conn, "sector_member", [membership("b", "sz000002", DAYS[4])])
    # a stock known only now, with bars since the first day; 5 % more is the limit of another
    land(conn, "kline_daily", [bar("sz300001", day, "10") for day in DAYS[:5]])
    land(conn, "kline_daily", [bar("sz300001", DAYS[5], "10.50")])
    assert dbt(*BUILD).success
    land(conn, "security", [security("sz300001") | {"name": "*ST One"}])
    assert dbt(*BUILD).success

    # a bar on a day without trading, and one of a late day alone
    land(conn, "kline_daily", [bar("sz000002", date(2024, 1, 6), "12")])
    land(conn, "kline_daily", [bar("sh600000", DAYS[7], "12")])
    assert dbt(*BUILD).success
    land(conn, "kline_daily", [bar(code, DAYS[6], "11.5") for code in codes])
    assert dbt(*BUILD).success

    # a stock left the list, one has its usual name again; a correction, and a day too many
    land(conn, "security", [security("sz000002") | {"is_listed": False}, security("sz300001")])
    land(conn, "kline_daily", [bar("sh600000", DAYS[3], "10.3")])
    conn.execute("delete from raw_tdx.trading_day where trade_date = %s", (DAYS[2],))
    touch(conn, "trading_day")
    assert dbt(*BUILD).success

    # a record is gone, a day's bar too
    conn.execute("delete from raw_tdx.capital_event where event_date = %s", (DAYS[1],))
    touch(conn, "capital_event", "sh600000")
    conn.execute("delete from raw_tdx.kline_daily where trade_date = %s", (DAYS[4],))
    touch(conn, "kline_daily", *codes, "sz300001")
    assert dbt(*BUILD).success

    as_they_came = contents(conn)
    again = dbt(*BUILD)
    assert {model: rows for model, rows in again.written.items() if rows > 0} == {}
    conn.execute("drop schema market cascade")
    conn.execute("drop table quotemill_intermediate.int_daily_figures__computed cascade")
    assert dbt("build", "--select", *(f"+{table}" for table in TABLES), *NO_TESTS).success
    assert contents(conn) == as_they_came

    assert [row[1:] for row in as_they_came["share_capital"] if row[0] == "sh600000"] == [
        (DAYS[0], DAYS[9], 500_000, 1_000_000),
        (DAYS[9], date(9999, 12, 31), 3_000_000, 4_000_000),
    ]
    # the close of 10.30 before less 0.1 in cash; of 11 after
    shown = conn.execute(
        "select previous_close, price_change, turnover_rate_percent, total_market_value_cny, "
        "reason "
        "from market.daily_basic where trade_date = %s order by code",
        (DAYS[5],),
    ).fetchall()
    assert [tuple(map(str, row)) for row in shown] == [
        ("10.000", "1.000", "None", "None", "no_record"),
        ("10.200", "0.800", "20.000000", "11000000.000", "None"),
        ("10.000", "1.000", "None", "44000000.000", "no_tradable_shares"),
        ("10.000", "0.500", "None", "None", "no_record"),
    ]


@pytest.mark.long
def test_a_correction_reaches_all_days_that_the_calendar_lacks(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    """They have one previous close, however many they are."""
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(DAYS[0])])
    land(conn, "kline_daily", [bar("sh600000", day, "10") for day in DAYS])
    assert dbt(*BUILD).success
    land(conn, "kline_daily", [bar("sh600000", DAYS[0], "11")])
    assert dbt(*BUILD).success
    rows = conn.execute(
        "select previous_close::text, count(*) from market.daily_basic group by 1 order by 1"
    ).fetchall()
    assert rows == [("11.000", len(DAYS) - 1), (None, 1)]


def test_members_of_a_past_day_are_those_of_that_day(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "security", [security(code) for code in ("sh600000", "sz000002", "sz000001")])
    land(conn, "security", [security("sh000001", "index")])
    land(
        conn,
        "sector_member",
        [
            membership("a", "600000", DAYS[2], DAYS[6]),
            membership("a", "000001", DAYS[6]),
            membership("a", "000002", DAYS[2], DAYS[2]),  # written twice that day
            membership("a", "300750", DAYS[2]),
        ],
    )
    assert dbt("run", "--select", "sector_members", "sectors").success

    def members(day: date) -> list[str]:
        rows = conn.execute(
            "select code from market.sector_members "
            "where %(day)s >= valid_from and %(day)s < valid_to",
            {"day": day},
        )
        return [code for (code,) in rows]

    assert [members(DAYS[day]) for day in (1, 2, 5, 6, 9)] == [
        [],
        ["sh600000"],
        ["sh600000"],
        ["sz000001"],
        ["sz000001"],
    ]
    counts = conn.execute("select member_count, unlisted_member_count from market.sectors")
    assert counts.fetchall() == [(1, 1)]
