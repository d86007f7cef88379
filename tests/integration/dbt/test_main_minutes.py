"""futures.main_1m and its longer bars: sessions, rolls, and what the store no longer shows."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from loaders.trading_time import SHANGHAI
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_futures import (
    Harvest,
    day_bar,
    evening_before,
    land_days,
    land_harvests,
    stored_day,
)

MONDAY, TUESDAY = date(2025, 11, 17), date(2025, 11, 18)
OLD, NEW, VARIETY = "SHFE.cu2601", "SHFE.cu2602", "SHFE.cu"
ROW_HASH = "0000000100000002"
Row = dict[str, Any]


def at(day: date, clock: str) -> datetime:
    return datetime.combine(day, datetime.strptime(clock, "%H:%M").time(), SHANGHAI)


def minutes(contract: str, day: date, parts: Sequence[tuple[datetime, int]]) -> list[Row]:
    """Minutes of sessions (start, length): each minute opens at 100 and closes a point higher."""
    rows: list[Row] = []
    for start, length in parts:
        for number in range(length):
            price = 100 + len(rows)
            rows.append(
                {
                    "contract": contract,
                    "trading_day": day,
                    "start_at": start + timedelta(minutes=number),
                    "session_start": start,
                    "open": price,
                    "high": price + 2,
                    "low": price - 1,
                    "close": price + 1,
                    "volume": 2,
                    "amount": Decimal("1.5"),
                    "close_oi": price * 10,
                    "tick_count": 3,
                }
            )
    return rows


def read(conn: psycopg.Connection, name: str) -> list[Row]:
    query = f"select * from futures.{name} order by variety, start_at"
    return conn.cursor(row_factory=dict_row).execute(query.encode()).fetchall()


def clocks(rows: Sequence[Row]) -> list[str]:
    return [row["start_at"].astimezone(SHANGHAI).strftime("%d %H:%M") for row in rows]


DAY_SESSIONS = [("09:00", 75), ("10:30", 60), ("13:30", 90)]


def build_roll(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Two days with a roll between them; Friday's night belongs to Monday."""
    land_days(conn, [date(2025, 11, 14), MONDAY, TUESDAY])
    night = [(at(date(2025, 11, 14), "21:00"), 240)]
    for contract, day, before in ((OLD, MONDAY, night), (NEW, TUESDAY, [])):
        parts = [*before, *((at(day, clock), length) for clock, length in DAY_SESSIONS)]
        land(conn, "raw_tq.tick_minute", minutes(contract, day, parts))
        made = {"contract": contract, "trading_day": day, "row_hash": ROW_HASH, "minute_count": 1}
        land(conn, "raw_tq.tick_minute_day", [made])
    land(
        conn,
        "raw_tq.contract_daily",
        [
            day_bar(OLD, MONDAY, "100", 1),
            day_bar(NEW, MONDAY, "110", 1),
            day_bar(NEW, TUESDAY, "110", 1),
        ],
    )
    events = [(day, evening_before(day), name) for day, name in ((MONDAY, OLD), (TUESDAY, NEW))]
    land_harvests(conn, [Harvest(VARIETY, MONDAY, TUESDAY, events)])
    dbt("run", "-s", "main_schedule")
    schedule = conn.cursor(row_factory=dict_row).execute("select * from futures.main_schedule")
    days = [stored_day(row, row_hash=ROW_HASH) for row in schedule.fetchall()]
    land(conn, "raw_tq.symbol_day", days)
    dbt("run", "-s", "main_daily")


pytestmark = pytest.mark.warehouse(Parsed.build_models, build_roll)


def test_bars_of_clock_stretches_never_go_across_a_break(conn: psycopg.Connection) -> None:
    by_length = {n: read(conn, f"main_{n}m") for n in (1, 5, 15, 30, 60)}
    counts = [len(rows) for rows in by_length.values()]
    assert counts == [465 + 225, 138, 46, 24, 16]
    hours = ("09:00", "10:00", "10:30", "11:00", "13:30", "14:00")
    night = ["14 21:00", "14 22:00", "14 23:00", "15 00:00"]
    by_day = [f"{day.day} {clock}" for day in (MONDAY, TUESDAY) for clock in hours]
    assert clocks(by_length[60]) == night + by_day
    assert {row["trading_day"] for row in by_length[60][:10]} == {MONDAY}
    assert [row["minute_count"] for row in by_length[60][4:10]] == [60, 15, 30, 30, 30, 60]
    for n, rows in by_length.items():
        assert sum(row["volume_lots"] for row in rows) == 2 * (465 + 225), n
        assert sum(row["amount_cny"] for row in rows) == Decimal("1.5") * (465 + 225), n
        assert sum(row["tick_count"] for row in rows) == 3 * (465 + 225), n
    first, last = by_length[60][0], by_length[60][3]
    assert [first[name] for name in ("open", "high", "low", "close")] == [100, 161, 99, 160]
    assert [last[name] for name in ("open", "close", "close_oi")] == [280, 340, 3390]
    assert [row["start_at"].astimezone(UTC).minute % 30 for row in by_length[30]] == [0] * 24


