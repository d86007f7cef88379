"""Which built tables are out of step with the rows they were made from: somebody edited by hand."""

import psycopg

from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse


def out_of_step(warehouse: Warehouse) -> list[tuple[str, str, list[str]]]:
    """(landed table, built table, codes that only one of them has), where there are such codes.

    Cheap: from code to code by the keys. What the next build is to take anyway says nothing.
    """
    intermediate = warehouse.inner_schema("quotemill_intermediate")
    pairs = {
        f"{warehouse.market_schema}.kline_daily_qfq": "raw_tdx.kline_daily",
        f"{warehouse.market_schema}.kline_5m": "raw_tdx.kline_minute",
        f"{intermediate}.int_ticks__days": "raw_tdx.tick_trade",
    }
    with warehouse.connect() as conn:
        found = [
            (landed, built, _codes_of_one(conn, landed, built))
            for built, landed in pairs.items()
            if _is_up_to_date(conn, landed, built)
        ]
    return [row for row in found if row[2]]


def _is_up_to_date(conn: psycopg.Connection, landed: str, built: str) -> bool:
    if not has_relation(conn, "ops.change_cursors"):
        return False
    row = conn.execute(
        "select 1 from ops.change_cursors as s where s.reader = %(built)s "
        "and to_regclass(%(built)s) is not null and not exists (select 1 from ops.changes as c "
        "where c.table_name = %(landed)s and not pg_visible_in_snapshot(c.xid, s.seen))",
        {"built": built, "landed": landed},
    ).fetchone()
    return row is not None


def _codes_of_one(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    first, second = (
        "(with recursive codes as ("
        f"(select code from {table} order by code limit 1) union all "
        f"select (select t.code from {table} as t where t.code > c.code order by t.code limit 1) "
        "from codes as c where c.code is not null) "
        "select code from codes where code is not null)"
        for table in (landed, built)
    )
    rows = conn.execute(
        f"select code from {first} as l full join {second} as b using (code) "
        "where l.code is null or b.code is null order by code".encode()
    )
    return [code for (code,) in rows]
