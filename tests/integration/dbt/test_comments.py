"""Tables carry their descriptions as comments; only those that differ are written."""

import psycopg

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS

pytestmark = MODELS
MODELS = ("run", "--select", "trading_calendar", "suspensions")  # a table and a view
WRITTEN = """
    select d.objoid::regclass::text, d.objsubid, d.description, d.xmin::text
    from pg_description as d join pg_class as c on d.objoid = c.oid
    where d.classoid = 'pg_class'::regclass and c.relnamespace = 'market'::regnamespace
    order by 1, 2
"""


def test_only_a_comment_that_differs_is_written(conn: psycopg.Connection, dbt: Dbt) -> None:
    first = conn.execute(WRITTEN).fetchall()
    texts = {(name, column): text for name, column, text, _ in first}
    assert texts["market.trading_calendar", 1] == "The exchange's trading date."
    assert texts["market.trading_calendar", 0].startswith("One row per trading day")
    assert ("market.suspensions", 0) in texts

    dbt(*MODELS)
    assert conn.execute(WRITTEN).fetchall() == first

    conn.execute("comment on column market.trading_calendar.trade_date is 'another'")
    conn.execute("comment on view market.suspensions is null")
    dbt(*MODELS)
    again = conn.execute(WRITTEN).fetchall()
    assert {(name, column): text for name, column, text, _ in again} == texts
    assert [
        row for row in again if row[0] not in ("market.trading_calendar", "market.suspensions")
    ] == [row for row in first if row[0] not in ("market.trading_calendar", "market.suspensions")]
