"""Ticks of futures: how many days of each variety are stored, which lack what, and the rolls."""

from datetime import date
from typing import Any

import psycopg
from psycopg.rows import dict_row

from quotemill.readers.listed import find_listed, require_built
from quotemill.warehouse.schemas import has_relation


def read_varieties(conn: psycopg.Connection, futures: str) -> list[dict[str, Any]]:
    """A row per variety: its days by their state, its newest main contract.

    Keys: those of futures.tick_coverage_by_variety, and `contract`.
    """
    for table in ("tick_coverage_by_variety", "main_segments"):
        require_built(conn, f"{futures}.{table}")
    query = f"""
        select v.*, (
            select s.underlying_contract from {futures}.main_segments as s
            where s.variety = v.variety order by s.segment_id desc limit 1
        ) as contract
        from {futures}.tick_coverage_by_variety as v order by v.variety
    """
    return conn.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def read_days(
    conn: psycopg.Connection,
    futures: str,
    variety: str,
    *,
    until: date | None = None,
    is_lacking: bool = False,
    limit: int,
) -> list[dict[str, Any]]:
    """The newest days of a variety's main contract, each with the state of its ticks.

    Keys: those of futures.tick_coverage; volume_lots, day_volume_lots: of the ticks, and of the
    bar of the day. is_lacking: only days whose ticks are not all stored. Raises NotListed.
    """
    for table in ("tick_coverage", "symbol_day_index"):
        require_built(conn, f"{futures}.{table}")
    query = f"select distinct variety from {futures}.tick_coverage order by variety"
    known = [name for (name,) in conn.execute(query.encode()).fetchall()]
    name = find_listed(variety, known, "no schedule for")
    lacking = "and c.coverage <> 'complete'" if is_lacking else ""
    query = f"""
        select c.*, i.volume_lots, i.day_volume_lots
        from {futures}.tick_coverage as c
        left join {futures}.symbol_day_index as i
            on
                c.symbol = i.symbol
                and c.underlying_contract = i.underlying_contract
                and c.trading_day = i.trading_day
        where c.variety = %(variety)s
            and c.trading_day <= coalesce(%(until)s, c.trading_day) {lacking}
        order by c.trading_day desc limit %(limit)s
    """
    values = {"variety": name, "until": until, "limit": limit}
    return conn.cursor(row_factory=dict_row).execute(query.encode(), values).fetchall()


def read_newest_day(conn: psycopg.Connection, futures: str) -> dict[str, Any] | None:
    """The newest day of the schedule; None before the first.

    Keys: trading_day; contracts: those in force; complete: those whose ticks are all stored.
    """
    if not has_relation(conn, f"{futures}.tick_coverage"):
        return None
    query = f"""
        select
            trading_day, count(*) as contracts,
            count(*) filter (where coverage = 'complete') as complete
        from {futures}.tick_coverage
        where trading_day = (select max(trading_day) from {futures}.tick_coverage)
        group by trading_day
    """
    return conn.cursor(row_factory=dict_row).execute(query.encode()).fetchone()


def read_rolls(
    conn: psycopg.Connection, futures: str, variety: str | None, *, limit: int
) -> list[dict[str, Any]]:
    """The newest rolls, of one variety or of all: rows of futures.roll_gaps."""
    require_built(conn, f"{futures}.roll_gaps")
    query = f"""
        select * from {futures}.roll_gaps
        where lower(variety) = lower(coalesce(%(variety)s, variety))
        order by trading_day desc, variety limit %(limit)s
    """
    values = {"variety": variety, "limit": limit}
    return conn.cursor(row_factory=dict_row).execute(query.encode(), values).fetchall()
