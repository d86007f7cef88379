"""The main contract of a variety of futures by day, with its bars and rolls."""

from datetime import date

import psycopg
import pyarrow as pa

from quotemill.readers.arrow import read_table
from quotemill.readers.klines import MOST
from quotemill.readers.listed import find_listed, require_built


def read_main_contracts(
    conn: psycopg.Connection,
    futures: str,
    variety: str,
    start: date | None = None,
    end: date | None = None,
) -> pa.Table:
    """A row per trading day of a variety such as SHFE.cu, ascending, both days included.

    Columns: trading_day, underlying_contract, prev_contract, segment_id, is_switch; open, high,
    low, close, settlement_price as traded; close_back_diff; volume_lots, close_oi; roll_gap: the
    step of prices at a roll. Those of bars are null on a day without one. Raises NotListed.
    """
    for table in ("main_schedule", "main_daily"):
        require_built(conn, f"{futures}.{table}")
    query = f"select distinct variety from {futures}.main_schedule order by variety"
    known = [name for (name,) in conn.execute(query.encode()).fetchall()]
    name = find_listed(variety, known, "there is no schedule of")
    query = f"""
        select s.trading_day, s.underlying_contract, s.prev_contract, s.segment_id, s.is_switch,
            d.open, d.high, d.low, d.close, d.settlement_price, d.close_back_diff, d.volume_lots,
            d.close_oi, d.roll_gap
        from {futures}.main_schedule as s
        left join {futures}.main_daily as d
            on d.variety = s.variety and d.trading_day = s.trading_day
        where s.variety = %(variety)s
            and s.trading_day >= coalesce(%(start)s, s.trading_day)
            and s.trading_day <= coalesce(%(end)s, s.trading_day)
        order by s.trading_day
    """
    return read_table(conn, query, {"variety": name, "start": start, "end": end}, MOST)
