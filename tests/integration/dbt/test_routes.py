"""Routes: numbers in the landed rows, names for readers."""

from datetime import date

import psycopg
import pytest

from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land, minute, session_minutes
from tests.integration.dbt.raw_intraday import ticks

pytestmark = MODELS
DAY = date(2024, 6, 3)


def landed(conn: psycopg.Connection) -> None:
    ends = session_minutes(DAY)
    land(
        conn,
        "kline_minute",
        [
            minute("sh600000", ends[0], "10", source_route="/api/one"),
            minute("sh600000", ends[1], "10", source_route="/api/two"),
        ],
    )
    land(conn, "tick_trade", ticks("sh600000", DAY, [("09:31", "10", 1000, 0)]))


def routes(conn: psycopg.Connection, view: str) -> list[str]:
    rows = conn.execute(f"select source_route from market.{view} order by 1".encode())
    return [route for (route,) in rows]


def plan(conn: psycopg.Connection, query: str) -> str:
    return "\n".join(line for (line,) in conn.execute(f"explain {query}".encode()))


def test_readers_see_the_names_of_routes(conn: psycopg.Connection) -> None:
    landed(conn)

    assert routes(conn, "kline_minute_raw") == ["/api/one", "/api/two"]
    assert routes(conn, "tick_trade_raw") == ["test"]


@pytest.mark.parametrize("view", ["kline_minute_raw", "tick_trade_raw"])
def test_a_query_without_the_route_reads_one_table(conn: psycopg.Connection, view: str) -> None:
    asked = f"from market.{view} where code = 'sh600000' and trade_date = '{DAY}'"

    assert "routes" not in plan(conn, f"select code, trade_date, is_final {asked}")
    assert "routes" in plan(conn, f"select * {asked}")
