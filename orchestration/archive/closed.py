"""Find closed days that the archive lacks.

A day is closed once it is over in New York and `coverage_verdict` and `oi_verdict` of qa_option_day
are no longer pending, passed or failed. So nothing is archived before dbt has built it. Open
interest of a day without a verdict, as of the session before the first one, is closed after a week.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from loaders.landing.change_feed import move_cursor
from orchestration.archive.views import View
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

NEW_YORK = ZoneInfo("America/New_York")
# the days with slots, by the index; the last row is null
LANDED_DAYS = """
    with recursive landed as (
        select min(trade_date) as day from raw_ib.chain_snapshot
        union all
        select (select min(s.trade_date) from raw_ib.chain_snapshot as s where s.trade_date > l.day)
        from landed as l where l.day is not null
    )
"""
JUDGED = "d.coverage_verdict <> 'pending' and d.oi_verdict <> 'pending'"


def today(as_of: datetime) -> date:
    return as_of.astimezone(NEW_YORK).date()


def require_chains(conn: psycopg.Connection, relation: str) -> None:
    """Raise UsageError before the first build of option chains, which makes the relation."""
    if not has_relation(conn, relation):
        raise UsageError(
            "option chains were never built",
            hint="Run `loaders run ib`, then `quotemill build`.",
        )


def set_verdict_time(conn: psycopg.Connection, warehouse: Warehouse, as_of: datetime) -> None:
    """Make verdicts in this session as of a time. Raises UsageError before the first build."""
    require_chains(conn, f"{warehouse.inner_schema('qa')}.qa_option_day")
    conn.execute("select set_config('quotemill.as_of', %s, false)", (as_of.isoformat(),))


def mark_changed(
    conn: psycopg.Connection, warehouse: Warehouse, view: View, fingerprint: str
) -> None:
    """Mark as stale the partitions that changed since the last run, by the change feed.

    All of them where the view's columns or query changed. The cursor moves in the same transaction,
    so a run that is cut short loses nothing.
    """
    schema = warehouse.inner_schema("options")
    reader = f"{schema}.archive of {view.name}"
    followed = [name if "." in name else f"{schema}.{name}" for name in view.follows]
    # before the feed is read: what commits meanwhile belongs to the next run
    [(seen,)] = conn.execute("select pg_current_snapshot()::text")
    values = {
        "schema": schema,
        "view": view.name,
        "reader": reader,
        "fingerprint": fingerprint,
        "tables": followed,
    }
    conn.execute(
        """
        with cursor as (
            select seen from ops.change_cursors
            where reader = %(reader)s and fingerprint = %(fingerprint)s
        ),

        reported as (
            select distinct c.key, days
            from ops.changes as c
            cross join cursor as k
            cross join unnest(c.dates) as days
            where c.table_name = any(%(tables)s)
                and c.xid >= pg_snapshot_xmin(k.seen)
                and not pg_visible_in_snapshot(c.xid, k.seen)
        ),

        held as (
            select partition_date, underlying from ops.archive_partitions
            where schema_name = %(schema)s and view_name = %(view)s and not is_stale
        ),

        changed as (
            select h.* from held as h
            inner join reported as t on h.underlying = t.key and t.days @> h.partition_date
            union
            select h.* from held as h
            inner join reported as t on t.key = '' and t.days @> h.partition_date
            union
            select h.* from held as h where not exists (select 1 from cursor)
        )

        update ops.archive_partitions as p set is_stale = true
        from changed as c
        where p.schema_name = %(schema)s and p.view_name = %(view)s
            and p.partition_date = c.partition_date and p.underlying = c.underlying
        """,
        values,
    )
    move_cursor(conn, reader, seen, fingerprint)


def list_days_to_check(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    view: View,
    as_of: datetime,
    *,
    again: Sequence[tuple[date, str]] = (),
    days: tuple[date | None, date | None] = (None, None),
    symbols: Sequence[str] | None = None,
) -> dict[date, list[str]]:
    """Closed days with underlyings that are not archived, that changed, or that come `again`."""
    qa = warehouse.inner_schema("qa")
    if view.counted is not None:
        closed = (
            f"select d.trade_date, d.symbol from {qa}.qa_option_day as d "
            f"where {JUDGED} and d.{view.counted} > 0"
        )
    else:
        assert view.landed is not None
        closed = (
            f"select i.trade_date, i.symbol from (select distinct {view.day} as trade_date, symbol "
            f"from {view.landed.qualified}) as i left join {qa}.qa_option_day as d "
            "on i.symbol = d.symbol and i.trade_date = d.trade_date "
            f"where ({JUDGED}) or (d.symbol is null and i.trade_date < %(today)s - 7)"
        )
    is_stored = ""
    if view.counted is not None and view.landed is not None:
        # rows that were counted once and are gone can no longer be archived
        is_stored = (
            f"and exists (select 1 from {view.landed.qualified} as r "
            f"where r.symbol = c.symbol and r.{view.day} = c.trade_date)"
        )
    query = f"""
        select c.trade_date, array_agg(c.symbol order by c.symbol)
        from ({closed}) as c
        left join (
            select partition_date, underlying, bool_or(is_stale) as is_stale
            from ops.archive_partitions
            where schema_name = %(schema)s and view_name = %(view)s
            group by 1, 2
        ) as p on c.trade_date = p.partition_date and c.symbol = p.underlying
        where c.trade_date < %(today)s
            and (%(since)s::date is null or c.trade_date >= %(since)s)
            and (%(until)s::date is null or c.trade_date <= %(until)s)
            and (%(symbols)s::text[] is null or c.symbol = any(%(symbols)s))
            and (
                p.is_stale
                or p.is_stale is null {is_stored}
                or (c.trade_date, c.symbol) in (
                    select * from unnest(%(again_days)s::date[], %(again_symbols)s::text[])
                )
            )
        group by 1
        order by 1
    """
    values = {
        "schema": warehouse.inner_schema("options"),
        "view": view.name,
        "today": today(as_of),
        "since": days[0],
        "until": days[1],
        "symbols": None if symbols is None else list(symbols),
        "again_days": [day for day, _ in again],
        "again_symbols": [symbol for _, symbol in again],
    }
    return dict(_fetch(conn, query, values))


def list_waiting_days(
    conn: psycopg.Connection, warehouse: Warehouse, as_of: datetime
) -> list[date]:
    """Past days with slots and no verdict: not built, no open interest, or no known session."""
    qa, inner = warehouse.inner_schema("qa"), warehouse.inner_schema("quotemill_intermediate")
    query = f"""
        {LANDED_DAYS}
        select day from landed
        where day < %(today)s
            and not exists (
                select 1 from {inner}.int_option_days__counted as c where c.trade_date = day
            )
        union
        select c.trade_date from {inner}.int_option_days__counted as c
        left join {qa}.qa_option_day as d on c.symbol = d.symbol and c.trade_date = d.trade_date
        where c.trade_date < %(today)s and c.row_count > 0 and ({JUDGED}) is not true
        order by 1
    """
    return [day for (day,) in _fetch(conn, query, {"today": today(as_of)})]


def _fetch(conn: psycopg.Connection, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return conn.execute(query.encode(), values).fetchall()