def test_bars_are_adjusted_by_the_gaps_of_the_daily_series(
    conn: psycopg.Connection,
) -> None:
    query = "select * from futures.main_daily order by trading_day"
    daily = {
        row["trading_day"]: row
        for row in conn.cursor(row_factory=dict_row).execute(query.encode()).fetchall()
    }
    for name in ("main_1m", "main_5m", "main_60m"):
        for row in read(conn, name):
            day = daily[row["trading_day"]]
            for factor in ("back_diff", "back_ratio", "forward_diff", "forward_ratio", "is_roll"):
                assert row[factor] == day[factor]
            for price in ("open", "high", "low", "close"):
                raw = row[price]
                assert row[f"{price}_back_diff"] == raw + day["back_diff"]
                assert row[f"{price}_forward_diff"] == raw + day["forward_diff"]
                exact = raw * 11 / 10 if row["trading_day"] == MONDAY else raw
                assert row[f"{price}_back_ratio"] == exact
                assert row[f"{price}_forward_ratio"] == round(exact / Decimal("1.1"), 9)
    assert daily[MONDAY]["back_diff"] == 10
    assert daily[TUESDAY]["is_roll"] is True


def test_days_that_are_taken_out_of_the_store_have_no_bars(conn: psycopg.Connection) -> None:
    conn.execute(
        "update raw_tq.symbol_day set status = case contract when %s then 'short' "
        "else 'superseded' end",
        (OLD,),
    )
    for name in ("main_1m", "main_60m"):
        rows = read(conn, name)
        assert {(row["trading_day"], row["is_complete"]) for row in rows} == {(MONDAY, False)}


def test_minutes_of_ticks_that_were_replaced_are_not_complete(conn: psycopg.Connection) -> None:
    findings = "select check_name, severity, subject, trade_date from qa.qa_main_minutes"
    assert conn.execute(findings).fetchall() == []
    conn.execute("update raw_tq.symbol_day set row_hash = 'other' where contract = %s", (NEW,))
    for name in ("main_1m", "main_60m"):
        days = {(row["trading_day"], row["is_complete"]) for row in read(conn, name)}
        assert days == {(MONDAY, True), (TUESDAY, False)}
    assert conn.execute(findings).fetchall() == [("minutes_not_made", "info", VARIETY, TUESDAY)]


def test_a_bar_begins_with_the_first_trade_and_lacks_what_ticks_lack(
    conn: psycopg.Connection,
) -> None:
    conn.execute(
        "update raw_tq.tick_minute set open = null, high = null, low = null, close = null, "
        "volume = 0, amount = null, close_oi = null, tick_count = 0 "
        "where contract = %s and start_at < %s",
        (NEW, at(TUESDAY, "09:07")),
    )
    first, second = read(conn, "main_5m")[-45:-43]
    lacking = ("open", "close", "amount_cny", "close_oi")
    assert ([first[name] for name in lacking], first["volume_lots"]) == ([None] * 4, 0)
    assert (second["open"], second["close"], second["volume_lots"]) == (107, 110, 6)


def test_only_days_of_a_filter_are_read(conn: psycopg.Connection) -> None:
    conn.execute("set enable_seqscan = off")
    plan = "\n".join(
        line
        for (line,) in conn.execute(
            "explain select * from futures.main_5m "
            "where variety = 'SHFE.cu' and trading_day = '2025-11-18'"
        )
    )
    assert "Index Cond: ((contract = " in plan, plan


def test_differences_from_the_vendors_minutes_are_findings(conn: psycopg.Connection) -> None:
    own = "select contract, trading_day, start_at, open, high, low, close, volume, close_oi"
    copied = (
        "insert into raw_tq.contract_minute (contract, trading_day, start_at, open, high, low, "
        "close, volume, close_oi, open_oi, source_route, fetched_at, is_final, _dlt_load_id) "
        f"{own}, 0, 'minutes', now(), true, '1' from raw_tq.tick_minute where contract = %s"
    )
    findings = "select severity, subject, trade_date, evidence from qa.qa_main_minutes"
    conn.execute(copied.encode(), (OLD,))
    assert conn.execute(findings).fetchall() == []
    change = "update raw_tq.contract_minute set volume = volume + %s where start_at = %s"
    conn.execute(change, (1, at(MONDAY, "10:00")))
    [(severity, subject, day, evidence)] = conn.execute(findings).fetchall()
    assert (severity, subject, day) == ("info", VARIETY, MONDAY)
    figures = " ".join(re.findall(r"[\w.:]*\d[\w.:]*", evidence.partition("; fix: ")[0]))
    assert figures == "SHFE.cu2601: 1 465 02:00 930 931"
    assert evidence.endswith("; fix: loaders run tq --date 2025-11-17 --codes SHFE.cu")
    conn.execute(change, (500, at(MONDAY, "10:00")))
    assert [row[0] for row in conn.execute(findings)] == ["warning"]
