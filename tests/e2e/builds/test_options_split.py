"""A split within the window, from the simulated gateway to the day in today's shares."""

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg

from loaders.sandbox.ib.splits import Split
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import add_line, land
from tests.integration.dbt.raw_options import (
    Option,
    Session,
    land_sessions,
)
from tests.integration.ib.bench import bench

# all is built; the test loads rows and builds the tables
pytestmark = MODELS
TABLES = ("run", "-s", "forwards", "chain_daily_clean", "int_option_days__counted")
BEFORE, EX = date(2026, 11, 19), date(2026, 11, 20)
NOT_FORMER = ("underlying_conid", "exchange", "first_seen_date")
FINDINGS = (
    "select check_name from qa.qa_options "
    "where check_name in ('overnight_move', 'contracts_vanished', 'split_mismatch') order by 1"
)


def test_a_split_leaves_a_chain_that_can_be_compared_across_it(
    conn: psycopg.Connection, warehouse: Warehouse, dbt: Dbt, tmp_path: Path
) -> None:
    def rows(query: str) -> list[tuple[Any, ...]]:
        return conn.execute(query.encode()).fetchall()

    window: dict[str, Any] = {"symbols": ("AAPL",), "splits": [Split("AAPL", EX, 4)]}
    few = {"stage": 0, "max_strikes_per_expiry": 4}
    with bench(warehouse.url, tmp_path / "home", **window, **few) as made:
        for day in (BEFORE, EX):
            for clock, task in (("09:25:00", "discover"), ("10:00:05", "snapshot")):
                options = {"slot": "now"} if task == "snapshot" else {}
                assert made.at(f"{day}T{clock}").load(task, **options).exit_code == 0
            assert made.at(f"{day}T17:00:00").load("close").exit_code == 0
        assert made.at(f"{EX}T18:15:00").load("daily").exit_code == 0
    dbt(*TABLES)
    # one close in other shares is no split yet: the day before it has the same ratio
    [(counted,)] = rows(
        "select format('%I.%I', table_schema, table_name) from information_schema.tables "
        "where table_name = 'int_option_days__counted'"
    )
    conn.execute(
        f"insert into {counted} select (jsonb_populate_record(c, jsonb_build_object("
        "'trade_date', b.trade_date, 'underlying_close', 4 * b.close, 'lasting_count', 0))).* "
        f"from {counted} as c inner join raw_ib.underlying_daily as b on c.symbol = b.symbol "
        f"where c.trade_date = '{BEFORE}' and b.trade_date = '{BEFORE - timedelta(1)}'".encode()
    )
    conn.execute(f"set quotemill.as_of = '{EX} 23:30+00'".encode())

    # unexplained, it is a price that fell by three quarters, contracts that are gone, and a close
    # in other shares than the gateway's
    unexplained = ["contracts_vanished", "overnight_move", "split_mismatch"]
    assert rows(FINDINGS) == [(name,) for name in unexplained]
    [(evidence,)] = rows("select evidence from qa.qa_options where check_name = 'split_mismatch'")
    assert re.search("close .* 4 times ", evidence)
    # but the bars say how many
    factors = (
        "select trade_date, split_factor, split_source from options.chain_daily_adjusted "
        "group by 1, 2, 3 order by 1"
    )
    assert rows(factors) == [(BEFORE, 4, "day_bars"), (EX, 1, None)]
    add_line(conn, "us_corporate_actions", f"AAPL,{EX},split,4,1,test")
    assert rows(FINDINGS) == []

    assert rows(factors) == [(BEFORE, 4, "us_corporate_actions"), (EX, 1, None)]
    history = (
        "select bool_and(a.strike_adj = c.strike / 4 "
        "and a.mid_adj * c.strike = c.mid * a.strike_adj "
        "and a.volume_adj = c.volume_contracts * 4 and a.moneyness = c.moneyness), "
        "bool_or(not a.is_comparable) filter (where c.is_adjusted), "
        "bool_and(a.is_comparable) filter (where not c.is_adjusted) "
        "from options.chain_daily_adjusted as a "
        "join options.chain_daily_clean as c using (symbol, trade_date, conid) "
        f"where a.trade_date = '{BEFORE}' and (a.is_comparable or c.is_adjusted)"
    )
    assert rows(history) == [(True, True, True)]
    # each goes on as the contract of the new terms: the same strike, a price of the same size
    went_on = rows(
        "select o.strike_adj = n.strike_adj, o.expiry = n.expiry, o.option_right = n.option_right, "
        "o.conid <> n.conid, abs(o.underlying_close_adj / n.underlying_close_adj - 1) < 0.1, "
        "abs(o.iv - n.iv) < 0.1 "
        "from options.chain_daily_adjusted as o "
        "join options.chain_daily_adjusted as n on o.successor_conid = n.conid "
        f"where o.trade_date = '{BEFORE}' and n.trade_date = '{EX}'"
    )
    assert len(went_on) >= 8
    assert set(went_on) == {(True,) * 6}


def test_a_contract_that_keeps_its_number_keeps_the_terms_of_its_days(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    options = Option.chain("AAPL", 100, [date(2026, 12, 18)], [400])
    land_sessions(conn, [Session(BEFORE), Session(EX)])
    Session(BEFORE).land(conn, options, 400)
    views = "options.chain_intraday", "options.chain_daily_clean"
    dbt(*TABLES)

    def history() -> list[list[str]]:
        query = "select t::text from {} as t where trade_date = %s order by 1"
        return [
            [row for (row,) in conn.execute(query.format(view).encode(), (BEFORE,))]
            for view in views
        ]

    stored = history()
    # 4 for 1: strikes of 100 under the old numbers
    after = [replace(option, strike=100) for option in options]
    former = [
        {name: value for name, value in option.row.items() if name not in NOT_FORMER}
        | {"valid_to": EX}
        for option in options
    ]
    land(conn, "raw_ib.former_contract", former)
    conn.execute("delete from raw_ib.contract")
    Session(EX).land(conn, after, 100)
    dbt(*TABLES)
    assert history() == stored
    dbt(*TABLES, "--full-refresh")
    assert history() == stored
    for view in views:
        strikes = f"select trade_date, min(strike), max(strike) from {view} group by 1 order by 1"
        assert conn.execute(strikes.encode()).fetchall() == [(BEFORE, 400, 400), (EX, 100, 100)]
    terms = "select valid_to, strike from options.contract_terms where conid = 100 order by 1"
    assert conn.execute(terms.encode()).fetchall() == [(EX, 400), (None, 100)]

    # terms that are corrected later reach the days that they held on
    land(conn, "raw_ib.former_contract", [row | {"strike": 404} for row in former])
    dbt(*TABLES)
    strikes = "select trade_date, min(strike) from options.chain_daily_clean group by 1 order by 1"
    assert conn.execute(strikes).fetchall() == [(BEFORE, 404), (EX, 100)]
