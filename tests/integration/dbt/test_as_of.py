"""Prices as seen on a day: by its events alone, and as of the newest day those of the tables."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.real_market import REAL_MARKET
from tests.integration.dbt.test_adjusted_minutes import (
    BUILD,
    DAYS,
    DECIMALS,
    coefficients,
    land_minutes,
    rounded,
)

pytestmark = REAL_MARKET

TABLES = [
    f"kline_{length}_qfq"
    for length in ("daily", "weekly", "monthly", "minute", "5m", "15m", "30m", "60m")
]
PRICES = ("open", "high", "low", "close")


def count_differences(conn: psycopg.Connection, table: str, day: date) -> int:
    """Rows that only the table, or only the function as of a day has, and rows of neither."""
    ours = f"select * from market.{table}_as_of(%(day)s)"
    theirs = f"select * from market.{table}"
    [(count,)] = conn.execute(
        f"select count(*) from (({ours} except all {theirs}) union all "
        f"({theirs} except all {ours})) as d",
        {"day": day},
    )
    return int(count)


def test_as_of_the_newest_day_all_bars_are_those_of_the_tables(
    conn: psycopg.Connection,
) -> None:
    [(newest,)] = conn.execute("select max(trade_date) from market.kline_daily_qfq")
    for table in TABLES:
        for day in (newest, newest + timedelta(days=400)):
            assert count_differences(conn, table, day) == 0, (table, day)
    [(first,)] = conn.execute("select min(trade_date) from market.kline_daily_qfq")
    query = "select count(*) from market.kline_daily_qfq_as_of(%s)"
    assert conn.execute(query, (first - timedelta(days=1),)).fetchone() == (0,)


@pytest.mark.soak
def test_days_as_of_any_day_follow_from_the_events_up_to_it(
    conn: psycopg.Connection,
) -> None:
    events: dict[str, list[tuple[date, Fraction, Fraction]]] = {}
    for code, day, m, c in conn.execute(
        "select code, ex_date, 1 + sum(m - 1), sum(c) from market.corporate_actions "
        "where is_active and adjusts_price group by code, ex_date order by code, ex_date"
    ):
        events.setdefault(code, []).append((day, Fraction(m), Fraction(c)))
    bars: dict[str, list[tuple[date, list[Decimal]]]] = {}
    for code, day, *prices in conn.execute(
        f"select code, trade_date, {', '.join(PRICES)} from market.kline_daily "
        "order by code, trade_date"
    ):
        bars.setdefault(code, []).append((day, prices))
    assert {code: len(days) for code, days in events.items()} == {"sh600000": 12, "sz000002": 20}
    ex_dates = [day for days in events.values() for day, _, _ in days]
    random = Random(29)
    days = [random.choice(ex_dates) + timedelta(days=random.choice((-1, 0, 0, 1)))]
    days += [date(1991, 1, 29) + timedelta(days=random.randrange(7_600)) for _ in range(5)]
    for as_of in days:
        for code in bars:
            wanted = {
                day: tuple(
                    rounded(adjust(events[code], day, as_of, Fraction(price)), 2)
                    for price in prices
                )
                for day, prices in bars[code]
                if day <= as_of
            }
            rows = conn.execute(
                f"select trade_date, {', '.join(PRICES)} from market.kline_daily_qfq_as_of(%s) "
                "where code = %s",
                (as_of, code),
            )
            assert {day: tuple(prices) for day, *prices in rows} == wanted, (code, as_of)


def adjust(
    events: list[tuple[date, Fraction, Fraction]], day: date, as_of: date, price: Fraction
) -> Fraction:
    """A price of a day after the events between it and another day, one after the other."""
    for ex_date, m, c in events:
        if day < ex_date <= as_of:
            price = (price - c) / m
    return price


@MODELS
@pytest.mark.long
def test_minutes_as_of_a_day_follow_from_the_events_up_to_it(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    landed = land_minutes(conn)
    dbt(*BUILD)
    for as_of in DAYS:
        wanted = {}
        for row in landed:
            if row["trade_date"] <= as_of:
                a, b = coefficients(row["code"], row["trade_date"])
                latest_a, latest_b = coefficients(row["code"], as_of)
                price = (a * Fraction(row["close"], 1000) + b - latest_b) / latest_a
                wanted[row["code"], row["bar_end"]] = rounded(price, DECIMALS[row["code"]])
        rows = conn.execute(
            "select code, bar_end, close from market.kline_minute_qfq_as_of(%s)", (as_of,)
        )
        assert {(code, end): close for code, end, close in rows} == wanted
        for length in (5, 15, 30, 60):
            last = conn.execute(
                "select m.code, m.bar_end, m.close "
                f"from market.kline_{length}m_qfq_as_of(%(day)s) as b "
                "join lateral (select * from market.kline_minute_qfq_as_of(%(day)s) as n "
                "where n.code = b.code and n.trade_date = b.trade_date "
                "and n.bar_end <= b.bar_end order by n.bar_end desc limit 1) as m on true "
                "where m.close <> b.close",
                {"day": as_of},
            ).fetchall()
            assert last == [], (length, as_of)
    for table in TABLES[3:]:
        assert count_differences(conn, table, DAYS[-1]) == 0, table


@pytest.mark.parametrize("table", TABLES)
def test_a_function_reads_the_rows_that_the_query_asks_for(
    table: str, conn: psycopg.Connection
) -> None:
    plan = conn.execute(
        f"explain select * from market.{table}_as_of('2011-12-06') where code = 'sh600000'"
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Function Scan" not in text
    assert "sh600000" in text
