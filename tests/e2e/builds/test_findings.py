"""Errors of the data are rows of qa.findings, and do not stop a build."""

from datetime import date

import psycopg
import pytest

from loaders.tdx.fetching.file_days import TWO_CLOSES
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import EMPTY, MODELS, REBUILD, UPDATE
from tests.integration.dbt.raw import action, bar, land, security, trading_day, weekdays

pytestmark = MODELS

DAYS = weekdays(date(2024, 1, 1), 12)


@EMPTY
def test_findings_about_single_rows_do_not_fail_a_plain_build(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    saturday, sunday = date(2024, 1, 6), date(2024, 1, 7)
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "trading_day", [trading_day(DAYS[10], "exchange_calendar")])
    land(conn, "trading_day", [trading_day(saturday, "exchange_calendar")])
    bars = [bar("sh600000", day, "10") for day in DAYS]
    del bars[3:5]
    bars[6] |= {"high": 9_000}
    bars[8] |= {"open": 13_000, "high": 13_000}
    land(conn, "kline_daily", [*bars, bar("sh600000", sunday, "10", volume=7)])
    rejected = {
        "dataset": "kline_daily",
        "row_key": "sh600000 2024-01-05",
        "field": "high",
        "rule": "high >= low",
        "value": "1",
        "payload": "{}",
    }
    land(conn, "rejected_row", [rejected])

    built = dbt("build")
    assert built.success, built.error
    # a build leaves the unit tests to a command that names them
    units = dbt("test", "--select", "test_type:unit")
    assert units.success, units.error
    tests = {name for name in units.statuses if "-on-run-" not in name}
    assert len(tests) >= 100
    assert not tests & built.statuses.keys()

    conn.execute("set quotemill.as_of = '2024-01-16 16:00+08'")
    findings = conn.execute(
        "select check_name, severity, subject, trade_date::text from qa.findings "
        "order by check_name, trade_date"
    ).fetchall()
    assert findings == [
        ("calendar_horizon", "warning", "trading_calendar", "2024-01-15"),
        ("missing_bars", "warning", "sh600000", "2024-01-04"),
        ("no_corporate_action_source", "warning", "corporate_actions", None),
        ("non_trading_day", "error", "sh600000", "2024-01-07"),
        ("ohlc_order", "error", "sh600000", "2024-01-11"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-06"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-08"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-09"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-10"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-11"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-12"),
        ("predicted_day", "warning", "trading_calendar", "2024-01-16"),
        ("price_jump", "warning", "sh600000", "2024-01-15"),
        ("rejected_row", "warning", "kline_daily sh600000 2024-01-05", None),
        ("volume_mismatch", "warning", "sh600000", "2024-01-07"),
        ("volume_mismatch", "warning", "sh600000", "2024-01-11"),
    ]
    unmended = conn.execute("select check_name from qa.findings where evidence !~ '; fix: '")
    assert unmended.fetchall() == []


