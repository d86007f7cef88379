"""Trading days are in either of two calendars; each difference is one finding."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from loaders.tdx.datasets.trading_calendar import build_records
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, REBUILD
from tests.integration.dbt.raw import (
    bar,
    land,
    security,
    trading_day,
    weekdays,
)
from tests.integration.dbt.real_market import land_real_market

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
FIGURES = (
    "run",
    "--select",
    "trading_calendar",
    "symbol_dim",
    "+adjustment_segments,config.materialized:followed",
    "+daily_basic,config.materialized:followed",
)


def land_calendar(conn: psycopg.Connection, served: list[date]) -> None:
    """Both calendars, as the loader lands them."""
    land(conn, "trading_day", build_records(served, datetime(2024, 1, 31, tzinfo=UTC)))


@pytest.mark.long
def test_a_gap_in_the_calendar_of_the_service_is_not_an_error(
    real_tdx_data: Path, conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_real_market(conn, real_tdx_data)
    conn.execute("delete from raw_tdx.trading_day")
    with (real_tdx_data / "daily_SH000001.csv").open(newline="") as file:
        land_calendar(conn, [date.fromisoformat(row["date"]) for row in csv.DictReader(file)])

    dbt(*REBUILD)

    holes = conn.execute(
        "select trade_date from market.trading_calendar "
        "where is_published and not is_served and trade_date < '2011-12-07' order by 1"
    ).fetchall()
    assert len(holes) == 16
    assert (holes[0][0], holes[-1][0]) == (date(1991, 5, 9), date(1995, 4, 20))
    findings = conn.execute(
        "select trade_date from qa.findings where check_name = 'predicted_day' order by 1"
    ).fetchall()
    assert findings == holes
    assert not conn.execute("select * from qa.findings where severity = 'error'").fetchall()


def test_a_published_day_without_trading_is_not_a_gap(conn: psycopg.Connection, dbt: Dbt) -> None:
    days = weekdays(date(2024, 1, 1), 12)
    storm, gap = days[6], days[9]
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in days if day != storm])
    land(conn, "trading_day", [trading_day(day, "exchange_calendar") for day in days])
    prices = {day: "10" if day <= storm else "13" for day in days if day not in (storm, gap)}
    land(conn, "kline_daily", [bar("sh600000", day, price) for day, price in prices.items()])

    dbt("run", "-s", "+qa_bars,config.materialized:followed")

    rows = conn.execute(
        "select check_name, trade_date from qa.findings "
        "where check_name in ('missing_bars', 'predicted_day', 'price_jump') order by 1"
    ).fetchall()
    # the day after it is judged by the close of the day before it
    assert rows == [("missing_bars", gap), ("predicted_day", storm), ("price_jump", days[7])]


@pytest.mark.long
def test_a_correction_reaches_all_days_that_the_calendar_lacks(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    """They have one previous close, however many they are."""
    days = weekdays(date(2024, 1, 1), 12)
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(days[0])])
    land(conn, "kline_daily", [bar("sh600000", day, "10") for day in days])
    dbt(*FIGURES)
    land(conn, "kline_daily", [bar("sh600000", days[0], "11")])
    dbt(*FIGURES)
    rows = conn.execute(
        "select previous_close::text, count(*) from market.daily_basic group by 1 order by 1"
    ).fetchall()
    assert rows == [("11.000", len(days) - 1), (None, 1)]
