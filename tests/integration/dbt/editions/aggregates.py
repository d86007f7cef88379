"""Bars of minutes as continuous aggregates, as tests build and look at them."""

from concurrent.futures import Future
from datetime import date
from typing import Any

import psycopg

from tests.integration.dbt.raw import minute, session_minutes, weekdays

DAYS = weekdays(date(2024, 6, 3), 12)
BARS = ("kline_5m", "kline_15m", "kline_30m")
BUILD = ("run", "-s", "+kline_5m", *BARS, "kline_60m")
AGAIN = ("run", "-s", *BARS)  # the views stand


def continuous(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute(
        "select view_schema || '.' || view_name from timescaledb_information.continuous_aggregates"
    )
    return sorted(name for (name,) in rows)


def one_day(day: date, *codes: str) -> list[dict[str, object]]:
    return [minute(code, end, "10") for code in codes for end in session_minutes(day)[:9]]


def content(conn: psycopg.Connection, name: str) -> str:
    """The hypertable with the rows of a continuous aggregate."""
    [(table,)] = conn.execute(
        "select materialization_hypertable_schema || '.' || materialization_hypertable_name "
        "from timescaledb_information.continuous_aggregates where view_name = %s",
        (name,),
    )
    return str(table)


def materialized(conn: psycopg.Connection) -> list[date]:
    """The days whose bars are stored; the others are computed on reading."""
    days = "select distinct (time_partition_col at time zone 'UTC')::date from {} order by 1"
    return [day for (day,) in conn.execute(days.format(content(conn, "kline_5m")).encode())]


def policies(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """The policies of bars; older servers name the hypertable that holds the rows."""
    return conn.execute(
        "select j.job_id, j.proc_name, a.view_name, j.schedule_interval, j.application_name "
        "from timescaledb_information.jobs as j "
        "inner join timescaledb_information.continuous_aggregates as a "
        "on j.hypertable_name in (a.view_name, a.materialization_hypertable_name) order by 1"
    ).fetchall()


def wait_for_lock(conn: psycopg.Connection, working: Future[Any]) -> None:
    """Wait until a session of the database waits for a lock, or the work has ended."""
    waits = (
        "select 1 from pg_stat_activity "
        "where wait_event_type = 'Lock' and datname = current_database()"
    )
    while not working.done() and not conn.execute(waits).fetchone():
        pass
