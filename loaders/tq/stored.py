"""What has landed of China futures, asked of the warehouse."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg

from loaders.tq.trading_day import Session


@dataclass(frozen=True)
class Covered:
    """The trading days that the main contracts of a route are known of, both included."""

    first_day: date
    last_day: date


REPEATS = 5  # nights on which loads ask in vain for bars of a contract that has expired


@dataclass(frozen=True)
class Since:
    """`day` from which on the bars of a contract were asked for; None: not yet, or by an earlier version
    that did not say. `failed`: on how many trading days loads did so in vain, the newest of them `at`; None once
    one had them."""

    day: date | None
    failed: int | None = None
    at: datetime | None = None

    def is_due(self, first: date) -> bool:
        """Must it be asked for because the window begins on `first`?"""
        return self.day is None or self.day > first or 0 < (self.failed or 0) < REPEATS

    def is_given_up(self, first: date) -> bool:
        """Did loads of so many nights ask for it in vain that no other one does?"""
        return not self.is_due(first) and (self.failed or 0) >= REPEATS


def trading_days(conn: psycopg.Connection) -> list[date]:
    """All that are known, ascending, those to come included; none that was announced and not held."""
    rows = conn.execute(
        "select trade_date from raw_tq.trading_day where is_final or trade_date > coalesce("
        "(select max(trade_date) from raw_tq.trading_day where is_final), '-infinity') "
        "order by trade_date"
    )
    return [row[0] for row in rows]


def days_held(conn: psycopg.Connection) -> list[date]:
    """The trading days that a calendar still had once they were over, ascending."""
    rows = conn.execute(
        "select trade_date from raw_tq.trading_day where is_final order by trade_date"
    )
    return [row[0] for row in rows]


def first_day(conn: psycopg.Connection) -> date | None:
    """Where the window of the loads so far begins."""
    row = conn.execute("select min(first_day) from raw_tq.main_harvest").fetchone()
    return row[0] if row else None


def covered(conn: psycopg.Connection, variety: str, route: str) -> Covered | None:
    row = conn.execute(
        "select first_day, last_day from raw_tq.main_harvest where variety = %s and route = %s",
        (variety, route),
    ).fetchone()
    return Covered(*row) if row else None


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
    found: dict[date, list[Session]] = defaultdict(list)
    rows = conn.execute(
        "select valid_from, session, idx, start_s, end_s from raw_tq.trading_session "
        "where variety = %s order by valid_from, session, idx",
        (variety,),
    )
    for valid_from, *session in rows:
        found[valid_from].append(Session(*session))
    return dict(found)


def contracts(conn: psycopg.Connection, variety: str, first: date) -> list[tuple[str, date | None]]:
    """(contract, last trading day) of those that traded on `first` or later."""
    return conn.execute(
        "select contract, expire_date from raw_tq.contract "
        "where variety = %s and (expire_date is null or expire_date >= %s) order by contract",
        (variety, first),
    ).fetchall()


def bars_from(conn: psycopg.Connection) -> dict[str, Since]:
    """From when on the bars of each contract were asked for."""
    rows = conn.execute("select contract, first_day, failed, fetched_at from raw_tq.daily_harvest")
    return {contract: Since(*since) for contract, *since in rows.fetchall()}


def variety_of(contract: str) -> str:
    """`SHFE.cu` of `SHFE.cu2601`."""
    return contract.rstrip("0123456789")


def expiry(conn: psycopg.Connection, contract: str) -> date | None:
    """The last trading day of a contract; far away where it is listed without one."""
    row = conn.execute(
        "select coalesce(expire_date, '2999-12-31') from raw_tq.contract where contract = %s",
        (contract,),
    ).fetchone()
    return row[0] if row else None


def volume(conn: psycopg.Connection, contract: str, day: date) -> int | None:
    """Lots of a final day bar."""
    row = conn.execute(
        "select volume from raw_tq.contract_daily "
        "where contract = %s and trade_date = %s and is_final",
        (contract, day),
    ).fetchone()
    return row[0] if row else None


def instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
