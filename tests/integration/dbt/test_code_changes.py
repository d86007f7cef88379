"""The history of a stock whose code changed goes on under the new code, also adjusted."""

from datetime import date

import psycopg
import pytest

from tests.integration.dbt.conftest import Dbt
from tests.integration.dbt.raw import action, add_line, bar, land, security, trading_day, weekdays

DAYS = weekdays(date(2025, 4, 28), 12)
CHANGED = DAYS.index(date(2025, 5, 6))
OLD, NEW, ALONE = "bj833819", "bj920819", "sh600000"
EVENTS = {
    DAYS[2]: {"cash_per10_yuan": "1.3", "bonus_total_per10": "2"},
    DAYS[CHANGED + 2]: {"cash_per10_yuan": "0.7", "bonus_total_per10": "5"},
}
BUILD = (
    "run",
    "-s",
    "+adjustment_segments,config.materialized:followed",
    "+symbol_dim,config.materialized:followed",
    "+kline_weekly_qfq,config.materialized:followed",
    "kline_monthly_qfq",
)
# all is built; a test lands its rows and builds the tables
pytestmark = pytest.mark.usefixtures("models")


def prices(code: str, at: int) -> dict[str, object]:
    return bar(code, DAYS[at], f"{9 + at * 0.37:.2f}", high=16_000 + at * 10)


def land_market(conn: psycopg.Connection) -> None:
    """A stock under two codes, and another with the same bars and events under one."""
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(code) for code in (OLD, NEW, ALONE)])
    for at, _ in enumerate(DAYS):
        land(conn, "kline_daily", [prices(ALONE, at), prices(NEW if at >= CHANGED else OLD, at)])
    for day, what in EVENTS.items():
        code = NEW if day >= DAYS[CHANGED] else OLD
        land(conn, "corporate_action", [action(c, day, **what) for c in (ALONE, code)])


def joined(conn: psycopg.Connection, table: str, code: str) -> list[tuple[object, ...]]:
    return conn.execute(
        "select trade_date, open, high, low, close, volume_shares, is_final "
        f"from market.{table} where code = %s order by trade_date",
        (code,),
    ).fetchall()


def rows(conn: psycopg.Connection, query: str, code: str) -> list[tuple[object, ...]]:
    return conn.execute(f"{query} where code = %s order by 1".encode(), (code,)).fetchall()


