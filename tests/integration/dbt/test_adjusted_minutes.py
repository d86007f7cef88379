"""Adjusted bars within the day: what the adjusted minutes add up to, found by an index."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import (
    action,
    bar,
    land,
    minute,
    security,
    session_minutes,
    trading_day,
    weekdays,
)

DAYS = weekdays(date(2024, 6, 3), 4)
LENGTHS = (5, 15, 30, 60)
# one event with cash, bonus and rights, and one whose sixths make ties of half a cent
EVENTS = {
    DAYS[1]: (Fraction(15, 10), Fraction("1.3") / 10 - Fraction("0.2") * Fraction("3.5")),
    DAYS[3]: (Fraction(12, 10), Fraction(0)),
}
ACTIONS = (
    {"cash_per10_yuan": "1.3", "bonus_total_per10": "3", "rights_per10": "2"}
    | {"rights_price_yuan": "3.5"},
    {"bonus_total_per10": "2"},
)
DECIMALS = {"sh600000": 2, "sh510300": 3, "sz000002": 2}
pytestmark = MODELS


def coefficients(code: str, day: date) -> tuple[Fraction, Fraction]:
    """A and B of hfq = A P + B on a day."""
    a, b = Fraction(1), Fraction(0)
    for ex_date, (m, c) in EVENTS.items():
        if code != "sz000002" and ex_date <= day:
            a, b = a * m, b + a * c
    return a, b


def rounded(price: Fraction, decimals: int) -> Decimal:
    """The price rounded once, half away from zero."""
    scaled = price * 10**decimals
    whole = int(abs(scaled) + Fraction(1, 2))
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-decimals)


def adjusted(code: str, day: date, li: int, way: str) -> Decimal:
    a, b = coefficients(code, day)
    hfq = a * Fraction(li, 1000) + b
    latest_a, latest_b = coefficients(code, DAYS[-1])
    price = hfq if way == "hfq" else (hfq - latest_b) / latest_a
    return rounded(price, DECIMALS[code])


def bars_of(rows: Sequence[dict[str, Any]], length: int, way: str) -> list[tuple[Any, ...]]:
    """Bars of the minutes after each was adjusted by itself, in exact fractions."""
    members: dict[tuple[str, datetime], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        labels = session_minutes(row["trade_date"])
        at = labels.index(row["bar_end"])
        members[row["code"], labels[at - at % length + length - 1]].append(row)

    def price(row: dict[str, Any], name: str) -> Decimal:
        return adjusted(row["code"], row["trade_date"], row[name], way)

    return [
        (
            code,
            end,
            price(group[0], "open"),
            max(price(row, "high") for row in group),
            min(price(row, "low") for row in group),
            price(group[-1], "close"),
            len(group),
        )
        for (code, end), group in sorted(members.items())
    ]


def land_minutes(conn: psycopg.Connection) -> list[dict[str, Any]]:
    """Minutes of three codes over two events, some missing."""
    random = Random(27)
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    rows: list[dict[str, Any]] = []
    for code in DECIMALS:
        land(conn, "security", [security(code, "fund" if code == "sh510300" else "stock")])
        land(conn, "kline_daily", [bar(code, day, "10") for day in DAYS])
        for day in DAYS:
            for end in session_minutes(day):
                low, high = sorted(random.randint(500, 1500) for _ in range(2))
                prices = {"low": low * 10, "high": high * 10}
                prices |= {p: random.randint(low, high) * 10 for p in ("open", "close")}
                if random.random() < 0.9:
                    rows.append(minute(code, end, "10", **prices))
    for code in ("sh600000", "sh510300"):
        days = zip(EVENTS, ACTIONS, strict=True)
        land(conn, "corporate_action", [action(code, day, **what) for day, what in days])
    land(conn, "kline_minute", rows)
    return rows


SEGMENTS = "+adjustment_segments,config.materialized:followed"
BUILD = ("run", "-s", SEGMENTS, "kline_5m", "kline_15m", "kline_30m")


@pytest.mark.long
def test_adjusted_bars_are_the_bars_of_adjusted_minutes(conn: psycopg.Connection, dbt: Dbt) -> None:
    rows = land_minutes(conn)

    dbt(*BUILD)

    for way in ("qfq", "hfq"):
        for length in LENGTHS:
            built = conn.execute(
                "select code, bar_end, open, high, low, close, bar_count "
                f"from market.kline_{length}m_{way} order by code, bar_end"
            ).fetchall()
            assert built == bars_of(rows, length, way), (way, length)
        minutes = conn.execute(
            "select code, bar_end, open, high, low, close, 1 "
            f"from market.kline_minute_{way} order by code, bar_end"
        ).fetchall()
        assert minutes == bars_of(rows, 1, way), way
    # the last stretch is as traded in qfq, the first in hfq
    for way, day in (("qfq", DAYS[-1]), ("hfq", DAYS[0])):
        assert conn.execute(
            f"select count(*) from market.kline_5m_{way} as a join market.kline_5m as b "
            "using (code, bar_end) where b.trade_date = %s and a.close <> b.close",
            (day,),
        ).fetchone() == (0,), way


def test_minutes_of_a_refused_action_are_marked(conn: psycopg.Connection, dbt: Dbt) -> None:
    land_minutes(conn)
    dbt(*BUILD)
    conn.execute(
        "update market.adjustment_segments set has_refused_action = true where code = 'sh600000'"
    )

    for way in ("qfq", "hfq"):
        for name in ("minute", "5m", "60m"):
            marked = conn.execute(
                f"select distinct code from market.kline_{name}_{way} where has_refused_action"
            ).fetchall()
            assert marked == [("sh600000",)], (way, name)


def test_conditions_on_adjusted_bars_reach_the_index(conn: psycopg.Connection, dbt: Dbt) -> None:
    land_minutes(conn)
    land(conn, "security", [security(f"sz{number:06d}") for number in range(100, 2100)])
    dbt(*BUILD)
    for length in (5, 15, 30):
        # of few codes the planner would read all
        conn.execute(
            f"insert into market.kline_{length}m select 'bj' || (100000 + n), bar_end, trade_date, "
            "open, high, low, close, volume_shares, amount_cny, bar_count, is_price_only, is_final "
            f"from market.kline_{length}m cross join generate_series(1, 60) as n "
            "where code = 'sz000002'"
        )
    conn.execute("vacuum analyze")

    def plan(table: str, condition: str) -> str:
        query = f"explain select * from market.{table} where {condition}"
        return "\n".join(line for (line,) in conn.execute(query.encode()))

    one_day = "bar_end between '2024-06-03 09:00+08' and '2024-06-03 15:00+08'"
    for way in ("qfq", "hfq"):
        for length in LENGTHS:
            table, base = f"kline_{length}m_{way}", f"kline_{min(length, 30)}m"
            lines = plan(table, f"code = 'sh600000' and {one_day}")
            assert "adjustment_segments_pkey" in lines, table
            assert f"Seq Scan on {base}" not in lines, lines
            condition = next(line for line in lines.splitlines() if "Index Cond: ((code" in line)
            assert length == 60 or "bar_end >=" in condition, lines
            by_date = plan(table, "code = 'sh600000' and trade_date = '2024-06-03'")
            assert f"Seq Scan on {base}" not in by_date, by_date
        by_minute = plan(f"kline_minute_{way}", f"code = 'sh600000' and {one_day}")
        assert "kline_minute_pkey" in by_minute
        assert "Seq Scan" not in by_minute
