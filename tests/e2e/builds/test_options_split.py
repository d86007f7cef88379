"""A split within the window, from the simulated gateway to the day in today's shares."""

from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sandbox.ib.splits import Split
from loaders.warehouse.postgres import Warehouse
from tests.integration.dbt.conftest import Dbt
from tests.integration.ib.bench import bench

# all is built; the test loads rows and builds the tables
pytestmark = pytest.mark.usefixtures("models")
TABLES = ("run", "-s", "chain_daily_clean", "int_option_days__counted")
BEFORE, EX = date(2026, 11, 19), date(2026, 11, 20)
FINDINGS = (
    "select check_name from qa.qa_options "
    "where check_name in ('overnight_move', 'contracts_vanished') order by 1"
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
    assert dbt(*TABLES).success
    conn.execute(f"set quotemill.as_of = '{EX} 23:30+00'".encode())

    # unexplained, it is a price that fell by three quarters, and contracts that are gone
    assert rows(FINDINGS) == [("contracts_vanished",), ("overnight_move",)]
    assert rows("select distinct split_factor from options.chain_daily_adjusted") == [(1,)]
    [(schema,)] = rows(
        "select table_schema from information_schema.tables "
        "where table_name = 'us_corporate_actions'"
    )
    conn.execute(
        f"insert into {schema}.us_corporate_actions "
        "(symbol, ex_date, type, ratio_num, ratio_den, source) "
        f"values ('AAPL', '{EX}', 'split', 4, 1, 'test')".encode()
    )
    assert rows(FINDINGS) == []

    factors = (
        "select trade_date, split_factor from options.chain_daily_adjusted group by 1, 2 order by 1"
    )
    assert rows(factors) == [(BEFORE, 4), (EX, 1)]
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
