"""The option chain of an underlying on a day: its close, or one slot."""

from datetime import date

import psycopg
import pyarrow as pa

from quotemill.codes import read_us_symbol
from quotemill.readers.arrow import read_table
from quotemill.readers.klines import MOST
from quotemill.readers.listed import NotListed, require_built
from quotemill.warehouse.schemas import has_relation

_SHARED = (
    "symbol, trade_date, expiry, dte, option_right, strike, conid, local_symbol, bid, ask, mid, "
    "last, volume_contracts, iv, delta, gamma, vega, theta, underlying_price, moneyness, "
    "captured_at, data_quality_flag"
)


def read_option_chain(
    conn: psycopg.Connection,
    options: str,
    symbol: str,
    day: date,
    slot: str | None = None,
    *,
    as_float: bool = False,
) -> pa.Table:
    """A row per contract, by expiry, right and strike.

    slot: HH:MM in New York; None: the close, with open interest and, of an index, the volatility
        of the mid

    Raises NotListed for a symbol, a day or a slot that is not there.
    """
    table = "chain_daily_clean" if slot is None else "chain_intraday"
    require_built(conn, f"{options}.{table}")
    own = ", open_interest, iv_from_mid" if slot is None else ", slot_label, sample_time"
    where = "" if slot is None else "and slot_label = %(slot)s and not snapshot_error"
    query = f"""
        select {_SHARED}{own} from {options}.{table}
        where symbol = %(symbol)s and trade_date = %(day)s {where}
        order by expiry, option_right, strike
    """
    values = {"symbol": read_us_symbol(symbol.upper()), "day": day, "slot": slot}
    chain = read_table(conn, query, values, MOST, as_float=as_float)
    if chain.num_rows == 0:
        raise NotListed(
            f"no option chain for {symbol} on {day}{f' at {slot}' if slot else ''}",
            hint=_name_near(conn, options, symbol.upper(), day),
        )
    return chain


def has_close(conn: psycopg.Connection, options: str, symbol: str, day: date) -> bool:
    """Whether a close was captured on a day, not only its slots."""
    table = f"{options}.chain_daily_clean"
    if not has_relation(conn, table):
        return False
    query = (
        f"select exists (select 1 from {table} where symbol = %s and trade_date = %s "
        "and rollup_strategy = 'close')"
    )
    [(is_there,)] = conn.execute(query.encode(), (read_us_symbol(symbol), day))
    return bool(is_there)


def list_slots(conn: psycopg.Connection, options: str, symbol: str, day: date) -> list[str]:
    """The slots of a day that have quotes: HH:MM in New York."""
    if not has_relation(conn, f"{options}.chain_intraday"):
        return []
    query = (
        f"select distinct slot_label from {options}.chain_intraday where symbol = %s "
        "and trade_date = %s and slot_label is not null and not snapshot_error order by slot_label"
    )
    return [
        label for (label,) in conn.execute(query.encode(), (read_us_symbol(symbol), day)).fetchall()
    ]


def list_chains(conn: psycopg.Connection, options: str) -> dict[str, date]:
    """The underlyings that have chains, with the newest day of each."""
    table = f"{options}.chain_daily_clean"
    require_built(conn, table)
    query = f"select symbol, max(trade_date) from {table} group by symbol order by symbol"
    return dict(conn.execute(query.encode()).fetchall())


def find_newest_day(conn: psycopg.Connection, options: str, symbol: str) -> date | None:
    """The newest day of which an underlying has a close or a slot."""
    days = []
    for name, condition in (
        ("chain_daily_clean", ""),
        ("chain_intraday", "and not snapshot_error"),
    ):
        table = f"{options}.{name}"
        if has_relation(conn, table):
            query = f"select max(trade_date) from {table} where symbol = %s {condition}"
            days += [
                day
                for (day,) in conn.execute(query.encode(), (read_us_symbol(symbol),))
                if day is not None
            ]
    return max(days, default=None)


def _name_near(conn: psycopg.Connection, options: str, symbol: str, day: date) -> str:
    table = f"{options}.chain_daily_clean"
    if slots := list_slots(conn, options, symbol, day):
        return f"Choose a slot of the day: {', '.join(slots)}."
    query = (
        f"select trade_date from {table} where symbol = %s group by trade_date "
        "order by abs(trade_date - %s) limit 5"
    )
    days = sorted(
        str(near) for (near,) in conn.execute(query.encode(), (read_us_symbol(symbol), day))
    )
    if days:
        return f"Choose a day with data: {', '.join(days)}."
    symbols = ", ".join(list_chains(conn, options))
    return f"Choose one of: {symbols}." if symbols else "Run `quotemill run ib`."
