"""Client's folders in which a stock has a file under each of its codes."""

import re

import psycopg

from tests.conftest import shared_folder
from tests.e2e.conftest import Build
from tests.e2e.test_unusual_days import ERRORS

CASE = "06-beijing-switch"
SWITCH = (("2025-09-30", 2, 0), ("2025-10-09", 2, 0))


def counts(market: psycopg.Connection, exchange: str) -> tuple[tuple[object, ...], ...]:
    return tuple(
        market.execute(
            "select trade_date::text, stock_count, suspended_count "
            "from market.market_stats_snapshot where exchange = %s "
            "and trade_date in ('2025-09-30', '2025-10-09') order by 1",
            (exchange,),
        )
    )


def test_a_stock_of_beijing_counts_once_before_and_after_its_switch(build: Build) -> None:
    market = build(shared_folder("cases") / "tdx" / CASE)
    assert market.execute(ERRORS).fetchall() == []
    assert counts(market, "bj") == SWITCH
    named = "select severity, evidence from qa.findings where evidence like '%%bj832000%%'"
    [(severity, evidence)] = market.execute(named)
    assert severity == "info"
    assert re.match("bj430047 .* bj920047, bj832000 .* bj920000: ", evidence)
    joined = "select code, count(*) from market.kline_daily_joined group by 1 order by 1"
    assert market.execute(joined).fetchall() == [("bj920000", 701), ("bj920047", 701)]


def test_events_under_the_new_code_are_those_of_the_old_one(build: Build) -> None:
    market = build(shared_folder("cases") / "tdx" / "31-events-under-the-new-code")
    figures = market.execute(
        "select round(100 * r.ret_1d, 3)::text, l.previous_close::text, l.up_limit::text, "
        "l.down_limit::text from market.daily_returns as r "
        "inner join market.stock_limits as l using (code, trade_date) "
        "where code = 'sz000022' and trade_date = '2018-05-23'"
    )
    assert figures.fetchall() == [("0.411", "24.090", "26.500", "21.680")]
    breadth = market.execute(
        "select up_count, down_count from market.market_stats_snapshot "
        "where exchange = 'sz' and trade_date = '2018-05-23'"
    )
    assert breadth.fetchall() == [(1, 0)]
    for table in ("kline_daily_qfq", "kline_daily_joined_qfq"):
        closes = f"select close::text from market.{table} where trade_date = '2018-05-22'"
        assert market.execute(closes.encode()).fetchall() == [("23.980",)], table
