"""What has landed of option chains, asked of the warehouse."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from loaders.ib.capture.better_row import COLUMNS
from loaders.ib.capture.flags import SILENT
from loaders.ib.capture.rows import INTRADAY
from loaders.ib.client.gateway import Candidate, OptionContract, Underlying

STALE = "discovery_stale"
MEASURED_SESSIONS = 5
_CONTRACT = (
    "c.conid, c.local_symbol, c.symbol, c.underlying_conid, c.trading_class, c.expiry, c.strike, "
    "c.option_right, c.multiplier, c.exchange"
)

# of each symbol the newest set that may stand for a session
_NEWEST = """
    newest as (
        select symbol, max(trade_date) as trade_date
        from raw_ib.session_contract
        where trade_date between %(oldest)s and %(day)s
            and (%(symbols)s::text[] is null or symbol = any(%(symbols)s))
        group by symbol
    )
"""


@dataclass(frozen=True)
class Chain:
    """The contracts of a symbol in a session. `set_date` is the session that they were chosen for, an
    earlier one where `is_stale`."""

    symbol: str
    contracts: tuple[OptionContract, ...]
    set_date: date
    is_stale: bool
    stale_conids: frozenset[int] = frozenset()


def chains(
    conn: psycopg.Connection, day: date, oldest: date, symbols: Sequence[str] | None = None
) -> dict[str, Chain]:
    """Chains by symbol: of the session, else the newest since `oldest`, less what has expired."""
    rows = conn.execute(
        f"""
        with {_NEWEST}

        select s.trade_date, s.policy = '{STALE}', {_CONTRACT}
        from newest as n
        inner join raw_ib.session_contract as s using (symbol, trade_date)
        inner join raw_ib.contract as c using (conid)
        where c.expiry >= %(day)s
        order by c.symbol, c.expiry, c.strike, c.option_right, c.trading_class, c.conid
        """.encode(),
        {"day": day, "oldest": oldest, "symbols": None if symbols is None else list(symbols)},
    ).fetchall()
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
            symbol, tuple(found), dates[symbol], dates[symbol] != day, frozenset(stale[symbol])
        )
        for symbol, found in contracts.items()
    }


def with_contracts(
    conn: psycopg.Connection, day: date, oldest: date, symbols: Sequence[str]
) -> set[str]:
    """The symbols that have a chain."""
    rows = conn.execute(
        f"""
        with {_NEWEST}

        select distinct newest.symbol
        from newest
        inner join raw_ib.session_contract as s using (symbol, trade_date)
        inner join raw_ib.contract as c using (conid)
        where c.expiry >= %(day)s
        """.encode(),
        {"day": day, "oldest": oldest, "symbols": list(symbols)},
    )
    return {symbol for (symbol,) in rows}


def known_contracts(
    conn: psycopg.Connection, symbol: str, day: date
) -> dict[Candidate, OptionContract]:
    """What was qualified and lives on a day, by what names it; not what was refused since."""
    rows = conn.execute(
        f"""
        select {_CONTRACT}
        from raw_ib.contract as c
        where c.symbol = %s and c.expiry >= %s and not exists (
            select 1 from raw_ib.negative_contract as n
            where n.symbol = c.symbol and n.trading_class = c.trading_class and n.expiry = c.expiry
                and n.strike = c.strike and n.option_right = c.option_right
                and n.fetched_at > c.fetched_at
        )
        """.encode(),
        (symbol, day),
    )
    return {candidate_of(contract): contract for contract in (OptionContract(*r) for r in rows)}


def candidate_of(contract: OptionContract) -> Candidate:
    return Candidate(
        *(contract.symbol, contract.underlying_conid, contract.trading_class),
        *(contract.expiry, contract.strike, contract.right),
    )


def impossible(
    conn: psycopg.Connection, since: date, until: date, symbol: str
) -> set[tuple[Any, ...]]:
    """(trading class, expiry, strike, right) of what was found not to exist in the sessions of these days."""
    rows = conn.execute(
        "select trading_class, expiry, strike, option_right from raw_ib.negative_contract "
        "where trade_date between %s and %s and symbol = %s",
        (since, until, symbol),
    )
    return {(c, expiry, strike, right) for c, expiry, strike, right in rows}


def first_seen(conn: psycopg.Connection, symbol: str) -> dict[int, date]:
    return dict(
        conn.execute(
            "select conid, first_seen_date from raw_ib.contract where symbol = %s", (symbol,)
        ).fetchall()
    )


def frozen(conn: psycopg.Connection, day: date, symbol: str) -> dict[int, str]:
    """The policy under which each contract came into the session's set."""
    return dict(
        conn.execute(
            "select conid, policy from raw_ib.session_contract where trade_date = %s and symbol = %s",
            (day, symbol),
        ).fetchall()
    )


def frozen_counts(conn: psycopg.Connection, day: date) -> dict[str, int]:
    """Contracts of the session by symbol."""
    return dict(
        conn.execute(
            "select symbol, count(*)::int from raw_ib.session_contract where trade_date = %s group by 1",
            (day,),
        ).fetchall()
    )


def underlying(conn: psycopg.Connection, symbol: str) -> Underlying | None:
    row = conn.execute(
        "select symbol, conid, exchange, coalesce(name, ''), currency from raw_ib.underlying "
        "where symbol = %s",
        (symbol,),
    ).fetchone()
    return Underlying(*row) if row else None


def own_close(conn: psycopg.Connection, symbol: str, before: date) -> tuple[Decimal, date] | None:
    """The underlying's last price at the newest close that we captured, and its day."""
    row: tuple[Decimal, date] | None = conn.execute(
        "select und_last, trade_date from raw_ib.chain_close "
        "where symbol = %s and trade_date < %s and und_last is not null "
        "order by trade_date desc, captured_at desc limit 1",
        (symbol, before),
    ).fetchone()
    return row