def test_a_stock_with_a_new_code_has_the_prices_of_one_that_kept_its(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_market(conn)

    assert dbt(*BUILD).success

    for table in ("kline_daily", "kline_daily_qfq"):
        whole = joined(conn, table, ALONE)
        name = f"kline_daily_joined{table.removeprefix('kline_daily')}"
        assert len(whole) == len(DAYS)
        assert joined(conn, name, NEW) == joined(conn, name, ALONE) == whole
        # the old code is answered where it was loaded
        assert joined(conn, name, OLD) == []
        assert len(joined(conn, table, OLD)) == CHANGED
    for table, start in (("kline_weekly", "week_start"), ("kline_monthly", "month_start")):
        bars = f"select {start}, open, high, low, close, volume_shares, bar_count, is_final from "
        alone = rows(conn, f"{bars} market.{table}_qfq", ALONE)
        assert len(alone) > 1
        for code in (NEW, ALONE):
            assert rows(conn, f"{bars} market.{table}_joined_qfq", code) == alone
        assert rows(conn, f"{bars} market.{table}_joined_qfq", OLD) == []
    codes = conn.execute(
        "select traded_code, count(*) from market.kline_daily_joined where code = %s group by 1 "
        "order by 1",
        (NEW,),
    )
    assert codes.fetchall() == [(OLD, CHANGED), (NEW, len(DAYS) - CHANGED)]
    dimension = "select code, current_code, former_code from market.symbol_dim order by 1"
    assert conn.execute(dimension.encode()).fetchall() == [
        (OLD, NEW, None),
        (NEW, NEW, OLD),
        (ALONE, ALONE, None),
    ]
    known = conn.execute(
        "select new_code, valid_from from market.code_changes where old_code = %s", (OLD,)
    )
    assert known.fetchall() == [(NEW, DAYS[CHANGED])]
    assert conn.execute("select * from qa.qa_code_changes").fetchall() == []


def test_a_history_that_the_new_code_has_too_counts_once(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land_market(conn)
    land(conn, "kline_daily", [prices(NEW, at) for at in range(CHANGED)])
    land(conn, "corporate_action", [action(NEW, day, **what) for day, what in EVENTS.items()])

    assert dbt(*BUILD).success

    whole = joined(conn, "kline_daily_qfq", ALONE)
    assert joined(conn, "kline_daily_joined_qfq", NEW) == whole
    # bars of the old code alone, with all events under the new one
    conn.execute(
        "delete from raw_tdx.kline_daily where code = %s and trade_date < %s", (NEW, DAYS[2])
    )
    assert joined(conn, "kline_daily_joined_qfq", NEW) == whole


def test_codes_of_a_change_are_read_as_people_write_them(conn: psycopg.Connection) -> None:
    seed = "code_changes_known"
    add_line(conn, seed, "430047.BJ,920047,2025/10/9,notice")
    add_line(conn, seed, "bj430090,none,,another stock")
    # each counts once, and a chain by its last code
    add_line(conn, seed, "bj430047,bj920048,2025-10-09,notice")
    add_line(conn, seed, "bj430198,bj920047,2025-10-09,notice")
    add_line(conn, seed, "bj430300,bj430047,2025-10-09,notice")

    added = conn.execute(
        "select * from market.code_changes where old_code like 'bj430%' and source = 'notice'"
    )
    assert added.fetchall() == [("bj430047", "bj920047", date(2025, 10, 9), "notice")]
    wrong = conn.execute("select subject, split_part(evidence, '.', 1) from qa.qa_seed_lines")
    line = f"seeds/{seed}.csv line"
    assert sorted(wrong.fetchall()) == [
        (f"{line} 10", "repeats line 8"),
        (f"{line} 11", "repeats line 8"),
        (
            f"{line} 12",
            "new_code = bj430047 breaks the rule: must be the last code, without a line of its own",
        ),
    ]


def test_a_code_that_ends_where_another_begins_is_proposed(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    codes = ("bj430047", "bj920047", "bj872925", "bj920926", "bj920925")
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(code) for code in codes])
    for code, first, last in (
        ("bj430047", 0, 4),
        ("bj920047", 5, 11),
        ("bj872925", 0, 4),
        ("bj920926", 5, 11),
        # older than the end of the other: not the same stock
        ("bj920925", 3, 11),
    ):
        land(conn, "kline_daily", [bar(code, DAYS[at], "10") for at in range(first, last + 1)])

    assert dbt(*BUILD).success

    proposed = conn.execute(
        "select subject, trade_date, severity, evidence from qa.qa_code_changes"
    )
    assert proposed.fetchall() == [
        (
            "bj430047",
            DAYS[5],
            "warning",
            f"its bars end {DAYS[4]}, those of bj920047 begin {DAYS[5]}; if it is the same stock, "
            f"add bj430047,bj920047,{DAYS[5]} and the source to seeds/code_changes_known.csv; "
            "if not, add bj430047,none,, and the reason",
        )
    ]
    assert conn.execute("select count(*) from market.code_changes").fetchone() == (6,)
    add_line(conn, "code_changes_known", "bj430047,none,,another stock")
    assert conn.execute("select * from qa.qa_code_changes").fetchall() == []
    dimension = "select current_code, former_code from market.symbol_dim where code = %s"
    assert conn.execute(dimension, ("bj430047",)).fetchone() == ("bj430047", None)


def test_many_codes_that_change_on_a_day_are_one_finding(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    pairs = [(f"bj8300{n:02}", f"bj9200{n:02}") for n in range(10, 16)]
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "security", [security(code) for pair in pairs for code in pair])
    for old, new in pairs:
        land(conn, "kline_daily", [bar(old, DAYS[4], "10"), bar(new, DAYS[5], "10")])

    assert dbt(*BUILD).success

    [finding] = conn.execute("select subject, trade_date, evidence from qa.qa_code_changes")
    assert finding[:2] == ("6 codes", DAYS[5])
    assert "int_code_changes__proposed" in finding[2]
    proposed = "select old_code, new_code, valid_from from quotemill_intermediate."
    rows = conn.execute(f"{proposed}int_code_changes__proposed order by 1".encode())
    assert rows.fetchall() == [(*pair, DAYS[5]) for pair in pairs]
