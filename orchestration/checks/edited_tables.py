"""Built tables that differ from their landed rows because of edits by hand."""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import NamedTuple

import psycopg

from loaders.warehouse.editions import find_edition
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

OF_MINUTES = "coalesce(t.source_minutes, 1) = 1"
_List = Callable[[psycopg.Connection, str, str], list[str]]


class Difference(NamedTuple):
    """A landed and a built table that differ.

    kind  `codes` or `days`
    keys  those in which the tables differ, ascending
    """

    landed: str
    built: str
    kind: str
    keys: list[str]


def list_differences(warehouse: Warehouse) -> list[Difference]:
    """List built tables that differ from the landed ones.

    A landed table with changes for the next build is skipped. The check is cheap, so it sees only
    what docs/runbooks/loads.md lists: it steps through the codes by the keys, and reads only the
    two small tables whole.
    """
    market = warehouse.market_schema
    intermediate = warehouse.inner_schema("quotemill_intermediate")
    bars, minutes, ticks = "raw_tdx.kline_daily", "raw_tdx.kline_minute", "raw_tdx.tick_trade"
    days, actions = "raw_tdx.trading_day", "raw_tdx.corporate_action"
    adjusted, five = f"{market}.kline_daily_qfq", f"{market}.kline_5m"
    tick_days = f"{intermediate}.int_ticks__days"
    # each build makes the whole calendar without a cursor; the adjusted prices after it have one
    calendar, segments = f"{market}.trading_calendar", f"{market}.adjustment_segments"
    pairs: list[tuple[str, str, str, str, _List]] = [
        (bars, adjusted, adjusted, "codes", _list_unmatched_bars),
        (minutes, five, five, "codes", partial(_list_recent_unmatched_codes, made_of=OF_MINUTES)),
        (ticks, tick_days, tick_days, "codes", _list_recent_unmatched_codes),
        (days, calendar, adjusted, "days", _list_unmatched_days),
        (actions, segments, segments, "codes", _list_codes_with_lost_events),
    ]
    with warehouse.connect() as conn:
        differences = [
            Difference(landed, built, kind, keys=list_keys(conn, landed, built))
            for landed, built, reader, kind, list_keys in pairs
            if has_relation(conn, built) and _is_up_to_date(conn, reader, landed)
        ]
    return [difference for difference in differences if difference.keys]


def _is_up_to_date(conn: psycopg.Connection, reader: str, landed: str) -> bool:
    """Whether the reader has seen every change of a landed table."""
    if not has_relation(conn, "ops.change_cursors"):
        return False
    row = conn.execute(
        "select 1 from ops.change_cursors as s where s.reader = %(reader)s "
        "and to_regclass(%(reader)s) is not null and not exists (select 1 from ops.changes as c "
        "where c.table_name = %(landed)s and not pg_visible_in_snapshot(c.xid, s.seen))",
        {"reader": reader, "landed": landed},
    ).fetchone()
    return row is not None


def _list_unmatched_codes(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Codes that only one of the tables has."""
    return sorted(_codes_of(conn, landed) ^ _codes_of(conn, built))


def _list_unmatched_bars(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Codes of day bars that only one of the tables has, but those that never traded."""
    rows = conn.execute(
        "select c.code from unnest(%s::text[]) as c (code) where exists "
        f"(select 1 from {built} as t where t.code = c.code) or exists (select 1 from {landed} as t"
        " where t.code = c.code and (t.volume <> 0 or t.amount <> 0)) order by 1".encode(),
        (_list_unmatched_codes(conn, landed, built),),
    )
    return [code for (code,) in rows]


def _list_recent_unmatched_codes(
    conn: psycopg.Connection, landed: str, built: str, made_of: str = "true"
) -> list[str]:
    """Codes that only one of the tables has, unless only older days are left.

    Built days older than the oldest landed day are meant to stay. A continuous aggregate returns no
    codes: it tracks edited rows itself.

    made_of: a condition on the built rows that are made of landed ones
    """
    if conn.execute(
        "select 1 from pg_views where schemaname || '.' || viewname = %s", (built,)
    ).fetchone():
        return []
    codes = _list_unmatched_codes(conn, landed, built)
    if not codes:
        return []
    [(oldest,)] = conn.execute(f"select min(trade_date) from {landed}".encode())
    recent: set[str] = set()
    for table, since, rows_of in ((landed, date.min, "true"), (built, oldest, made_of)):
        relation = find_edition(conn).relate_codes(conn, table, "%s")
        rows = conn.execute(
            f"select c.code from {relation} where exists (select 1 from {table} as t "
            f"where t.code = c.code and t.trade_date >= %s and {rows_of})".encode(),
            (codes, since),
        )
        recent |= {code for (code,) in rows}
    return sorted(recent)


def _codes_of(conn: psycopg.Connection, table: str) -> set[str]:
    query = find_edition(conn).query_codes(conn, table)
    return {code for (code,) in conn.execute(query.encode())}


def _list_unmatched_days(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Days that only one of the tables has; each has some ten thousand rows.

    A built day that bars alone show is meant to be there.
    """
    rows = conn.execute(
        f"select trade_date::text from {landed} as l full join {built} as b using (trade_date) "
        "where b.trade_date is null or (l.trade_date is null and b.source <> 'bars') "
        "group by trade_date order by 1".encode()
    )
    return [day for (day,) in rows]


def _list_codes_with_lost_events(conn: psycopg.Connection, landed: str, built: str) -> list[str]:
    """Codes with an event in their segments that exists nowhere else.

    It is not landed, and was not added by hand.
    """
    actions = f"{built.rpartition('.')[0]}.corporate_actions"
    if not has_relation(conn, actions):
        return []
    rows = conn.execute(
        f"select distinct s.code from {built} as s "
        "where s.valid_from > '1900-01-01' and not exists "
        f"(select 1 from {landed} as l where l.code = s.code and l.ex_date = s.valid_from) "
        f"and not exists (select 1 from {actions} as a where a.code = s.code "
        "and a.ex_date = s.valid_from and a.source = 'override') order by 1".encode()
    )
    return [code for (code,) in rows]
