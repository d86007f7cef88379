"""Queries of the landed tables of China futures."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import psycopg

from loaders.tq.trading_day import Session
from quotemill.warehouse.schemas import has_relation

WINDOW = timedelta(days=365)  # of a first load without tq.start
REPEATS = 5  # nights on which loads ask in vain for bars of a contract that has expired
OLDER_INDEX = "ticks.ghtrader_symbol_day_index_v2"
Figures = tuple[Decimal | None, int | None]  # close and open interest of a day bar
# without days that were announced and not held
TRADING_DAYS = """
    select trade_date
    from raw_tq.trading_day
    where
        is_final
        or trade_date > coalesce(
            (select max(trade_date) from raw_tq.trading_day where is_final), '-infinity'
        )
    order by trade_date
"""


@dataclass(frozen=True)
class Coverage:
    """The first and last trading day with known main contracts of a route."""

    first_day: date
    last_day: date


@dataclass(frozen=True)
class BarsHarvest:
    """From which day on the bars of a contract were asked for.

    `failed`: trading days on which loads did so in vain, the newest of them `at`; None once bars
    came.
    """

    day: date
    failed: int | None
    at: datetime

    @property
    def is_given_up(self) -> bool:
        """Whether loads of so many nights asked in vain that no other one does."""
        return (self.failed or 0) >= REPEATS


def is_due(harvest: BarsHarvest | None, first: date) -> bool:
    """Whether bars must be asked for because the window starts on `first`."""
    if harvest is None or harvest.day > first:
        return True
    return 0 < (harvest.failed or 0) < REPEATS


def trading_days(conn: psycopg.Connection) -> list[date]:
    """All known trading days, ascending, future ones included."""
    return [row[0] for row in conn.execute(TRADING_DAYS)]


def held_days(conn: psycopg.Connection) -> list[date]:
    """The trading days that a calendar still had once they were over, ascending."""
    rows = conn.execute(
        "select trade_date from raw_tq.trading_day where is_final order by trade_date"
    )
    return [row[0] for row in rows]


def window_start(conn: psycopg.Connection, start: date | None, today: date) -> date:
    """The first day that a load asks for, of a new variety too: `start`, or that of earlier loads.

    The earlier one; a year back before the first load.
    """
    row = conn.execute("select min(first_day) from raw_tq.main_harvest").fetchone()
    loaded: date | None = row[0] if row else None
    return min(filter(None, (loaded, start)), default=today - WINDOW)


def coverage(conn: psycopg.Connection, variety: str, route: str) -> Coverage | None:
    row = conn.execute(
        "select first_day, last_day from raw_tq.main_harvest where variety = %s and route = %s",
        (variety, route),
    ).fetchone()
    return Coverage(*row) if row else None


def events(
    conn: psycopg.Connection, variety: str, route: str
) -> list[tuple[date, datetime, str | None]]:
    """(trading day, clock, contract), by clock."""
    return conn.execute(
        "select trading_day, event_at, contract from raw_tq.main_event "
        "where variety = %s and route = %s order by event_at",
        (variety, route),
    ).fetchall()


def sessions(conn: psycopg.Connection, variety: str) -> dict[date, Sequence[Session]]:
    """The hours of a variety, by the day from which they hold."""
    versions: dict[date, list[Session]] = defaultdict(list)
    rows = conn.execute(
        "select valid_from, session, idx, start_s, end_s from raw_tq.trading_session "
        "where variety = %s order by valid_from, session, idx",
        (variety,),
    )
    for valid_from, *session in rows:
        versions[valid_from].append(Session(*session))
    return dict(versions)


def contracts(conn: psycopg.Connection, variety: str, first: date) -> list[tuple[str, date | None]]:
    """(contract, last trading day) of those that traded on `first` or later."""
    return conn.execute(
        "select contract, expire_date from raw_tq.contract "
        "where variety = %s and (expire_date is null or expire_date >= %s) order by contract",
        (variety, first),
    ).fetchall()


def bars_harvests(conn: psycopg.Connection) -> dict[str, BarsHarvest]:
    """By contract, for those whose bars were asked for."""
    rows = conn.execute("select contract, first_day, failed, fetched_at from raw_tq.daily_harvest")
    return {contract: BarsHarvest(*values) for contract, *values in rows.fetchall()}


def days_to_settle(
    conn: psycopg.Connection, varieties: Sequence[str], first: date
) -> dict[str, list[date]]:
    """Days with a final bar and no row of settlement, by contract that was ever a main one."""
    rows = conn.execute(
        "select b.contract, array_agg(b.trade_date order by b.trade_date) "
        "from raw_tq.contract_daily as b "
        "where b.is_final and b.trade_date >= %s and b.contract in "
        "(select e.contract from raw_tq.main_event as e where e.variety = any(%s)) "
        "and not exists (select 1 from raw_tq.settlement as s "
        "where s.contract = b.contract and s.trade_date = b.trade_date) group by 1 order by 1",
        (first, list(varieties)),
    )
    return dict(rows.fetchall())


def settled_contracts(
    conn: psycopg.Connection, contract: str, days: Sequence[date]
) -> dict[str, list[date]]:
    """One other contract of the variety with a settlement price of each day, and those days."""
    rows = conn.execute(
        "select w.contract, array_agg(w.trade_date order by w.trade_date) from ("
        "select max(s.contract) as contract, s.trade_date from raw_tq.settlement as s "
        "inner join raw_tq.contract as c on c.contract = s.contract and c.variety = %s "
        "where s.trade_date = any(%s) and s.settlement is not null and s.contract <> %s "
        "group by s.trade_date) as w group by 1",
        (variety_of(contract), list(days), contract),
    )
    return dict(rows.fetchall())


def last_closes(
    conn: psycopg.Connection, contracts: Sequence[str], first: date
) -> dict[str, dict[date, Figures]]:
    """(close, open interest) of contracts by day, from a day on."""
    closes: dict[str, dict[date, Figures]] = defaultdict(dict)
    rows = conn.execute(
        "select contract, trade_date, close, close_oi from raw_tq.contract_daily "
        "where contract = any(%s) and trade_date >= %s",
        (list(contracts), first),
    )
    for contract, day, *figures in rows:
        closes[contract][day] = (figures[0], figures[1])
    return dict(closes)


def given_terms(conn: psycopg.Connection, contracts: Sequence[str]) -> set[str] | None:
    """Which terms the newest stored day of some contracts has; None without a stored day."""
    row = conn.execute(
        "select array_agg(distinct f.name) filter (where f.value is not null), count(*) "
        "from raw_tq.contract_terms as t cross join jsonb_each_text(to_jsonb(t)) as f (name, value)"
        " where t.contract = any(%(contracts)s) and t.trade_date = (select max(n.trade_date) "
        "from raw_tq.contract_terms as n where n.contract = any(%(contracts)s))",
        {"contracts": list(contracts)},
    ).fetchone()
    return set(row[0]) if row and row[1] else None


def variety_of(contract: str) -> str:
    """`SHFE.cu` of `SHFE.cu2601`."""
    return contract.rstrip("0123456789")


def varieties(conn: psycopg.Connection, contracts: Sequence[str]) -> dict[str, str]:
    """The variety of each contract, which may have another name: CZCE.TC1601 is of CZCE.ZC."""
    rows = conn.execute(
        "select contract, variety from raw_tq.contract where contract = any(%s)",
        (list(contracts),),
    )
    return {contract: variety_of(contract) for contract in contracts} | dict(rows.fetchall())


def count_unexpired(conn: psycopg.Connection, variety: str, today: date) -> int:
    """How many known contracts of a variety still trade."""
    query = "select count(*) from raw_tq.contract where variety = %s and expire_date >= %s"
    row = conn.execute(query, (variety, today)).fetchone()
    return row[0] if row else 0


def volume(conn: psycopg.Connection, contract: str, day: date) -> int | None:
    """Lots of a final day bar."""
    row = conn.execute(
        "select volume from raw_tq.contract_daily "
        "where contract = %s and trade_date = %s and is_final",
        (contract, day),
    ).fetchone()
    return row[0] if row else None


def is_traded_after(conn: psycopg.Connection, variety: str, day: date) -> bool:
    """Whether a day bar of any of a variety's contracts has lots of a later day."""
    query = (
        "select exists (select 1 from raw_tq.contract as c inner join raw_tq.contract_daily as b "
        "on b.contract = c.contract where c.variety = %s and b.trade_date > %s and b.volume > 0)"
    )
    row = conn.execute(query, (variety, day)).fetchone()
    return row == (True,)


def has_older_ticks(conn: psycopg.Connection) -> bool:
    """Whether a version whose tick store could be the warehouse left ticks there."""
    if not has_relation(conn, OLDER_INDEX):
        return False
    return conn.execute(f"select exists (select from {OLDER_INDEX})".encode()).fetchone() == (True,)
