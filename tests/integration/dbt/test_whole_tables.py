"""Tests that read whole tables: sound rows pass, one that lacks its parent or a value fails."""

from datetime import date

import psycopg
import pytest

from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import MODELS, UPDATE
from tests.integration.dbt.option_days import AAPL, OPTION_DAYS, TUESDAY
from tests.integration.dbt.raw import action, bar, land, minute, security, trading_day, weekdays
from tests.integration.dbt.raw_futures import (
    Harvest,
    contract,
    evening_before,
    land_harvests,
    stored_day,
)
from tests.integration.dbt.raw_futures import land_days as land_futures_days
from tests.integration.dbt.raw_intraday import at, quote, ticks
from tests.integration.dbt.real_market import REAL_MARKET

pytestmark = MODELS

CODE, INDEX = "sh600000", "sh000001"
DAYS = weekdays(date(2024, 6, 3), 6)
QUOTES = {
    "chain_snapshot",
    "chain_close",
    "chain_daily_clean",
    "forwards",
    "int_option_smiles__interpolated",
}


def failed_tests(dbt: Dbt, folder: str, which: str = "tag:whole_tables") -> list[str]:
    """The tests of the tables of a domain that do not pass, by their names."""
    names = ("core", "core/steps", "intermediate", "marts")
    layers = [f"{which},path:models/{name}/{folder}" for name in names]
    outcome = dbt.run("test", "--select", *layers)
    statuses = {n: s for n, s in outcome.statuses.items() if not n.startswith("quotemill-on-run")}
    assert len(statuses) > 10, outcome.error
    return sorted(name for name, status in statuses.items() if status != "pass")


