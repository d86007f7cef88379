"""What has landed of China futures, asked of the warehouse."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import psycopg

from loaders.tq.trading_day import Session


@dataclass(frozen=True)
class Covered:
    """The trading days that the main contracts of a route are known of, both included."""

    first_day: date
    last_day: date


def trading_days(conn: psycopg.Connection) -> list[date]:
    """All that are known, ascending, those to come included."""
    rows = conn.execute("select trade_date from raw_tq.trading_day order by trade_date")
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


def variety_of(contract: str) -> str:
    """`SHFE.cu` of `SHFE.cu2601`."""
    return contract.rstrip("0123456789")
