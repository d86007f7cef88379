"""Minutes that were dropped by age take no bar with them, ticks no day of their summary."""

from datetime import date, datetime

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.editions.hypertables import make_hypertable
from tests.integration.dbt.raw import land, minute, session_minutes, touch, weekdays
from tests.integration.dbt.raw_intraday import ticks

DAYS = weekdays(date(2024, 6, 3), 3)
CODES = ("sh600000", "sz000002")
ROLLUPS = ("-s", "+kline_5m", "kline_15m", "kline_30m")


def land_day(conn: psycopg.Connection, day: date, price: str = "10") -> None:
    ends = session_minutes(day)[:31]
    land(conn, "kline_minute", [minute(code, end, price) for code in CODES for end in ends])


def bars(conn: psycopg.Connection, length: int) -> dict[tuple[str, date], list[int]]:
    """The highest price of each bar, by code and day."""
    rows = conn.execute(
        "select code, trade_date, array_agg(high::integer order by bar_end) "
        f"from market.kline_{length}m group by 1, 2".encode()
    )
    return {(code, day): prices for code, day, prices in rows}


@pytest.fixture
def aged(edition: str, conn: psycopg.Connection, dbt: Dbt) -> Dbt:
    """Three days of two codes, built, and the minutes of the first day gone by age."""
    if edition != "none":
        make_hypertable(conn)
    for day in DAYS:
        land_day(conn, day)
    outcome = dbt("run", *ROLLUPS)
    assert outcome.success, outcome.error
    if edition == "none":
        conn.execute("delete from raw_tdx.kline_minute where trade_date <= %s", (DAYS[0],))
    else:
        until = f"{DAYS[1]} 00:00+00"
        conn.execute("select drop_chunks('raw_tdx.kline_minute', %s::timestamptz)", (until,))
    return dbt


def expected(length: int) -> dict[tuple[str, date], list[int]]:
    return {(code, day): [10] * (31 // length + 1) for code in CODES for day in DAYS}


def test_bars_older_than_the_oldest_minute_stay(conn: psycopg.Connection, aged: Dbt) -> None:
    # a change of all days of a code, and one of every code
    touch(conn, "kline_minute", CODES[0])
    late = datetime.fromisoformat(f"{DAYS[1]} 10:01+08")
    land(conn, "kline_minute", [minute(CODES[0], late, "12")])
    assert aged("run", *ROLLUPS).success
    touch(conn, "kline_minute")
    assert aged("run", *ROLLUPS).success

    for length in (5, 15, 30):
        want = expected(length)
        want[CODES[0], DAYS[1]][30 // length] = 12
        assert bars(conn, length) == want
    assert aged("run", "--full-refresh", *ROLLUPS).success
    for length in (5, 15, 30):
        assert bars(conn, length).keys() == expected(length).keys()


def test_minutes_of_a_dropped_day_that_come_again_make_their_bars_alone(
    conn: psycopg.Connection, aged: Dbt
) -> None:
    ends = session_minutes(DAYS[0])[:31]
    land(conn, "kline_minute", [minute(CODES[0], end, "11") for end in ends])
    land(conn, "kline_minute", [minute(CODES[1], session_minutes(DAYS[2])[0], "12")])

    for _ in range(2):
        assert aged("run", *ROLLUPS).success
        for length in (5, 15, 30):
            want = expected(length)
            want[CODES[0], DAYS[0]] = [11] * (31 // length + 1)
            want[CODES[1], DAYS[2]][0] = 12
            assert bars(conn, length) == want
        touch(conn, "kline_minute", CODES[0])


def test_bars_of_minutes_that_somebody_deleted_go(conn: psycopg.Connection, aged: Dbt) -> None:
    conn.execute("delete from raw_tdx.kline_minute where code = %s", (CODES[0],))
    touch(conn, "kline_minute", CODES[0])

    assert aged("run", *ROLLUPS).success

    # but for those of days of which nothing is left of any code
    gone = {(CODES[0], day) for day in DAYS[1:]}
    for length in (5, 15, 30):
        assert bars(conn, length).keys() == expected(length).keys() - gone


def test_without_a_minute_every_bar_stays(conn: psycopg.Connection, aged: Dbt) -> None:
    conn.execute("truncate raw_tdx.kline_minute")
    touch(conn, "kline_minute")

    assert aged("run", *ROLLUPS).success

    assert bars(conn, 5) == expected(5)


@pytest.mark.parametrize("edition", ["none"])
def test_a_table_with_such_bars_is_not_made_again(conn: psycopg.Connection, aged: Dbt) -> None:
    conn.execute(
        "do $$ begin execute (select 'alter table market.kline_5m drop constraint ' || conname "
        "from pg_constraint where conrelid = 'market.kline_5m'::regclass and contype = 'p'); end $$"
    )

    outcome = aged.fails("run", "--full-refresh", *ROLLUPS)

    assert outcome.refuses(
        "key code, bar_end", "14 of its rows", "raw_tdx.kline_minute", "2024-06-04"
    ), outcome.error
    assert bars(conn, 5) == expected(5)


def test_days_of_ticks_older_than_the_oldest_tick_stay(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    if edition != "none":
        conn.execute("select _timescaledb_functions.stop_background_workers()")
        conn.execute("select set_chunk_time_interval('raw_tdx.tick_trade', interval '1 day')")
    for code in CODES:
        for day in DAYS:
            land(conn, "tick_trade", ticks(code, day, [("09:31", "10", 1, 0)]))
    select = ("-s", "stg_tdx__tick_trade", "int_ticks__days")
    dbt("run", *select)
    if edition == "none":
        conn.execute("delete from raw_tdx.tick_trade where trade_date <= %s", (DAYS[0],))
    else:
        conn.execute("select drop_chunks('raw_tdx.tick_trade', %s::date)", (DAYS[1],))
    expected = {(code, day): 1 for code in CODES for day in DAYS}

    def counts() -> dict[tuple[str, date], int]:
        rows = conn.execute(
            "select code, trade_date, tick_count from quotemill_intermediate.int_ticks__days"
        )
        return {(code, day): count for code, day, count in rows}

    # a change of all days of a code, one of every code, and a full refresh
    late = ticks(CODES[0], DAYS[1], [("09:31", "10", 1, 0), ("09:32", "10", 1, 0)])
    land(conn, "tick_trade", late[1:])
    touch(conn, "tick_trade", CODES[0])
    dbt("run", *select)
    assert counts() == (expected := expected | {(CODES[0], DAYS[1]): 2})
    touch(conn, "tick_trade")
    dbt("run", *select, "--full-refresh")
    assert counts() == expected

    # above the oldest day what is deleted goes
    conn.execute(
        "delete from raw_tdx.tick_trade where code = %s and trade_date = %s", (CODES[1], DAYS[2])
    )
    touch(conn, "tick_trade", CODES[1])
    dbt("run", *select)
    assert counts().keys() == expected.keys() - {(CODES[1], DAYS[2])}