@pytest.mark.long
def test_rows_of_a_code_or_day_that_no_list_has_fail(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "security", [security(CODE), security(INDEX, "index")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "kline_daily", [bar(CODE, day, "10") for day in DAYS])
    land(conn, "corporate_action", [action(CODE, DAYS[2], cash_per10_yuan="1")])
    shares = {"value1": 0, "value2": 0, "value3": 100, "value4": 200}
    event = {"code": CODE, "event_date": DAYS[1], "category": 5, "seq": 1}
    land(conn, "capital_event", [event | shares])
    member = {"sector_kind": "concept", "sector_name": "a", "member": CODE}
    land(conn, "sector_member", [member | {"valid_from": DAYS[0], "valid_to": None}])
    land(conn, "kline_minute", [minute(CODE, at(DAYS[3], "09:31"), "10")])
    land(conn, "tick_trade", ticks(CODE, DAYS[3], [("09:31", "10.20", 30, 0)]))
    land(conn, "quote", [quote(CODE, at(DAYS[3], "10:30"), "10", "10.50")])
    counts = {"up_count": 1, "down_count": 2}
    land(
        conn,
        "index_kline",
        [
            minute(INDEX, at(DAYS[3], clock), "3000") | counts | {"period": period}
            for period, clock in (("day", "15:00"), ("minute1", "09:31"))
        ],
    )
    dbt("snapshot")
    dbt(*UPDATE)
    assert failed_tests(dbt, "market") == []

    conn.execute("delete from market.symbol_dim")
    conn.execute("delete from market.sectors")
    conn.execute("delete from market.trading_calendar where trade_date = %s", (DAYS[3],))

    dated_tables = (
        "daily_basic",
        "index_kline_daily",
        "kline_daily",
        "kline_daily_qfq",
        "kline_minute_raw",
        "tick_daily_summary",
    )
    coded_tables = (
        "adjustment_segments",
        "corporate_actions",
        "daily_basic",
        "index_kline_daily",
        "index_kline_minute",
        "kline_5m",
        "kline_daily",
        "kline_daily_qfq",
        "kline_minute_raw",
        "quote_snapshot",
        "sector_members",
        "share_capital",
        "symbol_names",
        "tick_daily_summary",
    )
    assert failed_tests(dbt, "market") == sorted(
        [
            *(f"relationships_{t}_code__code__ref_symbol_dim_" for t in coded_tables),
            *(
                f"relationships_{t}_trade_date__trade_date__ref_trading_calendar_"
                for t in dated_tables
            ),
            "relationships_sector_members_sector_id__sector_id__ref_sectors_",
        ]
    )


@OPTION_DAYS
def test_option_rows_without_a_contract_or_session_fail(conn: psycopg.Connection, dbt: Dbt) -> None:
    gone = AAPL[0].row["conid"]
    # it had another multiplier before that day
    columns = (
        "symbol, trading_class, expiry, strike, option_right, local_symbol, source_route, "
        "fetched_at, is_final"
    )
    conn.execute(
        f"insert into raw_ib.former_contract (conid, valid_to, multiplier, {columns}) "
        f"select conid, %s, 10, {columns} from raw_ib.contract where conid = %s".encode(),
        (TUESDAY.day, gone),
    )
    prices = dict.fromkeys(("open", "high", "low", "close", "adjusted_close"), 100)
    stock = {"symbol": "AAPL", "trade_date": TUESDAY.day, "volume": 1}
    land(conn, "raw_ib.underlying_daily", [stock | prices | {"adjusted_as_of": TUESDAY.day}])
    assert failed_tests(dbt, "options") == []

    conn.execute("delete from raw_ib.contract where conid = %s", (gone,))
    conn.execute("delete from raw_ib.session where trade_date = %s", (TUESDAY.day,))

    failed = failed_tests(dbt, "options")
    contract_tables = ("chain_daily_clean", "chain_intraday", "contract_terms")
    session_tables = ("chain_daily_clean", "chain_intraday", "underlying_daily")
    assert [test for test in failed if test.startswith("relationships")] == sorted(
        [
            *(f"relationships_{t}_conid__conid__ref_contracts_" for t in contract_tables),
            *(f"relationships_{t}_trade_date__trade_date__ref_sessions_" for t in session_tables),
            "relationships_open_interest_oi_asof_date__trade_date__ref_sessions_",
        ]
    )
    # its slots have no terms
    assert [test.split("_symbol")[0] for test in failed if test.startswith("no_nulls")] == [
        "no_nulls_chain_intraday"
    ]


@pytest.mark.long
def test_futures_rows_without_a_contract_or_a_value_fail(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    name, variety = "SHFE.cu2407", "SHFE.cu"
    land_futures_days(conn, DAYS)
    land(conn, "raw_tq.contract", [contract(name, variety, 2024, 7)])
    opening = (DAYS[0], evening_before(DAYS[0]), name)
    land_harvests(conn, [Harvest(variety, DAYS[0], DAYS[3], [opening])])
    dbt(*UPDATE)
    columns = ("symbol", "underlying_contract", "trading_day", "segment_id", "schedule_hash")
    rows = conn.execute(
        f"select {', '.join(columns)} from futures.main_schedule order by trading_day".encode()
    )
    stored = [stored_day(dict(zip(columns, row, strict=True))) for row in rows]
    land(conn, "raw_tq.symbol_day", stored[:-1])
    absent = {field: stored[-1][field] for field in ("symbol", "contract", "trading_day")}
    why = {"reason": "empty", "attempts": 2, "checked_at": "2024-06-20 12:00+00"}
    land(conn, "raw_tq.no_data_day", [absent | why])
    assert failed_tests(dbt, "futures") == []

    conn.execute("delete from raw_tq.contract")
    conn.execute("update futures.main_daily set is_roll = null where trading_day = %s", (DAYS[1],))

    failed = failed_tests(dbt, "futures")
    assert [test for test in failed if test.startswith("relationships")] == [
        f"relationships_{table}_underlying_contract__contract__ref_known_contracts_"
        for table in ("main_schedule", "no_data_days", "symbol_day_index")
    ]
    assert [test for test in failed if test.startswith("no_nulls")] == [
        "no_nulls_main_daily_symbol__underlying_contract__segment_id__is_roll"
    ]


def test_a_build_tests_no_key_of_a_view_over_all_option_quotes(parsed: Parsed) -> None:
    nodes = parsed.manifest.nodes | parsed.manifest.sources

    def reads_quotes(name: str) -> bool:
        node = nodes[name]
        is_view = getattr(node.config, "materialized", "") == "replaced_view"
        return node.name in QUOTES or (is_view and any(map(reads_quotes, node.depends_on.nodes)))

    tests = [
        node
        for node in nodes.values()
        if node.resource_type == "test"
        and node.test_metadata.name == "unique_combination"
        and nodes[node.attached_node].name not in QUOTES  # these have an index
        and reads_quotes(node.attached_node)
    ]
    assert len(tests) > 5
    untagged = [test for test in tests if "whole_tables" not in test.tags]
    assert [test.name for test in untagged if "rows" not in test.test_metadata.kwargs] == []


@REAL_MARKET
def test_the_tables_of_the_real_market_pass_all_tests(dbt: Dbt) -> None:
    assert failed_tests(dbt, "market", "test_type:data") == []
