"""Every reader of the change feed takes each change once, and nothing else."""

from datetime import date

import psycopg
import pytest

from loaders.landing import change_feed
from loaders.tdx.tables import KLINE_DAILY, TABLES
from loaders.warehouse.migrate import prepare
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MARTS, MODELS
from tests.integration.dbt.option_days import OPTION_DAYS
from tests.integration.dbt.raw import action, bar, land, security, touch, trading_day, weekdays
from tests.integration.dbt.two_codes import (
    BARS_AGAIN,
    CODES,
    DAYS,
    TABLES_OF_BARS,
    TWO_CODES,
    closes,
    land_days,
    recorded_changes,
)

pytestmark = TWO_CODES
BUILD = ("run", "-s", "kline_daily_qfq")
WEEKS = ("run", "-s", "+kline_weekly_qfq,config.materialized:followed")
FINDINGS = ("run", "-s", "+int_bars__findings,config.materialized:followed")


def reads(conn: psycopg.Connection, *tables: str) -> int:
    """Rows that scans took from tables so far, by PostgreSQL's own count."""
    conn.execute("select pg_stat_force_next_flush()")
    row = conn.execute(
        "select sum(coalesce(s.seq_tup_read, 0) + coalesce((select sum(i.idx_tup_read) "
        "from pg_stat_user_indexes as i where i.relid = s.relid), 0))::bigint "
        "from pg_stat_user_tables as s where s.relid = any(%s::regclass[])",
        (list(tables),),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_old_day_and_today_cost_two_days(conn: psycopg.Connection, dbt: Dbt) -> None:
    land_days(conn, weekdays(date(2020, 1, 1), 1000))
    dbt(*BUILD)
    conn.execute("vacuum analyze")
    conn.execute("truncate ops.changes")
    days = [date(2020, 1, 1), DAYS[29]]
    before = reads(conn, "raw_tdx.kline_daily", "market.kline_daily_qfq")

    land(conn, "kline_daily", [bar(CODES[0], day, "11") for day in days])
    assert dbt(*BUILD).written == {"kline_daily_qfq": 2}

    ranges = ",".join(f"[{day},{date.fromordinal(day.toordinal() + 1)})" for day in days)
    assert recorded_changes(conn, "raw_tdx.kline_daily") == [(CODES[0], f"{{{ranges}}}")]
    assert recorded_changes(conn, "market.kline_daily_qfq") == [(CODES[0], f"{{{ranges}}}")]
    # each twice: by the query, and where it is compared; the statement that wrote; and one bar by
    # the hook that asks whether there are any
    assert reads(conn, "raw_tdx.kline_daily", "market.kline_daily_qfq") - before <= 11


@OPTION_DAYS
def test_a_session_that_changes_costs_what_its_symbols_cost(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    def cost(table: str, *keys: str) -> int:
        before = reads(conn, "raw_ib.chain_snapshot")
        conn.execute(
            "insert into ops.changes (table_name, key, dates) "
            "select %s, k, '{[2026-11-24, 2026-11-25)}' from unnest(%s::text[]) as k",
            (table, list(keys)),
        )
        dbt("run", "-s", "chain_daily_clean")
        return reads(conn, "raw_ib.chain_snapshot") - before

    symbols = cost("raw_ib.chain_snapshot", "AAPL", "BRK B")
    assert symbols > 0
    # the key of each symbol more, found by the index, and the sessions beside it
    assert cost("raw_ib.session", "") <= 3 * symbols + 10


def test_time_limits_and_compiled_plans_of_the_server_stop_no_build(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute(
        f"alter database {conn.info.dbname} set statement_timeout = '10min'; "
        f"alter database {conn.info.dbname} set jit = on; "
        "create function raw_tdx.has_no_limit() returns bool stable language plpgsql as $$ begin "
        "assert current_setting('statement_timeout') = '0'; "
        "assert current_setting('jit') = 'off'; return true; end $$; "
        "create function raw_tdx.refuse_limit() returns trigger language plpgsql as $$ begin "
        "assert raw_tdx.has_no_limit(); return null; end $$; "
        "create trigger refuse_limit before insert on market.kline_daily_qfq "
        "execute function raw_tdx.refuse_limit(); "
        "create trigger refuse_limit before delete on ops.change_cursors "  # at a build's end
        "execute function raw_tdx.refuse_limit(); "
        "do $$ begin execute 'create or replace view market.kline_daily as select * from (' "
        "|| rtrim(pg_get_viewdef('market.kline_daily'::regclass), ';') "
        "|| ') as bars where raw_tdx.has_no_limit()'; end $$".encode()
    )
    land(conn, "kline_daily", [bar(CODES[0], DAYS[29], "11")])

    outcome = dbt("build", "-s", "kline_daily_qfq", "test_type:data,kline_daily")
    assert len(outcome.statuses) > 5


@pytest.mark.long
def test_a_build_with_nothing_new_reads_no_bars(conn: psycopg.Connection, dbt: Dbt) -> None:
    big = ["raw_tdx.kline_daily", *(f"market.{table}" for table in TABLES_OF_BARS)]
    dbt("build", *MARTS)
    before = reads(conn, *big[1:]), reads(conn, big[0])

    outcome = dbt("run", *MARTS)
    assert [n for n in outcome.written.values() if n > 0] == []
    assert reads(conn, *big[1:]) == before[0]
    # the first and last day of each code, the market's newest, and the last forty bars of codes
    # that a change of code would have in common: none of the history
    assert reads(conn, big[0]) - before[1] <= 50 * len(CODES)


@pytest.mark.long
def test_models_built_one_by_one_lose_nothing(conn: psycopg.Connection, dbt: Dbt) -> None:
    land_days(conn, DAYS[30:31], "11")
    assert dbt("run", "-s", "kline_weekly_qfq").written == {"kline_weekly_qfq": 0}
    assert dbt(*BUILD).written == {"kline_daily_qfq": 2}
    land(conn, "kline_daily", [bar(CODES[0], DAYS[3], "12")])
    assert dbt(*BUILD).written == {"kline_daily_qfq": 1}

    assert dbt("run", "-s", "kline_weekly_qfq").written == {"kline_weekly_qfq": 3}
    dbt("run", "-s", "int_bars__findings")
    dbt(*BARS_AGAIN)

    assert closes(conn, DAYS[30], table="kline_monthly_qfq") == [11, 11]
    assert closes(conn, DAYS[4], table="kline_weekly_qfq") == [10, 10]
    high = conn.execute("select max(high) from market.kline_weekly_qfq where code = %s", CODES[:1])
    assert high.fetchone() == (12,)


def test_a_change_in_flight_is_neither_skipped_nor_waited_for(
    warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    with warehouse.connect() as slow:
        slow.execute("select 1")  # so the transaction outlives the landing
        land(slow, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
        land_days(conn, DAYS[30:31], "11")

        dbt(*BUILD)
        assert closes(conn, DAYS[30]) == [11, 11]
        assert closes(conn, DAYS[2]) == [10, 10]
        slow.commit()

    dbt(*BUILD)
    assert closes(conn, DAYS[2]) == [12, 10]


def test_a_touch_reaches_rows_edited_by_hand(conn: psycopg.Connection, dbt: Dbt) -> None:
    conn.execute("update raw_tdx.kline_daily set close = 11000, high = 11000")
    assert dbt(*BUILD).written == {"kline_daily_qfq": 0}

    change_feed.touch(conn, KLINE_DAILY, ["sh600000"], DAYS[20])
    assert dbt(*BUILD).written == {"kline_daily_qfq": 10}
    change_feed.touch(conn, KLINE_DAILY, since=DAYS[19])
    assert dbt(*BUILD).written == {"kline_daily_qfq": 12}
    conn.execute("truncate raw_tdx.kline_daily")
    touch(conn, "kline_daily")
    dbt("run", "-s", *TABLES_OF_BARS)

    for table in TABLES_OF_BARS:
        assert conn.execute(f"select count(*) from market.{table}").fetchone() == (0,), table


def test_a_dump_restored_into_another_cluster_is_read_in_full(
    warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
    conn.execute("update ops.settings set value = 'another' where key = 'cluster'")

    prepare(warehouse, TABLES)

    for table in ("changes", "change_cursors"):
        assert conn.execute(f"select count(*) from ops.{table}").fetchone() == (0,)
    assert dbt(*BUILD).written == {"kline_daily_qfq": 1}


@pytest.mark.long
def test_old_changes_are_merged_and_an_idle_cursor_is_deleted(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("truncate ops.changes")
    land_days(conn, DAYS[30:31], "11")
    land(conn, "kline_daily", [bar(CODES[0], DAYS[2], "12")])
    conn.execute("update ops.changes set changed_at = changed_at - interval '31 days'")
    dbt("run", "-s", "trading_calendar")
    # no model took the bars yet
    assert len(recorded_changes(conn, "raw_tdx.kline_daily")) == 3

    dbt(*BARS_AGAIN)
    assert closes(conn, DAYS[2]) == [12, 10]
    dbt(*BARS_AGAIN)
    assert recorded_changes(conn, "raw_tdx.kline_daily") == [("", "{(,)}")]

    conn.execute("update ops.change_cursors set moved_at = moved_at - interval '91 days'")
    conn.execute("update raw_tdx.kline_daily set close = 13000, high = 13000")  # not in the feed
    dbt("run", "-s", "trading_calendar")
    assert conn.execute("select count(*) from ops.change_cursors").fetchone() == (0,)
    dbt(*BUILD)
    assert closes(conn, DAYS[0]) == [13, 13]


def test_an_event_is_followed_over_the_whole_code(conn: psycopg.Connection, dbt: Dbt) -> None:
    conn.execute("truncate ops.changes")
    land(conn, "corporate_action", [action(CODES[0], DAYS[20], cash_per10_yuan="1")])

    outcome = dbt("run", "-s", "+adjustment_segments,config.materialized:followed", *TABLES_OF_BARS)

    assert outcome.written["kline_daily_qfq"] == 20
    [(code, dates)] = recorded_changes(conn, "market.kline_daily_qfq")
    assert code == CODES[0]
    assert str(dates).startswith(f"{{[{DAYS[0]},")


@MODELS
def test_a_week_ends_for_a_suspended_code_too(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "security", [security(code) for code in CODES])
    land(conn, "trading_day", [trading_day(day) for day in DAYS[:3]])
    land(conn, "trading_day", [trading_day(day, "exchange_calendar") for day in DAYS])
    land(conn, "kline_daily", [bar(code, DAYS[2], "10") for code in CODES])  # a Wednesday

    def final() -> list[tuple[object, ...]]:
        return conn.execute(
            "select code, is_final from market.kline_weekly_qfq where week_start = %s order by 1",
            (DAYS[0],),
        ).fetchall()

    dbt(*WEEKS)
    assert final() == [(CODES[0], False), (CODES[1], False)]

    # the first goes on trading, the second does not
    land(conn, "trading_day", [trading_day(day) for day in DAYS[3:5]])
    land(conn, "kline_daily", [bar(CODES[0], day, "10") for day in DAYS[3:5]])
    assert dbt(*WEEKS).written["kline_weekly_qfq"] == 2
    assert final() == [(CODES[0], True), (CODES[1], True)]


@MODELS
@pytest.mark.long
def test_bars_filled_in_before_a_jump_equal_a_build_from_nothing(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "security", [security(CODES[0])])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    # with no five bars before it a jump is that of a new listing
    prices = {10: "10", 11: "20", 12: "20", 13: "40"}
    land(conn, "kline_daily", [bar(CODES[0], DAYS[n], price) for n, price in prices.items()])
    dbt(*FINDINGS)

    def findings() -> list[tuple[object, ...]]:
        return conn.execute(
            "select trade_date, evidence from quotemill_intermediate.int_bars__findings "
            "where check_name = 'price_jump' order by 1"
        ).fetchall()

    assert findings() == []
    land(conn, "kline_daily", [bar(CODES[0], day, "10") for day in (*DAYS[1:4], *DAYS[7:9])])
    dbt(*FINDINGS)
    day_by_day = findings()
    assert [day for day, _ in day_by_day] == [DAYS[11], DAYS[13]]

    conn.execute("truncate quotemill_intermediate.int_bars__findings")
    dbt("run", "--full-refresh", "-s", "int_bars__findings")
    assert findings() == day_by_day

    # and without them it is one again
    conn.execute("delete from raw_tdx.kline_daily where trade_date < %s", (DAYS[4],))
    touch(conn, "kline_daily", CODES[0])
    dbt(*FINDINGS)
    assert [day for day, _ in findings()] == [DAYS[13]]
