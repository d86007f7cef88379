"""Price limits by the exchanges' rules, the stocks that closed at them, and their builds."""

import csv
import itertools
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, NO_TESTS
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays
from tests.integration.dbt.raw_intraday import at, quote
from tests.integration.dbt.real_market import REAL_MARKET
from tests.real_bars import read_untraded_days

pytestmark = MODELS

Conn = psycopg.Connection
TABLES = "+limit_up_pool,config.materialized:followed"
LIMITS = ("build", "--select", "resource_type:snapshot", TABLES, *NO_TESTS)


def listing(code: str, day: date) -> dict[str, object]:
    shares = {"value1": 0, "value2": 0, "value3": 100, "value4": 400}
    return {"code": code, "event_date": day, "category": 5, "seq": 1, **shares}


def named(code: str, name: str, day: date) -> dict[str, object]:
    return security(code) | {"name": name, "fetched_at": f"{day} 20:00+08"}


def limits(conn: Conn, code: str, columns: str = "limit_rule, up_limit") -> list[tuple[str, ...]]:
    query = f"select {columns} from market.stock_limits where code = %s order by trade_date"
    return [tuple(map(str, row)) for row in conn.execute(query, (code,))]


def days_with_last_close(folder: Path, code: str) -> Iterator[tuple[str, Decimal, dict[str, str]]]:
    """Each traded day of a real stock that is no ex-date, with the close before."""
    with (folder / "corporate_actions.csv").open(newline="") as file:
        gone_ex = {row["ex_date"] for row in csv.DictReader(file) if row["code"] == code}
    with (folder / f"daily_{code}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    untraded = read_untraded_days(folder, code)
    rows = [row for row in rows if row["date"] not in untraded]
    for before, row in itertools.pairwise(rows):
        is_traded = row["volume_hands"] != "0"
        if is_traded and row["date"] not in gone_ex and row["date"] >= "1996-12-16":
            yield row["date"], Decimal(before["close"]), row


@REAL_MARKET
def test_real_stocks_closed_at_limits_that_python_computes_too(
    real_tdx_data: Path, warehouse: Warehouse
) -> None:
    cent, counts = Decimal("0.01"), {}
    with psycopg.connect(warehouse.url) as conn:
        for code in ("SH600000", "SZ000002"):
            query = """
                select
                    trade_date::text, up_limit, down_limit, is_limit_up, is_limit_down, limit_rule
                from market.stock_limits where code = %s
            """
            stored = {row[0]: row[1:] for row in conn.execute(query, (code.lower(),))}
            for day, before, row in days_with_last_close(real_tdx_data, code):
                up, down = (
                    (before * share).quantize(cent, ROUND_HALF_UP)
                    for share in (Decimal("1.1"), Decimal("0.9"))
                )
                close, high, low = (Decimal(row[name]) for name in ("close", "high", "low"))
                if high > up or low < down:
                    assert stored[day] == (None, None, False, False, "exceeded"), day
                else:
                    ends = (close == up, close == down)
                    assert stored[day] == (up, down, *ends, "board"), day
                key = (code, stored[day][4], stored[day][2], stored[day][3])
                counts[key] = counts.get(key, 0) + 1
    ups = {code: n for (code, _, is_up, _), n in counts.items() if is_up}
    assert ups == {"SH600000": 16, "SZ000002": 24}
    assert {code: n for (code, rule, *_), n in counts.items() if rule == "exceeded"} == {
        "SZ000002": 5
    }


@REAL_MARKET
def test_a_real_ex_date_and_a_real_row_of_boards(warehouse: Warehouse) -> None:
    with psycopg.connect(warehouse.url) as conn:
        # 35.29 went ex with 1.60 yuan and 3 shares for 10: (35.29 - 0.16) / 1.3 = 27.02, more 10 %
        # 29.722; 20.15 more 10 % is 22.165
        query = """
            select code, previous_close::text, up_limit::text, close::text, is_limit_up
            from market.stock_limits where trade_date = '2008-04-24' order by code
        """
        assert conn.execute(query).fetchall() == [
            ("sh600000", "27.020", "29.720", "29.720", True),
            ("sz000002", "20.150", "22.170", "22.170", True),
        ]
        query = """
            select code, trade_date::text, board_count, first_limit_up_date::text, is_one_price
            from market.limit_up_pool
            where trade_date in ('2008-04-24', '2008-09-19', '2008-09-22') order by code, trade_date
        """
        assert conn.execute(query).fetchall() == [
            ("sh600000", "2008-04-24", 1, "2008-04-24", False),
            ("sh600000", "2008-09-19", 1, "2008-09-19", False),
            ("sh600000", "2008-09-22", 2, "2008-09-19", False),
            ("sz000002", "2008-04-24", 1, "2008-04-24", True),
            ("sz000002", "2008-09-19", 1, "2008-09-19", False),
        ]


BOUNDARIES = {
    # code, listed: (days, limit_rule and percentage of each)
    ("sh600101", date(1996, 1, 2)): (("1996-12-13", "before_limits"), ("1996-12-16", "board 10")),
    ("sh600102", date(2023, 4, 7)): (
        ("2023-04-07", "new_listing"),
        *((f"2023-04-{n}", "board 10") for n in (10, 11)),
    ),
    ("sh600103", date(2023, 4, 10)): (
        *((f"2023-04-{n}", "new_listing") for n in (10, 11, 12, 13, 14)),
        ("2023-04-17", "board 10"),
    ),
    ("sz300101", date(2020, 8, 20)): (
        ("2020-08-20", "new_listing"),
        ("2020-08-21", "board 10"),
        ("2020-08-24", "board 20"),
    ),
    ("sz300102", date(2020, 8, 24)): (
        *((f"2020-08-{n}", "new_listing") for n in (24, 25, 26, 27, 28)),
        ("2020-08-31", "board 20"),
    ),
    ("sh688101", date(2019, 7, 22)): (
        *((f"2019-07-{n}", "new_listing") for n in (22, 23, 24, 25, 26)),
        ("2019-07-29", "board 20"),
    ),
    ("bj430101", date(2021, 11, 15)): (
        ("2021-11-15", "new_listing"),
        ("2021-11-16", "board 30"),
    ),
    # special treatment by the name of all its days
    ("sh600104", date(1997, 1, 2)): (
        ("1998-04-20", "first_bar"),
        ("1998-04-21", "special_treatment 10"),
        ("1998-04-22", "special_treatment 5"),
    ),
    ("sz000105", date(1997, 1, 2)): (
        ("2026-07-02", "first_bar"),
        ("2026-07-03", "special_treatment 5"),
        ("2026-07-06", "special_treatment 10"),
    ),
    ("sz300105", date(2015, 1, 5)): (
        ("2026-07-02", "first_bar"),
        ("2026-07-03", "special_treatment 20"),
        ("2026-07-06", "special_treatment 20"),
    ),
}


def test_each_rule_holds_from_its_day_on(conn: Conn, dbt: Dbt) -> None:
    listed = {day for _, day in BOUNDARIES}
    shown = {date.fromisoformat(day) for rows in BOUNDARIES.values() for day, _ in rows}
    land(conn, "trading_day", [trading_day(day) for day in sorted(listed | shown)])
    for (code, day), rows in BOUNDARIES.items():
        name = f"*ST {code}" if code in ("sh600104", "sz000105", "sz300105") else f"N {code}"
        land(conn, "security", [security(code) | {"name": name}])
        land(conn, "capital_event", [listing(code, day)])
        land(conn, "kline_daily", [bar(code, date.fromisoformat(d), "10") for d, _ in rows])
    dbt(*LIMITS)
    query = """
        select trade_date::text, concat_ws(' ', limit_rule, trim_scale(limit_percent))
        from market.stock_limits where code = %s order by trade_date
    """
    for (code, _), rows in BOUNDARIES.items():
        assert conn.execute(query, (code,)).fetchall() == list(rows), code


@pytest.mark.long
def test_limits_follow_the_names_that_loads_saw(conn: Conn, dbt: Dbt) -> None:
    days = weekdays(date(2024, 6, 3), 7)
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "kline_daily", [bar("sh600000", day, "10") for day in days])
    # beyond 5 % on the third day: it was not ST then, whatever its first name says
    prices = ("10", "10.50", "11.30", "11.30", "11.30", "11.30", "11.30")
    land(
        conn,
        "kline_daily",
        [bar("sh600001", d, p) for d, p in zip(days, prices, strict=True)],
    )
    names = {0: "浦发", 2: "ST浦发", 4: "浦发", 5: "浦发退"}
    for n, name in names.items():
        land(conn, "security", [named("sh600000", name, days[n])])
        if n == 4:
            land(conn, "security", [named("sh600001", "*ST一", days[4])])
        dbt(*LIMITS)
    assert limits(conn, "sh600000") == [
        ("first_bar", "None"),
        ("board", "11.000"),
        ("special_treatment", "10.500"),
        ("special_treatment", "10.500"),
        ("board", "11.000"),
        ("delisting_first_day", "None"),
        ("board", "11.000"),
    ]
    assert limits(conn, "sh600001", "limit_rule, is_limit_up")[1:4] == [
        ("special_treatment", "True"),
        ("board", "False"),
        ("special_treatment", "False"),
    ]


