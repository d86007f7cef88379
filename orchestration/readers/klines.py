"""Bars of a security or an index, as traded or adjusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

import psycopg
import pyarrow as pa

from loaders.errors import UsageError
from loaders.tdx.code_forms import read_code
from loaders.warehouse.ownership import has_relation
from orchestration.readers.arrow import read_table

Frequency = Literal["1d", "1w", "1mo", "1m", "5m", "15m", "30m", "60m"]
Adjustment = Literal["none", "qfq", "hfq"]
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
ADJUSTMENTS: tuple[Adjustment, ...] = get_args(Adjustment)
DAYS, WEEKS, MONTHS = FREQUENCIES[:3]
MINUTES = FREQUENCIES[3:]
MOST = 200_000  # rows of one reading
NEAR = 5  # codes that an unknown one is answered with


class NotListed(UsageError):
    """A code, a variety or a symbol that the warehouse does not have."""


@dataclass(frozen=True)
class Security:
    """A code as the warehouse knows it; an index is adjusted by nothing."""

    code: str
    name: str | None
    is_index: bool


def find_security(conn: psycopg.Connection, market: str, text: str) -> Security:
    """A security by its code in any form: sh600000, 600000.SH, SHSE.600000, 600000.

    Raises NotListed, and UsageError for what is no code, or an ambiguous one.
    """
    code = read_code(text)
    require_built(conn, f"{market}.symbol_dim")
    query = f"select name, instrument_type from {market}.symbol_dim where code = %s"
    row = conn.execute(query.encode(), (code,)).fetchone()
    indices = f"{market}.index_kline_daily"
    if row is None and has_relation(conn, indices):
        query = f"select 1 from {indices} where code = %s limit 1"
        if conn.execute(query.encode(), (code,)).fetchone():
            return Security(code, None, True)
    if row is None:
        query = (
            f"select code, name from {market}.symbol_dim where code > %(code)s order by code "
            f"limit {NEAR}"
        )
        near = conn.execute(query.encode(), {"code": code[:6]}).fetchall()
        names = ", ".join(f"{other} {name}" for other, name in near)
        raise NotListed(f"there is no {code}", hint=f"near it: {names}" if names else "")
    return Security(code, row[0], row[1] == "index")


def read_klines(
    conn: psycopg.Connection,
    market: str,
    security: Security,
    *,
    freq: str = DAYS,
    adjust: str = "none",
    start: date | None = None,
    end: date | None = None,
    most: int = MOST,
) -> pa.Table:
    """Bars in ascending order, both days included.

    Columns: trade_date, of minutes also bar_end (UTC); open, high, low, close (yuan), volume_shares
    (not of minutes of an index), amount_cny, is_final. Weeks and months of shares are
    forward-adjusted: `adjust="qfq"`. Raises UsageError for bars that are not kept.
    """
    if start and end and end < start:
        raise UsageError(f"end {end} is before start {start}")
    table = _find_table(security, freq, adjust)
    require_built(conn, f"{market}.{table}")
    by_minute = freq in MINUTES
    volume = [] if security.is_index and by_minute else ["volume_shares"]
    times = ["bar_end", "trade_date"] if by_minute else ["trade_date"]
    columns = [*times, "open", "high", "low", "close", *volume, "amount_cny", "is_final"]
    where = ["code = %(code)s"]
    if start:
        where.append("trade_date >= %(start)s")
    if end:
        where.append("trade_date <= %(end)s")
    # chunks are by time: a trading day is within a day of UTC around it
    if by_minute and start:
        where.append("bar_end >= %(start)s::timestamp at time zone 'UTC' - interval '1 day'")
    if by_minute and end:
        where.append("bar_end < %(end)s::timestamp at time zone 'UTC' + interval '2 days'")
    query = (
        f"select {', '.join(columns)} from {market}.{table} where {' and '.join(where)} "
        f"order by {times[0]}"
    )
    return read_table(conn, query, {"code": security.code, "start": start, "end": end}, most)


def find_span(
    conn: psycopg.Connection, market: str, security: Security, freq: str, adjust: str
) -> tuple[date, date] | None:
    """The days of the oldest and the newest bar; None without one."""
    table = _find_table(security, freq, adjust)
    require_built(conn, f"{market}.{table}")
    order = "bar_end" if freq in MINUTES else "trade_date"
    ends = [
        f"(select trade_date from {market}.{table} where code = %(code)s "
        f"order by {order} {way} limit 1)"
        for way in ("asc", "desc")
    ]
    row = conn.execute(f"select {', '.join(ends)}".encode(), {"code": security.code}).fetchone()
    return (row[0], row[1]) if row and row[0] else None


def list_adjustments(security: Security, freq: str) -> tuple[Adjustment, ...]:
    """How bars of a length are kept."""
    if security.is_index:
        return ("none",)
    return ("qfq",) if freq in (WEEKS, MONTHS) else ADJUSTMENTS


def read_actions(
    conn: psycopg.Connection, market: str, code: str, start: date | None, end: date | None
) -> pa.Table:
    """The actions that adjust a security's prices, by their ex-dates.

    Columns: ex_date, cash_per10_yuan, bonus_total_per10, rights_per10, rights_price_yuan,
    split_ratio, source.
    """
    require_built(conn, f"{market}.corporate_actions")
    query = f"""
        select ex_date, cash_per10_yuan, bonus_total_per10, rights_per10, rights_price_yuan,
            split_ratio, source
        from {market}.corporate_actions
        where code = %(code)s and is_active and adjusts_price
            and ex_date >= coalesce(%(start)s, ex_date) and ex_date <= coalesce(%(end)s, ex_date)
        order by ex_date, seq
    """
    return read_table(conn, query, {"code": code, "start": start, "end": end}, MOST)


def explain_adjustments(security: Security) -> str:
    """Why bars of a security are not kept in every way."""
    if security.is_index:
        return f"{security.code} is an index: nothing adjusts it"
    return "weeks and months are forward-adjusted"


def _find_table(security: Security, freq: str, adjust: str) -> str:
    _require_known("freq", freq, FREQUENCIES)
    _require_known("adjust", adjust, ADJUSTMENTS)
    if adjust not in list_adjustments(security, freq):
        known = list_adjustments(security, freq)
        raise UsageError(explain_adjustments(security), hint=f"adjust={known[0]}")
    if security.is_index:
        tables: dict[str, str] = {DAYS: "daily", WEEKS: "weekly", MONTHS: "monthly", "1m": "minute"}
        if freq not in tables:
            raise UsageError(f"there are no bars of {freq} of an index", hint=", ".join(tables))
        return f"index_kline_{tables[freq]}"
    if freq in (WEEKS, MONTHS):
        return f"kline_{'weekly' if freq == WEEKS else 'monthly'}_qfq"
    suffix = "" if adjust == "none" else f"_{adjust}"
    if freq == DAYS:
        return f"kline_daily{suffix}"
    if freq == "1m":
        return f"kline_minute{suffix or '_raw'}"
    return f"kline_{freq}{suffix}"


def _require_known(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f"{name} {value} is unknown", hint=f"one of {', '.join(known)}")


def require_built(conn: psycopg.Connection, relation: str) -> None:
    """Raises UsageError for a relation that no build has made."""
    if not has_relation(conn, relation):
        raise UsageError(f"{relation} is not built yet", hint="quotemill build")
