"""The main contract of a variety of futures by day, with its bars and rolls."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, get_args

import psycopg
import pyarrow as pa

from quotemill.readers.arrow import read_table
from quotemill.readers.klines import MOST, PRICES
from quotemill.readers.listed import find_listed, require_built, require_known, require_order
from quotemill.readers.queries import Table, bound_rows, compose_query
from quotemill.warehouse.schemas import has_relation

Frequency = Literal["1d", "1m", "5m", "15m", "30m", "60m"]
Adjustment = Literal["none", "back_diff", "back_ratio", "forward_diff", "forward_ratio"]
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
ADJUSTMENTS: tuple[Adjustment, ...] = get_args(Adjustment)


def read_main_contracts(
    conn: psycopg.Connection,
    futures: str,
    variety: str,
    start: date | None = None,
    end: date | None = None,
    *,
    freq: Frequency = "1d",
    adjust: Adjustment = "none",
) -> pa.Table:
    """A row per trading day of a variety, as `select_main_contracts` chooses them."""
    chosen = select_main_contracts(conn, futures, variety, start, end, freq=freq, adjust=adjust)
    return read_table(conn, *chosen, MOST)


def select_main_contracts(
    conn: psycopg.Connection,
    futures: str,
    variety: str,
    start: date | None = None,
    end: date | None = None,
    *,
    freq: Frequency = "1d",
    adjust: Adjustment = "none",
) -> tuple[str, dict[str, Any]]:
    """The query for the days of a variety such as SHFE.cu, ascending, and its values.

    Both days are included. Columns: trading_day, underlying_contract, prev_contract, segment_id,
    is_switch; open, high, low, close as traded or adjusted; settlement_price; close_back_diff;
    volume_lots, close_oi; roll_gap: the step of prices at a roll. Those of bars are null on a day
    without one. Minutes have start_at (UTC), and no settlement_price and columns of rolls. Raises
    NotListed.
    """
    require_order(start, end)
    bars = "main_daily" if freq == "1d" else f"main_{freq}"
    for table in ("main_schedule", bars):
        require_built(conn, f"{futures}.{table}")
    suffix = "" if adjust == "none" else f"_{adjust}"
    prices = ", ".join(f"d.{price}{suffix} as {price}" for price in PRICES)
    values = {"variety": find_variety(conn, futures, variety), "start": start, "end": end}
    if freq != "1d":
        query = f"""
            select d.trading_day, d.start_at, d.underlying_contract, d.segment_id, {prices},
                d.volume_lots, d.close_oi
            from {futures}.{bars} as d
            where d.variety = %(variety)s
                and d.trading_day >= coalesce(%(start)s, d.trading_day)
                and d.trading_day <= coalesce(%(end)s, d.trading_day)
            order by d.start_at
        """
        return query, values
    query = f"""
        select s.trading_day, s.underlying_contract, s.prev_contract, s.segment_id, s.is_switch,
            {prices}, d.settlement_price, d.close_back_diff, d.volume_lots, d.close_oi, d.roll_gap
        from {futures}.main_schedule as s
        left join {futures}.main_daily as d
            on d.variety = s.variety and d.trading_day = s.trading_day
        where s.variety = %(variety)s
            and s.trading_day >= coalesce(%(start)s, s.trading_day)
            and s.trading_day <= coalesce(%(end)s, s.trading_day)
        order by s.trading_day
    """
    return query, values


def select_bars(
    conn: psycopg.Connection,
    futures: str,
    varieties: Sequence[str],
    *,
    freq: str = "1d",
    adjust: str = "none",
    start: date | None = None,
    end: date | None = None,
    count: int | None = None,
    columns: Sequence[str] = (),
) -> tuple[str, dict[str, Any]]:
    """The query for bars of main contracts of varieties, by variety and time, and its values.

    Columns: variety, start_at (of minutes, UTC), trading_day, underlying_contract, open, high, low,
    close as traded or adjusted, settlement_price (of days), volume_lots, close_oi, is_roll. Days
    of the schedule without a bar, such as the next one, are left out.

    Raises UsageError for words and columns that are not there; NotListed.
    """
    require_order(start, end)
    require_known("freq", [freq], FREQUENCIES)
    require_known("adjust", [adjust], ADJUSTMENTS)
    table = f"{futures}.main_daily" if freq == "1d" else f"{futures}.main_{freq}"
    require_built(conn, table)
    days = ["trading_day"] if freq == "1d" else ["start_at", "trading_day"]
    settlement = ["settlement_price"] if freq == "1d" else []
    known = ["variety", *days, "underlying_contract", *PRICES, *settlement]
    known += ["volume_lots", "close_oi", "is_roll"]
    require_known("column", columns, known)
    suffix = "" if adjust == "none" else f"_{adjust}"
    has_bar = ["is_final is not null"] if freq == "1d" else []
    return compose_query(
        table,
        {n: f"{n}{suffix}" if n in PRICES else n for n in columns or known},
        entity="variety",
        codes=[find_variety(conn, futures, variety) for variety in varieties],
        where=[*bound_rows(Table(table, tuple(known)), start=start, end=end), *has_bar],
        order=["variety", days[0]],
        count=count,
        values={"start": start, "end": end},
    )


def find_span(conn: psycopg.Connection, futures: str, variety: str) -> tuple[date, date] | None:
    """The oldest and the newest day whose ticks, which minutes are of, are stored."""
    require_built(conn, f"{futures}.tick_coverage")
    query = f"""
        select min(trading_day), max(trading_day) from {futures}.tick_coverage
        where variety = %s and coverage in ('complete', 'short')
    """
    row = conn.execute(query.encode(), (find_variety(conn, futures, variety),)).fetchone()
    return (row[0], row[1]) if row and row[0] else None


def list_varieties(conn: psycopg.Connection, futures: str) -> list[str]:
    """The varieties that have a schedule; none before the first build."""
    if not has_relation(conn, f"{futures}.main_schedule"):
        return []
    query = f"select distinct variety from {futures}.main_schedule order by variety"
    return [name for (name,) in conn.execute(query.encode())]


def find_variety(conn: psycopg.Connection, futures: str, text: str) -> str:
    """A variety of the schedule by its name in any case. Raises NotListed."""
    require_built(conn, f"{futures}.main_schedule")
    return find_listed(text, list_varieties(conn, futures), "no schedule for")
