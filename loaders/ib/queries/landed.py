"""Rows of option chains that have landed in raw_ib."""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.ib.capture.better_row import COLUMNS
from loaders.ib.capture.rows import INTRADAY
from loaders.ib.client.error_codes import MUTE, NO_CONTRACT
from loaders.ib.client.values import Candidate, OptionContract, Underlying
from loaders.ib.slots import oldest_set
from loaders.warehouse.sql_files import read_sql

STALE = "discovery_stale"
MEASURED_SESSIONS = 5


@dataclass(frozen=True)
class Chain:
    """Contracts of a symbol in a session.

    set_date      session that they were discovered for; an earlier one where `is_stale`
    stale_conids  contracts that came from an earlier set
    """

    symbol: str
    contracts: tuple[OptionContract, ...]
    set_date: date
    is_stale: bool
    stale_conids: frozenset[int] = frozenset()


def run_sql(conn: psycopg.Connection, name: str, **values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query of this folder."""
    return conn.execute(read_sql(__package__, name).encode(), values).fetchall()


def read_chains(
    conn: psycopg.Connection, day: date, symbols: Sequence[str] | None = None
) -> dict[str, Chain]:
    """Chains by symbol: of the session, else of the newest that may stand in for it."""
    asked = None if symbols is None else list(symbols)
    rows = run_sql(conn, "chains", day=day, oldest=oldest_set(day), symbols=asked, stale=STALE)
    contracts: dict[str, list[OptionContract]] = defaultdict(list)
    stale: dict[str, set[int]] = defaultdict(set)
    dates: dict[str, date] = {}
    for set_date, is_stale, *values in rows:
        contract = OptionContract(*values)
        contracts[contract.symbol].append(contract)
        dates[contract.symbol] = set_date
        if is_stale or set_date != day:
            stale[contract.symbol].add(contract.conid)
    return {
        symbol: Chain(
            symbol, tuple(listed), dates[symbol], dates[symbol] != day, frozenset(stale[symbol])
        )
        for symbol, listed in contracts.items()
    }


def read_missing(
    conn: psycopg.Connection,
    table: str,
    day: date,
    at: datetime,
    symbols: Sequence[str],
    kinds: Container[str] | None = None,
) -> dict[str, list[OptionContract]]:
    """Contracts without a row, or whose row is an error, by each symbol that has a chain.

    kinds: types of errors that count; None stands for all
    """
    chains = read_chains(conn, day, symbols)
    captures = read_captures(conn, table, day, at, symbols)

    def is_missing(row: dict[str, Any] | None) -> bool:
        if row is None:
            return True
        return row["snapshot_error"] and (kinds is None or row["error_type"] in kinds)

    return {
        symbol: [c for c in chain.contracts if is_missing(captures.get(c.conid))]
        for symbol, chain in chains.items()
    }


def read_mute(conn: psycopg.Connection, day: date, symbols: Sequence[str]) -> set[int]:
    """Contracts of some symbols that brought nothing in their newest slot of a session."""
    rows = run_sql(conn, "mute_contracts", day=day, symbols=list(symbols), kinds=list(MUTE))
    return {conid for (conid,) in rows}


def read_doubtful(conn: psycopg.Connection, symbol: str, day: date) -> set[int]:
    """Contracts of a symbol that were refused last, or brought nothing in a whole session."""
    rows = run_sql(
        conn, "doubtful_contracts", symbol=symbol, day=day, refused=NO_CONTRACT, kinds=list(MUTE)
    )
    return {conid for (conid,) in rows}


def read_known_contracts(
    conn: psycopg.Connection, symbol: str, day: date
) -> dict[Candidate, OptionContract]:
    """Qualified contracts that have not expired, by candidate; none that was refused since."""
    rows = run_sql(conn, "known_contracts", symbol=symbol, day=day)
    return {c.candidate: c for c in (OptionContract(*row) for row in rows)}


def read_impossible(
    conn: psycopg.Connection, since: date, until: date, symbol: str
) -> set[tuple[Any, ...]]:
    """(class, expiry, strike, right) of contracts that did not exist on these days."""
    rows = conn.execute(
        "select trading_class, expiry, strike, option_right from raw_ib.negative_contract "
        "where trade_date between %s and %s and symbol = %s",
        (since, until, symbol),
    )
    return set(rows.fetchall())


TERMS = ("trading_class", "expiry", "strike", "option_right", "multiplier", "local_symbol")


def read_terms(conn: psycopg.Connection, conids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The landed terms of some contracts, when they changed last, and their day of discovery."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"select c.conid, c.symbol, {', '.join(f'c.{name}' for name in TERMS)}, "
            "c.first_seen_date, (select max(f.valid_to) from raw_ib.former_contract as f "
            "where f.conid = c.conid) as last_changed "
            "from raw_ib.contract as c where c.conid = any(%s)".encode(),
            (list(conids),),
        ).fetchall()
    return {row["conid"]: row for row in rows}


def read_policies(conn: psycopg.Connection, day: date, symbol: str) -> dict[int, str]:
    """The policy under which each contract came into the session's set."""
    query = (
        "select conid, policy from raw_ib.session_contract where trade_date = %s and symbol = %s"
    )
    return dict(conn.execute(query, (day, symbol)).fetchall())


def count_contracts(conn: psycopg.Connection, day: date) -> dict[str, int]:
    """Contracts of the session by symbol."""
    query = (
        "select symbol, count(*)::int from raw_ib.session_contract where trade_date = %s group by 1"
    )
    return dict(conn.execute(query, (day,)).fetchall())


def read_underlying(conn: psycopg.Connection, symbol: str) -> Underlying | None:
    """The stock or index, if it was looked up before."""
    row = conn.execute(
        "select symbol, conid, exchange, coalesce(name, ''), currency, "
        "coalesce(sec_type, 'STK') from raw_ib.underlying "
        "where symbol = %s",
        (symbol,),
    ).fetchone()
    return Underlying(*row) if row else None


def read_added_slots(conn: psycopg.Connection) -> dict[date, datetime | None]:
    """The slot that a setting added to each stored session, or None."""
    query = "select trade_date, slot_before_close_at from raw_ib.session"
    return dict(conn.execute(query).fetchall())


def read_own_close(
    conn: psycopg.Connection, symbol: str, before: date
) -> tuple[Decimal, date] | None:
    """The underlying's last price at the newest captured close, and its day."""
    row: tuple[Decimal, date] | None = conn.execute(
        "select und_last, trade_date from raw_ib.chain_close "
        "where symbol = %s and trade_date < %s and und_last is not null "
        "order by trade_date desc, captured_at desc limit 1",
        (symbol, before),
    ).fetchone()
    return row


def read_captures(
    conn: psycopg.Connection, table: str, day: date, at: datetime, symbols: Iterable[str]
) -> dict[int, dict[str, Any]]:
    """Columns of the better-row rule of stored captures, by contract."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"select conid, {', '.join(COLUMNS)} from raw_ib.{table} "
            "where trade_date = %s and sample_time = %s and symbol = any(%s)".encode(),
            (day, at, list(symbols)),
        ).fetchall()
    return {row["conid"]: row for row in rows}


def read_recorded_symbols(conn: psycopg.Connection, day: date, at: datetime) -> set[str]:
    """Symbols that have a row of slot_run for a slot."""
    query = "select distinct symbol from raw_ib.slot_run where trade_date = %s and sample_time = %s"
    return {symbol for (symbol,) in conn.execute(query, (day, at))}


def measure_batch_seconds(conn: psycopg.Connection, batch_size: int) -> float | None:
    """Median seconds of a batch in the captures of the last sessions; None without a capture."""
    [(seconds,)] = run_sql(
        conn,
        "batch_seconds",
        run_type=INTRADAY,
        sessions=MEASURED_SESSIONS,
        batch_size=batch_size,
    )
    return float(seconds) if seconds else None


def read_open_interest(
    conn: psycopg.Connection, conids: Sequence[int]
) -> dict[int, dict[date, int]]:
    """Stored open interest of some contracts, by as-of date, without what is provisional."""
    values: dict[int, dict[date, int]] = defaultdict(dict)
    rows = conn.execute(
        "select conid, oi_asof_date, open_interest from raw_ib.open_interest "
        "where conid = any(%s) and is_final",
        (list(conids),),
    )
    for conid, day, value in rows:
        values[conid][day] = value
    return values


def read_readings(
    conn: psycopg.Connection, conids: Sequence[int], asof: date
) -> dict[int, tuple[int, datetime]]:
    """Stored open interest of a session by contract, provisional too, and since when it was so."""
    rows = conn.execute(
        "select conid, open_interest, captured_at from raw_ib.open_interest "
        "where conid = any(%s) and oi_asof_date = %s",
        (list(conids), asof),
    )
    return {conid: (value, at) for conid, value, at in rows}


def read_provisional(conn: psycopg.Connection, symbol: str, until: date) -> list[dict[str, Any]]:
    """The rows of open interest, of sessions until a day, that are provisional."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select conid, oi_asof_date, symbol, trade_date, open_interest, captured_at, "
            "ingest_id, source_route from raw_ib.open_interest "
            "where not is_final and conid in (select conid from raw_ib.contract where symbol = %s) "
            "and oi_asof_date = any(array(select trade_date from raw_ib.enrichment "
            "where symbol = %s and status = 'provisional' and trade_date <= %s))",
            (symbol, symbol, until),
        ).fetchall()


def read_traded(conn: psycopg.Connection, symbol: str, after: date, until: date) -> set[int] | None:
    """Contracts traded after a day, up to another; None where no volume was captured."""
    rows = conn.execute(
        "select q.conid, max(q.volume) > 0 from ("
        "select conid, symbol, trade_date, volume from raw_ib.chain_snapshot "
        "union all select conid, symbol, trade_date, volume from raw_ib.chain_close) as q "
        "where q.symbol = %s and q.trade_date > %s and q.trade_date <= %s and q.volume is not null "
        "group by q.conid",
        (symbol, after, until),
    ).fetchall()
    return {conid for conid, is_traded in rows if is_traded} if rows else None


def read_enrichments(
    conn: psycopg.Connection, symbols: Sequence[str], since: date
) -> list[tuple[date, str, datetime, str, str]]:
    """(trade date, symbol, attempted at, status, pass) of attempts, oldest first."""
    return conn.execute(
        "select trade_date, symbol, attempted_at, status, pass from raw_ib.enrichment "
        "where symbol = any(%s) and trade_date >= %s order by attempted_at",
        (list(symbols), since),
    ).fetchall()