@pytest.mark.long
def test_a_bar_before_the_listing_is_none_of_a_new_one(conn: Conn, dbt: Dbt) -> None:
    days = weekdays(date(2024, 6, 3), 8)
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in days[:2]])
    land(conn, "kline_daily", [bar("sh600000", day, "10") for day in days[:2]])
    land(conn, "capital_event", [listing("sh600000", days[5])])
    dbt(*LIMITS)
    columns = "limit_rule, days_since_listing"
    expected = [("first_bar", "None"), ("board", "None")]
    assert limits(conn, "sh600000", columns) == expected

    # the calendar reaches the listing later
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "kline_daily", [bar("sh600000", day, "10") for day in days[5:7]])
    dbt(*LIMITS)
    expected += [("new_listing", "0"), ("new_listing", "1")]
    assert limits(conn, "sh600000", columns) == expected


def test_the_tables_of_an_earlier_version_become_views(conn: Conn, dbt: Dbt) -> None:
    views = ("daily_basic", "stock_limits")
    for name in views:
        conn.execute(f"create table market.old as table market.{name}".encode())
        conn.execute(f"drop view market.{name} cascade".encode())
        conn.execute(f"alter table market.old rename to {name}".encode())
        conn.execute(
            "insert into ops.change_cursors (reader, seen, fingerprint) "
            f"values ('market.{name}', pg_current_snapshot(), '')".encode()
        )
    dbt("run", "--select", "limit_up_pool")
    conn.execute("create view public.mine as select code from market.daily_basic")
    rebuild = ("run", "--populate-cache", "--select", *views, "limit_up_pool")
    assert dbt.fails(*rebuild).refuses("daily_basic", "it is a table", "public.mine")
    conn.execute("drop view public.mine")

    dbt(*rebuild)

    kinds = conn.execute(
        "select relkind from pg_class where oid = any(%s::regclass[])",
        ([f"market.{name}" for name in (*views, "limit_up_pool")],),
    ).fetchall()
    assert kinds == [("v",)] * 3
    assert conn.execute("select from ops.change_cursors where fingerprint = ''").fetchall() == []


