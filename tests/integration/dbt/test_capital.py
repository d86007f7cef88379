"""Share capital and sectors by day."""

from datetime import date

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays

DAYS = weekdays(date(2024, 1, 1), 12)
SEGMENTS = "+adjustment_segments,config.materialized:followed"
FIGURES = "+daily_basic,config.materialized:followed"
BUILD = ("run", "--select", "trading_calendar", "symbol_dim", SEGMENTS, FIGURES)
# all is built; a test lands its rows and builds the tables
pytestmark = MODELS


def membership(name: str, member: str, first: date, last: date | None = None) -> dict[str, object]:
    kind = {"sector_kind": "concept", "sector_name": name, "member": member}
    return kind | {"valid_from": first, "valid_to": last}


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
    assert dbt("run", "--select", "sector_members", "+sectors").success

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
