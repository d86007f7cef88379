"""Refused corporate actions mark the prices."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, REBUILD, UPDATE
from tests.integration.dbt.raw import action, bar, land, security, trading_day, weekdays
from tests.integration.dbt.raw_intraday import quote

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
DAYS = weekdays(date(2024, 1, 1), 60)
PRICES = [f"kline_{name}" for name in ("daily_qfq", "daily_hfq", "weekly_qfq", "monthly_qfq")]


def refused(place: int, code: str, ex_date: date | str, **changes: Any) -> dict[str, Any]:
    payload = f'{{"code":"{code}","ex_date":"{ex_date}","cash_per10_yuan":"x","category":"1"}}'
    row: dict[str, Any] = {
        "dataset": "corporate_actions",
        "row_key": f"actions.csv:{place}",
        "field": "cash_per10_yuan",
        "rule": "must be a plain decimal number like 1.5",
        "value": "x",
        "payload": payload,
        "is_withdrawn": False,
    }
    return row | changes


def row_key(code: str, day: date) -> dict[str, Any]:
    """The fields that name a row by the key of its table."""
    payload = json.dumps({"code": code, "ex_date": str(day), "category": 1})
    return {"row_key": f"{code} {day} csv 1", "payload": payload}


ERRORS = (
    "select check_name, subject, trade_date from qa.findings where severity = 'error' order by 2"
)


def marked(conn: psycopg.Connection) -> dict[str, set[str]]:
    """The codes whose prices are marked, by table; every row of a code must say the same."""
    result = {}
    for table in PRICES:
        rows = conn.execute(
            f"select code, bool_and(has_refused_action), bool_or(has_refused_action) "
            f"from market.{table} group by code"
        ).fetchall()
        assert all(every == some for _, every, some in rows)
        result[table] = {code for code, every, _ in rows if every}
    return result


@pytest.mark.long
def test_a_refused_action_is_an_error_of_its_code_and_marks_its_prices(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    codes = [f"sh60000{n}" for n in range(6)] + ["sz000001"]
    land(conn, "security", [security(code) for code in codes])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "kline_daily", [bar(code, day, "10") for code in codes[:6] for day in DAYS])
    land(
        conn,
        "rejected_row",
        [
            refused(2, "SH600000", DAYS[3]),
            refused(3, "600001.SH", "2024-02-31"),
            # a second copy of what counts, another category, a code without bars, no code at all
            refused(4, "sh600002", DAYS[3], rule="repeats actions.csv:3"),
            refused(5, "sh600003", DAYS[3], payload='{"code":"sh600003","category":"5"}'),
            refused(6, "sz000001", DAYS[3]),
            refused(7, "600004", DAYS[3], field="code"),
            # by its key: what no table can hold, and what came well later
            refused(8, "", DAYS[4]) | row_key("sh600002", DAYS[4]),
            refused(9, "", DAYS[5]) | row_key("sh600003", DAYS[5]),
            # by the quote servers: of a code that the files tell of, and of another
            refused(0, "sh600003", DAYS[6], row_key="xdxr sh600003 row 1"),
            refused(0, "sh600004", DAYS[6], row_key="xdxr sh600004 row 1"),
            # by the reading of all of gbbq's records
            refused(0, "sh600005", DAYS[7], row_key="gbbq sh600005 record 9")
            | {"dataset": "capital_events"},
        ],
    )
    land(conn, "corporate_action", [action("sh600003", DAYS[5], cash_per10_yuan="1")])
    # the service's list lacks this one
    land(conn, "kline_daily", [bar("sh600009", DAYS[0], "10")])

    dbt(*REBUILD)

    assert marked(conn) == {
        table: {"sh600000", "sh600001", "sh600002", "sh600004", "sh600005"} for table in PRICES
    }
    assert conn.execute(ERRORS).fetchall() == [
        ("refused_action", "sh600000", DAYS[3]),
        ("refused_action", "sh600001", None),
        ("refused_action", "sh600002", DAYS[4]),
        ("refused_action", "sh600004", DAYS[6]),
        ("refused_action", "sh600005", DAYS[7]),
    ]
    for table in PRICES:
        unlisted = conn.execute(f"select close from market.{table} where code = 'sh600009'")
        assert unlisted.fetchall() == [(10,)], table
    count = "select count(*) from qa.findings where check_name = 'rejected_row'"
    assert conn.execute(count).fetchone() == (6,)

    # the file is repaired: the newest reading counts, and the prices are no longer marked
    land(conn, "rejected_row", [refused(2, "SH600000", DAYS[3], is_withdrawn=True)])
    land(conn, "corporate_action", [action("sh600000", DAYS[3], cash_per10_yuan="0.123456789")])
    dbt(*UPDATE)

    assert marked(conn) == {
        table: {"sh600001", "sh600002", "sh600004", "sh600005"} for table in PRICES
    }
    assert [code for _, code, _ in conn.execute(ERRORS)] == [
        "sh600001",
        "sh600002",
        "sh600004",
        "sh600005",
    ]
    row = conn.execute(
        "select cash_per10_yuan from market.corporate_actions where code = 'sh600000'"
    ).fetchone()
    assert row == (Decimal("0.123456789"),)


@pytest.mark.soak
def test_yuan_adjust_no_price_in_dollars(conn: psycopg.Connection, dbt: Dbt) -> None:
    codes = ["sh600000", "sh900901", "sz200002", "sz200003"]
    dividend = {"source": "xdxr", "cash_per10_yuan": 3, "bonus_total_per10": 2}
    land(conn, "security", [security(code) for code in codes])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "kline_daily", [bar(code, day, "6") for code in codes for day in DAYS[:4]])
    land(conn, "corporate_action", [action(code, DAYS[4], **dividend) for code in codes[:3]])
    dbt(*REBUILD)
    assert marked(conn) == {table: set() for table in PRICES}  # it has not come yet

    land(conn, "kline_daily", [bar(code, day, "6") for code in codes for day in DAYS[4:8]])
    dbt(*UPDATE)
    adjusted = (
        "select code, close, has_refused_action from market.kline_daily_{} order by 1, trade_date"
    )
    queries = [*(adjusted.format(name) for name in ("qfq", "hfq"))]
    queries.append("select code, previous_close from market.daily_basic order by 1, trade_date")
    stepwise = [conn.execute(query).fetchall() for query in queries]

    first = {code: close for code, close, _ in reversed(stepwise[0])}
    # (6 - 0.3) / 1.2, and of B shares 6 / 1.2
    assert first == {
        "sh600000": Decimal("4.75"),
        "sh900901": 5,
        "sz200002": 5,
        "sz200003": 6,
    }
    assert marked(conn) == {table: {"sh900901", "sz200002"} for table in PRICES}
    rows = conn.execute(
        "select subject, severity, evidence from qa.findings where check_name = 'action_in_yuan' "
        "order by 1"
    ).fetchall()
    assert [row[:2] for row in rows] == [("sh900901", "warning"), ("sz200002", "warning")]
    assert ["USD" in rows[0][2], "HKD" in rows[1][2]] == [True, True]
    assert conn.execute(ERRORS).fetchall() == []

    dbt(*REBUILD)
    assert [conn.execute(query).fetchall() for query in queries] == stepwise


def test_a_refused_bar_that_was_accepted_later_is_not_a_finding(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS[:3]])
    rule = {"field": "high", "rule": "high must not be below low", "value": "1", "payload": "{}"}
    rows = [{"dataset": "kline_daily", "row_key": f"sh600000 {day}"} | rule for day in DAYS[:2]]
    samples = {"dataset": "quote_snapshot", "fetched_at": "2024-01-02 07:00:01+00"} | rule
    keys = [f"{code} 2024-01-02T07:00:00Z" for code in ("sh600000", "sh600001")]
    land(conn, "rejected_row", [*rows, *({**samples, "row_key": key} for key in keys)])
    land(conn, "kline_daily", [bar("sh600000", DAYS[0], "10")])
    land(conn, "quote", [quote("sh600000", datetime(2024, 1, 2, 7, 0, 5, tzinfo=UTC), "10", "10")])

    dbt("run", "-s", "+qa_rejected_rows,config.materialized:followed")

    rows = conn.execute("select subject from qa.findings where check_name = 'rejected_row'")
    assert set(rows) == {
        (f"kline_daily sh600000 {DAYS[1]}",),
        (f"quote_snapshot {keys[1]}",),
    }
