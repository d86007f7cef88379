"""Built tables that differ from their landed rows because of edits by hand."""

from collections.abc import Callable
from typing import NamedTuple

import psycopg

from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse

_Look = Callable[[psycopg.Connection, str, str], list[str]]


class OutOfStep(NamedTuple):
    """A landed and a built table that differ.

    kind  `codes` or `days`
    keys  those in which the tables differ, ascending
    """

    landed: str
    built: str
    kind: str
    keys: list[str]


def out_of_step(warehouse: Warehouse) -> list[OutOfStep]:
    """List built tables that differ from the landed ones.

    A landed table with changes for the next build is skipped. The check is cheap, so it sees only
    what docs/runbooks/loads.md lists: it steps through the codes by the keys, and reads only the
    two small tables whole.
    """
    market = warehouse.market_schema
    intermediate = warehouse.inner_schema("quotemill_intermediate")
    bars, minutes, ticks = "raw_tdx.kline_daily", "raw_tdx.kline_minute", "raw_tdx.tick_trade"
    days, actions = "raw_tdx.trading_day", "raw_tdx.corporate_action"
    adjusted = f"{market}.kline_daily_qfq"
    # each build makes the whole calendar without a cursor; the adjusted prices after it have one
    calendar, segments = f"{market}.trading_calendar", f"{market}.adjustment_segments"
    looked: list[tuple[str, str, str, str, _Look]] = [
        (bars, adjusted, adjusted, "codes", _codes_of_one),
        (minutes, five := f"{market}.kline_5m", five, "codes", _codes_but_older),
        (ticks, of_days := f"{intermediate}.int_ticks__days", of_days, "codes", _codes_but_older),
        (days, calendar, adjusted, "days", _days_of_one),
        (actions, segments, segments, "codes", _codes_adjusted_for_nothing),
    ]
    with warehouse.connect() as conn:
        found = [
            OutOfStep(landed, built, kind, look(conn, landed, built))
            for landed, built, reader, kind, look in looked
            if has_relation(conn, built) and _has_seen_all(conn, reader, landed)
        ]
    return [step for step in found if step.keys]


def _has_seen_all(conn: psycopg.Connection, reader: str, landed: str) -> bool:
    if not has_relation(conn, "ops.change_cursors"):
        return False
    row = conn.execute(
        "select 1 from ops.change_cursors as s where s.reader = %(reader)s "
        "and to_regclass(%(reader)s) is not null and not exists (select 1 from ops.changes as c "
        "where c.table_name = %(landed)s and not pg_visible_in_snapshot(c.xid, s.seen))",
        {"reader": reader, "landed": landed},
    ).fetchone()
    return row is not None


def _codes_of_one(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Codes that only one of the tables has."""
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


def _codes_but_older(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Codes that only one of the tables has, unless only older days are left.

    Built days older than the oldest landed day are meant to stay. A continuous aggregate returns no
    codes: it tracks edited rows itself.
    """
    if conn.execute(
        "select 1 from pg_views where schemaname || '.' || viewname = %s", (built,)
    ).fetchone():
        return []
    codes = _codes_of_one(conn, landed, built)
    rows = conn.execute(
        "select code from unnest(%s::text[]) as c (code) where "
        f"exists (select 1 from {landed} as l where l.code = c.code) "
        f"or exists (select 1 from {built} as b where b.code = c.code "
        f"and b.trade_date >= (select min(trade_date) from {landed})) order by 1".encode(),
        (codes,),
    )
    return [code for (code,) in rows]


def _days_of_one(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Days that only one of the tables has; each has some ten thousand rows."""
    rows = conn.execute(
        f"select trade_date::text from {landed} as l full join {built} as b using (trade_date) "
        "where l.trade_date is null or b.trade_date is null group by trade_date order by 1".encode()
    )
    return [day for (day,) in rows]


def _codes_adjusted_for_nothing(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Codes with an event in their segments that exists nowhere else.

    It is not landed, was not added by hand, and is not inferred.
    """
    actions = f"{built.rpartition('.')[0]}.corporate_actions"
    if not has_relation(conn, actions):
        return []
    rows = conn.execute(
        f"select distinct s.code from {built} as s "
        "where s.valid_from > '1900-01-01' and not exists "
        f"(select 1 from {landed} as l where l.code = s.code and l.ex_date = s.valid_from) "
        f"and not exists (select 1 from {actions} as a where a.code = s.code "
        "and a.ex_date = s.valid_from and a.source in ('override', 'inferred')) order by 1".encode()
    )
    return [code for (code,) in rows]
