"""The expiration of an index's options, from the simulated gateway to the verdicts of its days."""

from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.ib.bench import bench

# all is built; the test loads rows and builds the tables
pytestmark = MODELS
TABLES = ("run", "-s", "forwards", "chain_daily_clean", "int_option_days__counted")
LAST, EXPIRES = date(2026, 11, 19), date(2026, 11, 20)


@pytest.mark.soak
def test_a_class_that_settled_at_the_open_is_missed_in_no_slot(
    conn: psycopg.Connection, warehouse: Warehouse, dbt: Dbt, tmp_path: Path
) -> None:
    def rows(query: str) -> list[tuple[Any, ...]]:
        return conn.execute(query.encode()).fetchall()

    universe = tmp_path / "universe.csv"
    universe.write_text("symbol,weight,group,enabled,sec_type\nSPX,9,A,true,IND\n")
    with bench(
        warehouse.url, tmp_path / "home", symbols=("SPX",), universe=universe, stage=0
    ) as made:
        for day in (LAST, EXPIRES):
            assert made.at(f"{day}T09:25:00").load("discover").exit_code == 0
            assert made.at(f"{day}T09:29:00").load("snapshot", run_day="true").exit_code == 0
            assert made.at(f"{day}T17:00:00").load("close").exit_code == 0
        assert made.at(f"{EXPIRES}T18:15:00").load("daily").exit_code == 0
    dbt(*TABLES)
    conn.execute(f"set quotemill.as_of = '{EXPIRES} 23:30+00'".encode())

    days = rows(
        "select trade_date, slot_count, covered_slot_count, coverage_verdict, given_up_count, "
        "error_count from qa.qa_option_day order by 1"
    )
    assert days == [(day, 14, 14, "pass", 0, 0) for day in (LAST, EXPIRES)]
    classes = (
        "select trade_date, string_agg(distinct trading_class, ' ' order by trading_class) "
        "from options.chain_daily_clean where expiry < '2026-12-01' group by 1 order by 1"
    )
    assert rows(classes) == [(LAST, "SPX SPXW"), (EXPIRES, "SPXW")]
    # the level of the index stands for its price
    assert rows(
        "select bool_and(underlying_price = und_last), bool_and(underlying_price > 0) "
        "from options.chain_intraday"
    ) == [(True, True)]
    # on its last day an option has the night before it: its own volatility comes back
    [(compared, wrong)] = rows(
        "select count(iv_from_mid), count(*) filter (where 'iv_mismatch' = any(data_quality_flag)) "
        f"from options.chain_daily_clean where trade_date = '{LAST}' and trading_class = 'SPX' "
        f"and expiry = '{LAST}'"
    )
    assert compared > 0
    assert wrong == 0
    # a contract has one row at a moment, of a quote that had landed by then
    columns = "conid, sample_time, captured_at, bid, ask"
    assert rows(
        "select count(*) > 100, count(*) = count(distinct (b.conid, quote_datetime)), "
        "count(*) = count(k.conid) from options.backtest as b left join ("
        f"select {columns} from raw_ib.chain_snapshot union all "
        f"select {columns} from raw_ib.chain_close) as k on b.conid = k.conid "
        "and b.sample_time = k.sample_time and b.captured_at = k.captured_at "
        "and (b.bid, b.ask) is not distinct from (k.bid, k.ask) "
        "and k.captured_at <= b.quote_datetime"
    ) == [(True, True, True)]
    # nobody requested open interest, and two strikes an expiration move with the index
    findings = {name for (name,) in rows("select check_name from qa.qa_options")}
    assert findings == {"oi_completeness", "contracts_vanished"}