def captured(
    conn: psycopg.Connection, table: str, day: date, at: datetime, symbols: Iterable[str]
) -> dict[int, dict[str, Any]]:
    """What the better-row rule reads of stored captures, by contract."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"select conid, {', '.join(COLUMNS)} from raw_ib.{table} "
            "where trade_date = %s and sample_time = %s and symbol = any(%s)".encode(),
            (day, at, list(symbols)),
        ).fetchall()
    return {row["conid"]: row for row in rows}


@dataclass(frozen=True)
class Queued:
    """A contract of a slot that is to be captured again."""

    sample_time: datetime
    conid: int
    symbol: str
    reason: str
    attempts: int
    queued_at: datetime
    next_try_at: datetime


def queue(
    conn: psycopg.Connection,
    day: date | None = None,
    at: datetime | None = None,
    symbol: str | None = None,
) -> list[Queued]:
    """What waits to be captured again, oldest first; of all days, slots and symbols that are not named."""
    rows = conn.execute(
        "select sample_time, conid, symbol, reason, attempts, queued_at, next_try_at "
        "from raw_ib.recapture where state = 'queued' and trade_date = coalesce(%s, trade_date) "
        "and sample_time = coalesce(%s, sample_time) and symbol = coalesce(%s, symbol) "
        "order by sample_time, symbol, conid",
        (day, at, symbol),
    )
    return [Queued(*row) for row in rows]


def lacking(
    conn: psycopg.Connection,
    table: str,
    at: datetime,
    day: date,
    oldest: date,
    symbols: Sequence[str],
) -> set[str]:
    """Symbols with a contract of their chain that has no capture of a slot, or an error alone; of those that
    never tick nothing is lacking."""
    rows = conn.execute(
        f"""
        with {_NEWEST}

        select distinct newest.symbol
        from newest
        inner join raw_ib.session_contract as s using (symbol, trade_date)
        inner join raw_ib.contract as c using (conid)
        left join raw_ib.{table} as q
            on q.trade_date = %(day)s and c.conid = q.conid and q.sample_time = %(at)s
        where c.expiry >= %(day)s
            and (
                q.conid is null
                or (q.snapshot_error
                    and not '{SILENT}' = any(string_to_array(q.data_quality_flag, ',')))
            )
        """.encode(),
        {"day": day, "oldest": oldest, "at": at, "symbols": list(symbols)},
    )
    return {symbol for (symbol,) in rows}


def told(conn: psycopg.Connection, day: date, at: datetime) -> set[str]:
    """The symbols of which it is on record how a slot went."""
    rows = conn.execute(
        "select distinct symbol from raw_ib.slot_run where trade_date = %s and sample_time = %s",
        (day, at),
    )
    return {symbol for (symbol,) in rows}


def measured_hold(conn: psycopg.Connection, batch: int) -> float | None:
    """Seconds that a batch of so many contracts took in the captures of the last sessions, by their median;
    None where there is none to tell."""
    row = conn.execute(
        """
        with lately as (
            select distinct trade_date
            from raw_ib.slot_run
            where ingest_run_type = %(run_type)s
            order by trade_date desc
            limit %(sessions)s
        ),

        captures as (
            -- what failed may never have been asked, where the time was over before
            select
                extract(epoch from max(finished_at) - started_at)
                / ceil(sum(captured + coalesce(silent, 0)) / %(batch)s::numeric) as hold_s
            from raw_ib.slot_run
            where trade_date in (select trade_date from lately)
                and ingest_run_type = %(run_type)s and attempts = 1
            group by sample_time, started_at
            having sum(captured + coalesce(silent, 0)) > 0
        )

        select percentile_cont(0.5) within group (order by hold_s) from captures
        """,
        {"run_type": INTRADAY, "sessions": MEASURED_SESSIONS, "batch": batch},
    ).fetchone()
    return float(row[0]) if row and row[0] else None


def open_interest(conn: psycopg.Connection, conids: Sequence[int]) -> dict[int, dict[date, int]]:
    """The values known of some contracts, by as-of day."""
    found: dict[int, dict[date, int]] = defaultdict(dict)
    rows = conn.execute(
        "select conid, oi_asof_date, open_interest from raw_ib.open_interest where conid = any(%s)",
        (list(conids),),
    )
    for conid, day, value in rows:
        found[conid][day] = value
    return found


def traded(conn: psycopg.Connection, symbol: str, after: date, until: date) -> set[int] | None:
    """The contracts of a symbol that were traded after a day, up to another. None where no volume is known."""
    rows = conn.execute(
        "select q.conid, max(q.volume) > 0 from ("
        "select conid, symbol, trade_date, volume from raw_ib.chain_snapshot "
        "union all select conid, symbol, trade_date, volume from raw_ib.chain_close) as q "
        "where q.symbol = %s and q.trade_date > %s and q.trade_date <= %s and q.volume is not null "
        "group by q.conid",
        (symbol, after, until),
    ).fetchall()
    return {conid for conid, is_traded in rows if is_traded} if rows else None


def enrichments(
    conn: psycopg.Connection, symbols: Sequence[str], since: date
) -> list[tuple[date, str, datetime, str, str]]:
    """(trade date, symbol, attempted at, status, pass), oldest first."""
    return conn.execute(
        "select trade_date, symbol, attempted_at, status, pass from raw_ib.enrichment "
        "where symbol = any(%s) and trade_date >= %s order by attempted_at",
        (list(symbols), since),
    ).fetchall()
