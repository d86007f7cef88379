"""One new day costs the same however long the history is."""

from datetime import date

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt import raw
from tests.integration.dbt.conftest import MODELS, REBUILD, UPDATE, wait_for_others
from tests.integration.dbt.raw_intraday import ticks

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
CODES = [f"sh600{n:03d}" for n in range(60)]
WITH_MINUTES = CODES[:12]
HISTORY = 180  # days; with fewer the planner reads whole tables
YEAR = 262  # weekdays of 365 days
RAW = ("kline_daily", "kline_minute", "tick_trade", "index_kline")
# a few rows a day of the market, not one of each code: some ten thousand in all
CALENDARS = (
    "raw_tdx.trading_day",
    "market.trading_calendar",
    "quotemill_intermediate.int_market__bars_counted",
    "quotemill_intermediate.int_market__breadth_by_bars",
    # of the index alone
    "market.index_kline_weekly",
    "market.index_kline_monthly",
)


def rows_read(conn: psycopg.Connection) -> dict[str, int]:
    """Rows that scans took from each table so far, by PostgreSQL's own count."""
    wait_for_others(conn)
    rows = conn.execute(
        "select s.schemaname || '.' || s.relname, coalesce(s.seq_tup_read, 0) + coalesce(("
        "select sum(i.idx_tup_read)::bigint from pg_stat_user_indexes as i "
        "where i.relid = s.relid), 0) from pg_stat_user_tables as s "
        "where s.schemaname in ('raw_tdx', 'market', 'quotemill_intermediate')"
    ).fetchall()
    return {name: count for name, count in rows if name not in CALENDARS}


def land_bars(conn: psycopg.Connection, days: list[date], price: str) -> None:
    """The day bars of every code, each with a turnover of its own, and of an index."""
    turnover = int(float(price) * 100_000_000)
    bars = [
        raw.bar(code, day, price, amount=turnover + own)
        for own, code in enumerate(CODES)
        for day in days
    ]
    raw.land(conn, "kline_daily", bars)
    raw.land(
        conn,
        "index_kline",
        [
            raw.bar("sh000001", day, "2900")
            | {"period": "day", "bar_end": f"{day} 07:00+00", "up_count": 0, "down_count": 0}
            for day in days
        ],
    )


def land_minutes(conn: psycopg.Connection, days: list[date]) -> None:
    """Four minutes a day (four 5-minute, three 15-minute, three 30-minute bars) and a tick."""
    raw.land(
        conn,
        "kline_minute",
        [
            raw.minute(code, end, "10")
            for day in days
            for end in (raw.session_minutes(day)[at] for at in (0, 119, 120, 128))
            for code in WITH_MINUTES
        ],
    )
    days_of_ticks = [
        ticks(code, day, [("09:31", "10", 1000, 0)]) for code in WITH_MINUTES for day in days
    ]
    raw.land(conn, "tick_trade", [tick for day in days_of_ticks for tick in day])


def cost_of_one_day(
    conn: psycopg.Connection, dbt: Dbt, days: list[date]
) -> tuple[dict[str, int], dict[str, int]]:
    """(rows read by table, rows written by model) for the last of `days`.

    By a build, by dbt's tests after it, and by a query of the findings.
    """
    conn.execute(f"truncate raw_tdx.{', raw_tdx.'.join(RAW)}".encode())
    raw.land(conn, "security", [raw.security(code) for code in CODES])
    raw.land(conn, "trading_day", [raw.trading_day(day) for day in days])
    raw.land(conn, "corporate_action", [raw.action(CODES[0], days[-5], cash_per10_yuan="1")])
    land_bars(conn, days[:-1], "10")
    land_minutes(conn, days[:-1])
    dbt(*REBUILD)
    conn.execute("vacuum (analyze, index_cleanup on)")
    land_bars(conn, days[-1:], "10.5")
    land_minutes(conn, days[-1:])

    before = rows_read(conn)
    outcome = dbt(*UPDATE)
    assert outcome.success
    dbt("test", "--exclude-resource-type", "unit_test")
    conn.execute("select * from qa.findings")
    after = rows_read(conn)
    figures = ("kline_", "int_daily_figures__computed", "int_market__bars_counted")
    written = {m: n for m, n in outcome.written.items() if m.startswith(figures) and n > 0}
    return {table: count - before[table] for table, count in after.items()}, written


@pytest.mark.soak
def test_one_day_reads_and_writes_the_same_at_four_times_the_history(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    days = raw.weekdays(date(2021, 1, 4), 4 * HISTORY)

    once = cost_of_one_day(conn, dbt, days[3 * HISTORY :])
    four_times = cost_of_one_day(conn, dbt, days)

    # the days that have bars are found one after the other, at two reads of findings
    # a list of codes is read or not, and that of changed codes whole or by its index for each code,
    # by the plan; returns look back a year
    [(changes,)] = conn.execute("select count(*) from market.code_changes")
    allowed = {
        "market.code_changes": changes * len(CODES),
        "raw_tdx.kline_daily": 2 * 3 * HISTORY + (YEAR - HISTORY) * len(CODES),
        "market.symbol_dim": 2 * len(CODES),
    }
    more = {table: four_times[0][table] - count for table, count in once[0].items()}
    assert {table: n for table, n in more.items() if n > allowed.get(table, 0)} == {}
    assert four_times[1] == once[1]
    bars = (
        "kline_daily_qfq",
        "kline_weekly_qfq",
        "kline_monthly_qfq",
        "int_daily_figures__computed",
    )
    assert once[1] == {
        **dict.fromkeys(bars, len(CODES)),
        "int_market__bars_counted": 1,
        "kline_5m": 4 * len(WITH_MINUTES),
        "kline_15m": 3 * len(WITH_MINUTES),
        "kline_30m": 3 * len(WITH_MINUTES),
    }
