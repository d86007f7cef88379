"""An outside reader of market.changes sees every change once, in order."""

import sqlite3
from typing import Any

import psycopg

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import PROJECT, Dbt
from tests.integration.dbt.raw import action, bar, land, touch
from tests.integration.dbt.two_codes import CODES, DAYS, TWO_CODES

pytestmark = TWO_CODES
DAY_BARS = ("run", "-s", "+kline_daily_qfq,config.materialized:followed")


def test_numbers_for_outside_readers_never_skip_a_late_commit(
    warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    def numbers(since: int) -> list[int]:
        rows = conn.execute(
            "select distinct change_no from market.changes where change_no > %s "
            "and table_name = 'raw_tdx.kline_daily' order by 1",
            (since,),
        )
        return [no for (no,) in rows]

    last = numbers(0)[-1]
    with warehouse.connect() as slow:
        slow.execute("select 1")
        land(slow, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
        land(conn, "kline_daily", [bar(CODES[0], DAYS[3], "12")])
        assert numbers(last) == []  # an older one is in flight
        slow.commit()

    assert len(numbers(last)) == 2
    # a reader who has nearly all reads only new rows, in a feed of any size
    conn.execute(
        "insert into ops.changes (xid, table_name, key) "
        "select g::text::xid8, t, g::text from generate_series(1, 20000) as g, "
        "unnest('{a,b}'::text[]) as t"
    )
    conn.execute("analyze ops.changes")
    for also in ("", " and table_name = 'a'"):
        asked = f"explain select * from market.changes where change_no > 19990{also}"
        steps = " ".join(line for (line,) in conn.execute(asked))
        assert "changes_no_idx" in steps
        assert "Seq Scan" not in steps


def test_the_reader_of_the_how_to_follows_corrections_and_adjustments(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    page = (PROJECT.parent / "docs" / "how-to" / "dbt.md").read_text("utf-8")
    names: dict[str, Any] = {"psycopg": psycopg, "sqlite3": sqlite3}
    exec(page.split("```python\n")[1].split("```")[0], names)
    copy = sqlite3.connect(":memory:")

    def follow() -> int:
        spans: int = names["follow"](conn, copy)
        stored = conn.execute(
            "select code, trade_date::text, close::text from market.kline_daily_qfq order by 1, 2"
        ).fetchall()
        assert copy.execute("select * from bars order by 1, 2").fetchall() == stored
        return spans

    assert follow() > 0
    assert follow() == 0
    land(conn, "kline_daily", [bar(CODES[0], day, "12") for day in (DAYS[0], DAYS[29])])
    dbt(*DAY_BARS)
    assert follow() == 2
    land(conn, "corporate_action", [action(CODES[1], DAYS[20], cash_per10_yuan="1")])
    conn.execute("delete from raw_tdx.kline_daily where trade_date = %s", (DAYS[3],))
    touch(conn, "kline_daily", *CODES)
    dbt(*DAY_BARS)
    assert follow() > 0
