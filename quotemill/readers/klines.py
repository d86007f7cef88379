"""Bars of a security or an index, as traded or adjusted."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import psycopg
import pyarrow as pa

from quotemill.codes import read_code
from quotemill.errors import UsageError
from quotemill.instrument_ranges import explain_kind
from quotemill.readers.arrow import read_table
from quotemill.readers.bar_sources import LENGTHS, find_next_day, find_source, name_table
from quotemill.readers.day_bar_versions import select_versions
from quotemill.readers.listed import NotListed, require_built, require_known, require_order
from quotemill.readers.queries import Table, bound_rows, compose_query
from quotemill.warehouse.schemas import has_relation

Frequency = Literal["1d", "1w", "1mo", "1m", "5m", "15m", "30m", "60m"]
Adjustment = Literal["none", "qfq", "hfq"]
FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
ADJUSTMENTS: tuple[Adjustment, ...] = get_args(Adjustment)
DAYS, WEEKS, MONTHS = FREQUENCIES[:3]
MINUTES = FREQUENCIES[3:]
PRICES = ("open", "high", "low", "close")
MOST = 200_000  # rows of one reading
NEAR = 5  # codes that an unknown one is answered with


@dataclass(frozen=True)
class Security:
    """A security of the warehouse. Indices are never adjusted."""

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
        hint = explain_kind(code) or (f"Choose a listed one: {names}." if names else "")
        raise NotListed(f"there is no {code}", hint=hint)
    return Security(code, row[0], row[1] == "index")


def find_securities(conn: psycopg.Connection, market: str, texts: Sequence[str]) -> list[Security]:
    """Securities by their codes in any form, each once. Raises as `find_security`."""
    codes = list(dict.fromkeys(map(read_code, texts)))
    require_built(conn, f"{market}.symbol_dim")
    query = f"select code, name, instrument_type from {market}.symbol_dim where code = any(%s)"
    rows = conn.execute(query.encode(), (codes,)).fetchall()
    known = {code: Security(code, name, kind == "index") for code, name, kind in rows}
    return [known.get(code) or find_security(conn, market, code) for code in codes]


def read_klines(
    conn: psycopg.Connection,
    market: str,
    security: Security,
    *,
    freq: str = DAYS,
    adjust: str = "none",
    start: date | None = None,
    end: date | None = None,
    as_of: date | None = None,
    known_at: datetime | None = None,
    most: int = MOST,
) -> pa.Table:
    """Bars of one security, as `select_klines` chooses them, without its code.

    Raises UsageError for bars that no table stores, and for more than `most`.
    """
    _find_table(security, freq, adjust)
    query, values = select_klines(
        conn,
        market,
        [security],
        freq=freq,
        adjust=adjust,
        start=start,
        end=end,
        as_of=as_of,
        known_at=known_at,
        columns=list_columns(security.is_index, freq)[1:],
    )
    return read_table(conn, query, values, most)


def list_columns(is_index: bool, freq: str) -> list[str]:
    """The columns of bars: code, times, prices in yuan, volume, turnover, is_final."""
    times = ["bar_end", "trade_date"] if freq in MINUTES else ["trade_date"]
    volume = [] if is_index and freq in MINUTES else ["volume_shares"]
    return ["code", *times, "open", "high", "low", "close", *volume, "amount_cny", "is_final"]


def select_klines(
    conn: psycopg.Connection,
    market: str,
    securities: Sequence[Security],
    *,
    freq: str = DAYS,
    adjust: str = "none",
    start: date | None = None,
    end: date | None = None,
    as_of: date | None = None,
    known_at: datetime | None = None,
    count: int | None = None,
    columns: Sequence[str] = (),
) -> tuple[str, dict[str, Any]]:
    """The query for bars of some securities, or of all shares and funds, and its values.

    In ascending order by code and time, start and end included, of minutes also times; of all in no
    order. Columns: code, trade_date, of minutes also bar_end (UTC); open, high, low, close (yuan),
    volume_shares (except index minutes), amount_cny, is_final. Nothing adjusts indices.

    as_of: only bars up to that day, adjusted by the events known on it: those with an ex-date up to
    it
    known_at: day bars of shares as traded, as they had been fetched by then
    count: only the last bars of each code

    Raises UsageError for bars, versions and columns that are not kept.
    """
    require_order(start, end)
    require_known("freq", [freq], LENGTHS)
    require_known("adjust", [adjust], ADJUSTMENTS)
    kinds = sorted({security.is_index for security in securities}) or [False]
    known = list_columns(kinds == [True], freq)
    require_known("column", columns, known)
    where = bound_rows(Table(f"bars of {freq}", tuple(known)), start=start, end=end, as_of=as_of)
    values: dict[str, Any] = {"start": start, "end": end, "as_of": as_of}
    if known_at:
        if (freq, adjust, kinds) != (DAYS, "none", [False]):
            raise UsageError(
                "known_at only works for day bars of stocks and funds, as traded",
                hint="Use freq=1d, without adjust.",
            )
        source = f"({select_versions(conn, market, known_at)}) as versions"
        try:
            values["known_at"] = known_at.astimezone(UTC)  # the server knows not every offset
        except OverflowError:
            raise UsageError(
                f"{known_at} is out of range", hint="Write 2024-06-03T16:00:00+08:00."
            ) from None
    else:
        sources = [
            find_source(
                conn,
                market,
                is_index=is_index,
                freq=freq,
                adjust=adjust,
                start=start,
                end=end,
                as_of=as_of,
            )
            for is_index in kinds
        ]
        source = sources[0] if len(sources) == 1 else _unite(sources, known, freq)
        if "%(next_day)s" in source:
            values["next_day"] = find_next_day(conn, market, is_index=kinds == [True], as_of=as_of)
    # numerics of a function, or of a view that sums, have no precision of their own
    exact = dict.fromkeys(PRICES, "numeric(18, 3)") | {"amount_cny": "numeric(20, 3)"}
    return compose_query(
        source,
        {n: f"{n}::{exact[n]}" if n in exact else n for n in columns or known},
        entity="code",
        codes=[security.code for security in securities],
        where=where,
        order=["code", known[1]] if securities else [],
        count=count,
        values=values,
    )


def _unite(sources: Sequence[str], columns: Sequence[str], freq: str) -> str:
    """Bars of shares and of indices, whose minutes have no volume, as one source."""
    shares, indices = sources
    own = list_columns(True, freq)
    names = [name if name in own else f"null::bigint as {name}" for name in columns]
    both = f"select {', '.join(columns)} from {shares} union all select {', '.join(names)}"
    return f"({both} from {indices}) as bars"


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


def warn_if_unadjusted(conn: psycopg.Connection, market: str) -> None:
    """Warn if no corporate action is loaded."""
    require_built(conn, f"{market}.corporate_actions")
    query = f"select exists (select 1 from {market}.corporate_actions)"
    [(has_events,)] = conn.execute(query.encode()).fetchall()
    if not has_events:
        warnings.warn(
            "no corporate actions are loaded, so adjusted prices are the same as raw prices: run "
            "`quotemill status` for the fix",
            stacklevel=1,
        )


def warn_if_refused(conn: psycopg.Connection, market: str, codes: Sequence[str]) -> None:
    """Warn where adjusted prices of some codes, of none: of all, lack an event."""
    query = f"""
        select distinct code from {market}.adjustment_segments
        where has_refused_action {"and code = any(%s)" if codes else ""} order by code
    """
    lacking = conn.execute(query.encode(), (list(codes),) if codes else None).fetchall()
    if lacking:
        more = f" and {len(lacking) - 1:,} more" if lacking[1:] else ""
        warnings.warn(
            f"adjusted prices of {lacking[0][0]}{more} lack a refused event: "
            "run `quotemill findings` to see it",
            stacklevel=1,
        )


def explain_adjustments(security: Security) -> str:
    """Why bars of a security are not kept in every way."""
    if security.is_index:
        return f"{security.code} is an index, which is never adjusted"
    return "weekly and monthly bars are only available forward-adjusted"


def _find_table(security: Security, freq: str, adjust: str) -> str:
    """The table that stores such bars. Raises UsageError without one."""
    require_known("freq", [freq], FREQUENCIES)
    require_known("adjust", [adjust], ADJUSTMENTS)
    possible = list_adjustments(security, freq)
    if adjust not in possible:
        raise UsageError(explain_adjustments(security), hint=f"Use adjust={possible[0]}.")
    table = name_table(security.is_index, freq, adjust)
    if table is None:
        raise UsageError(f"indices have no {freq} bars", hint="Choose one of: 1d, 1w, 1mo, 1m.")
    return table