def test_day_bars_of_an_index_are_checked_when_they_change(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    def land_bar(day: date, close: int = 7, **changed: int) -> None:
        index_bar = {
            "period": "day",
            "bar_end": f"{day} 0{close}:00+00",
            "up_count": 0,
            "down_count": 0,
        }
        land(conn, "index_kline", [bar("sh000001", day, "2900") | index_bar | changed])

    def findings() -> list[tuple[object, ...]]:
        dbt("run", "-s", "int_index_bars__findings")
        return conn.execute(
            "select check_name, severity, trade_date, evidence from qa.findings "
            "where subject = 'sh000001' order by trade_date, check_name"
        ).fetchall()

    def key_holds() -> bool:
        return dbt.run("test", "-s", "index_kline_daily+,test_name:unique_combination").success

    land_bar(DAYS[0])
    land_bar(DAYS[1], high=1_000, volume=-1)
    fix = "fix: loaders run tdx --mode init --dataset index_kline"
    prices = "impossible prices: open 2900.000, high 1.000, low 2900.000, close 2900.000"
    broken = [
        ("negative_volume", "warning", DAYS[1], f"impossible volume: -100; {fix}"),
        ("ohlc_order", "warning", DAYS[1], f"{prices}; {fix}"),
    ]
    assert findings() == broken
    assert key_holds()
    land_bar(DAYS[0], close=8)
    twice = (
        "2 bars for one day; fix: delete the wrong ones from raw_tdx.index_kline, then quotemill "
        "touch index_kline --codes sh000001"
    )
    assert findings() == [("duplicate_bar", "error", DAYS[0], twice), *broken]
    assert not key_holds()
    land_bar(DAYS[1])
    assert [name for name, *_ in findings()] == ["duplicate_bar"]


@pytest.mark.parametrize("command", ["run", "build"])
def test_a_build_of_no_rows_is_refused_and_deletes_none(
    conn: psycopg.Connection, dbt: Dbt, command: str
) -> None:
    land(conn, "trading_day", [trading_day(DAYS[0])])
    dbt("run", "-s", "trading_calendar")
    stored = conn.execute("table market.trading_calendar").fetchall()
    assert stored

    refused = dbt.fails(command, "--empty", "-s", "trading_calendar")

    assert refused.refuses("--empty would delete", "dbt compile"), refused.error
    assert conn.execute("table market.trading_calendar").fetchall() == stored


def freshness_at(conn: psycopg.Connection, as_of: str) -> tuple[str, bool, int]:
    conn.execute(f"set quotemill.as_of = '{as_of}'")
    row = conn.execute(
        "select expected_date::text, is_stale, lag_trading_days from qa.freshness "
        "where dataset = 'kline_daily'"
    ).fetchone()
    assert row is not None
    return row


def test_a_split_of_a_fund_is_judged_though_it_was_suspended(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    # the first bar after a suspension of one day: open and close, where a split by two makes 2.000
    after = {"sh502001": (1900, "2.100"), "sh502002": (1780, "2.000"), "sh502003": (2050, "2.240")}
    funds = list(after)
    land(conn, "security", [*(security(c, "fund") for c in funds), security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    before = [bar(code, day, "4.000") for code in (*funds, "sh600000") for day in DAYS[:8]]
    opened = [
        bar(code, DAYS[9], close, open=li, low=min(li, 2000), high=2300)
        for code, (li, close) in (after | {"sh600000": (2000, "2.000")}).items()
    ]
    land(conn, "kline_daily", [*before, *opened])
    splits = [action(code, DAYS[9], category=11, split_ratio=2) for code in funds]
    land(conn, "corporate_action", splits)

    dbt(*REBUILD)

    assert conn.execute(
        "select subject, trade_date, "
        "regexp_match(evidence, '^(\\S+) (\\S+), expected (\\S+) .*\\((\\S+) %\\)') "
        "from qa.findings where check_name = 'price_jump' order by 1"
    ).fetchall() == [
        ("sh502002", DAYS[9], ["open", "1.780", "2.000", "-11.0"]),
        ("sh502003", DAYS[9], ["close", "2.240", "2.000", "12.0"]),
    ]


def test_a_source_without_data_has_no_findings(conn: psycopg.Connection) -> None:
    assert conn.execute("select * from qa.findings").fetchall() == []
    assert conn.execute("select * from qa.freshness").fetchall() == []


def test_freshness_is_judged_by_trading_days_that_are_due(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    friday, monday, tuesday = DAYS[4], DAYS[5], DAYS[6]
    land(conn, "trading_day", [trading_day(friday)])
    land(conn, "trading_day", [trading_day(d, "exchange_calendar") for d in (monday, tuesday)])
    land(conn, "kline_daily", [bar("sh600000", friday, "10")])
    dbt(*UPDATE)

    assert freshness_at(conn, "2024-01-07 23:00+08") == ("2024-01-05", False, 0)
    assert freshness_at(conn, "2024-01-08 15:59+08") == ("2024-01-05", False, 0)
    assert freshness_at(conn, "2024-01-08 16:00+08") == ("2024-01-08", True, 1)
    # past the calendar's end weekdays count, so that its end does not look like a holiday
    assert freshness_at(conn, "2024-01-14 12:00+08") == ("2024-01-12", True, 5)


def test_closes_that_differ_between_file_and_service_are_findings(
    conn: psycopg.Connection,
) -> None:
    day = DAYS[0]
    land(conn, "kline_daily", [bar("sh600000", day, "10")])
    refused = {
        "dataset": "kline_daily",
        "row_key": f"sh600000 {day}",
        "rule": "r",
        "value": "1 against 2",
        "payload": f'{{"code": "sh600000", "trade_date": "{day}"}}',
    }
    land(conn, "rejected_row", [refused | {"field": name} for name in ("low", TWO_CLOSES)])
    findings = conn.execute("select evidence from qa.findings where check_name = 'rejected_row'")
    [(evidence,)] = findings.fetchall()
    assert evidence.startswith(f"{TWO_CLOSES} = 1 against 2")