def test_a_change_of_the_stored_figures_is_one_of_both_views(conn: Conn, dbt: Dbt) -> None:
    days = weekdays(date(2024, 6, 3), 3)
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in days])
    land(conn, "kline_daily", [bar("sh600000", day, "10") for day in days[:2]])
    dbt(*LIMITS)
    query = "select max(change_no) from market.changes"
    [(last,)] = conn.execute(query).fetchall()
    land(conn, "kline_daily", [bar("sh600000", days[2], "11")])
    dbt(*LIMITS)
    query = """
        select table_name, key, first_changed_date, last_changed_date from market.changes
        where change_no > %s and table_name ~ 'daily_basic|stock_limits' order by 1
    """
    assert conn.execute(query, (last,)).fetchall() == [
        (f"market.{name}", "sh600000", days[2], days[2]) for name in ("daily_basic", "stock_limits")
    ]


def test_quotes_of_days_without_a_limit_are_at_none(conn: Conn, dbt: Dbt) -> None:
    days = weekdays(date(2024, 6, 3), 3)
    land(conn, "trading_day", [trading_day(day) for day in days])
    for code, day in (("sz300001", date(2010, 1, 4)), ("sz300002", days[0])):
        land(conn, "security", [security(code)])
        land(conn, "capital_event", [listing(code, day)])
        land(conn, "quote", [quote(code, at(days[1], "10:30"), "10", "12")])
    dbt("run", "--select", "+market_stats_snapshot,config.materialized:followed")
    query = "select up_count, limit_up_count, basis from market.market_stats_snapshot"
    assert conn.execute(query).fetchall() == [(2, 1, "quotes")]
