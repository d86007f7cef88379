"""A changed model, macro or column reaches old rows in place, or the build refuses."""

from pathlib import Path

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.two_codes import (
    BARS,
    BARS_AGAIN,
    DAYS,
    TABLES_OF_BARS,
    TWO_CODES,
    closes,
    oids,
)

pytestmark = TWO_CODES
BUILD = ("run", "-s", "kline_daily_qfq")


def test_a_changed_view_reaches_old_rows_of_a_table_built_alone(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    row = conn.execute("select pg_get_viewdef('quotemill_staging.stg_tdx__kline_daily')").fetchone()
    assert row is not None
    # as after a new release of the staging view
    other = row[0].replace("close AS close_li", "close * 2 AS close_li")
    assert other != row[0]
    conn.execute(f"create or replace view quotemill_staging.stg_tdx__kline_daily as {other}")
    before = oids(conn, "market.kline_daily_qfq")

    assert dbt(*BUILD).written == {"kline_daily_qfq": 60}

    assert closes(conn, DAYS[0]) == [20, 20]
    assert oids(conn, "market.kline_daily_qfq") == before
    assert dbt(*BUILD).written == {"kline_daily_qfq": 0}


def test_a_build_with_nothing_new_replaces_no_view(conn: psycopg.Connection, dbt: Dbt) -> None:
    views = ("run", "-s", "+kline_weekly_qfq,config.materialized:replaced_view")
    conn.execute("create table public.made (name text)")
    conn.execute(
        "create function public.note_view() returns event_trigger language plpgsql as $$ begin "
        "insert into public.made select object_identity from pg_event_trigger_ddl_commands() "
        "where schema_name <> 'pg_temp'; end $$"
    )
    conn.execute(
        "create event trigger note_views on ddl_command_end "
        "when tag in ('CREATE VIEW') execute function public.note_view()"
    )
    conn.commit()

    assert len(dbt(*views).written) > 10
    made = conn.execute("select distinct name from public.made").fetchall()
    conn.execute("drop event trigger note_views")

    assert made == []


@MODELS
def test_a_view_follows_a_column_that_a_view_below_it_gains(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    above, below = "int_reconcile__fields", "int_reconcile__adjusted"
    query = conn.execute(f"select pg_get_viewdef('quotemill_intermediate.{above}')").fetchone()
    assert query is not None
    row = conn.execute(f"select pg_get_viewdef('quotemill_intermediate.{below}')").fetchone()
    assert row is not None
    widened = f"select q.*, 1 as added from ({row[0].rstrip().rstrip(';')}) as q"
    conn.execute(f"create or replace view quotemill_intermediate.{below} as {widened}".encode())

    dbt.fails("run", "-s", above)
    # with what reads which known to dbt from the start, as views are dropped with one below
    dbt("run", "-s", f"{below}+", "--populate-cache")
    assert (
        conn.execute(f"select pg_get_viewdef('quotemill_intermediate.{above}')").fetchone() == query
    )


@pytest.mark.long
def test_a_changed_macro_reaches_old_rows_at_the_next_build(
    conn: psycopg.Connection, dbt: Dbt, project: Path
) -> None:
    macro = project.parent / "macros" / "rollup" / "folded_bars.sql"
    macro.write_text(macro.read_text("utf-8").replace("max(high)", "1 + max(high)"), "utf-8")
    highs = "select code, week_start, high + %s from market.kline_weekly_qfq order by 1, 2"
    higher = conn.execute(highs, (1,)).fetchall()

    outcome = dbt(*BARS_AGAIN)

    assert outcome.written["kline_weekly_qfq"] == len(higher)
    assert conn.execute(highs, (0,)).fetchall() == higher


def test_a_seed_with_a_new_column_is_loaded_whole(conn: psycopg.Connection, dbt: Dbt) -> None:
    table = "quotemill_intermediate.us_corporate_actions"
    query = f"select symbol, source from {table} order by 1, 2".encode()
    rows = conn.execute(query).fetchall()
    conn.execute(f"alter table {table} drop column source cascade".encode())

    for arguments in ((), ("--full-refresh",)):
        dbt("seed", "-s", "us_corporate_actions", *arguments)
        assert conn.execute(query).fetchall() == rows


def test_full_refresh_repairs_in_place_and_drops_nothing(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("create schema research")
    conn.execute("create view research.mine as select * from market.kline_daily_qfq")
    conn.execute("create view research.days as select * from market.trading_calendar")
    conn.execute("update market.kline_daily_qfq set close = 1 where trade_date = %s", (DAYS[0],))
    conn.execute("delete from market.kline_daily_qfq where trade_date = %s", (DAYS[1],))
    conn.execute(
        "insert into market.kline_daily_qfq select 'sh1', trade_date, open, high, low, close, "
        "volume_shares, amount_cny, is_final from market.kline_daily_qfq "
        "where trade_date = %s and code = 'sh600000'",
        (DAYS[2],),
    )
    relations = [f"market.{t}" for t in (*TABLES_OF_BARS, "adjustment_segments", "changes")]
    before = oids(conn, *relations)

    alone = dbt(*BUILD, "--full-refresh")

    assert alone.written == {"kline_daily_qfq": 4}
    assert conn.execute("select count(*), min(close) from research.mine").fetchone() == (60, 10)
    everything = dbt("run", "--full-refresh", *BARS)
    assert [n for n in everything.written.values() if n > 0] == []
    assert oids(conn, *relations) == before
    assert conn.execute("select count(*) from research.days").fetchone() == (30,)


def test_a_new_column_is_added_and_filled(conn: psycopg.Connection, dbt: Dbt) -> None:
    conn.execute("alter table market.kline_daily_qfq drop column amount_cny")
    before = oids(conn, "market.kline_daily_qfq")

    dbt(*BUILD, "--full-refresh")

    filled = conn.execute("select count(amount_cny) from market.kline_daily_qfq").fetchone()
    assert filled == (60,)
    assert oids(conn, "market.kline_daily_qfq") == before


def test_a_column_that_goes_leaves_the_rows_and_names_its_readers(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    table = "market.kline_daily_qfq"
    conn.execute(f"alter table {table} add column gone integer default 7".encode())
    conn.execute("create schema research")
    conn.execute(f"create view research.mine as select gone from {table}".encode())
    conn.execute(f"create view research.closes as select close from {table}".encode())
    before = oids(conn, table)

    refused = dbt.fails(*BUILD)

    assert refused.refuses(table, "loses gone", "research.mine")
    assert "research.closes" not in refused.error
    conn.execute("drop view research.mine")
    dbt(*BUILD)
    assert oids(conn, table) == before
    columns = "select attname from pg_attribute where attrelid = %s::regclass and attname = 'gone'"
    assert conn.execute(columns, (table,)).fetchall() == []
    assert conn.execute("select count(*) from research.closes").fetchone() == (60,)


def test_a_table_that_does_not_fit_names_its_readers(conn: psycopg.Connection, dbt: Dbt) -> None:
    conn.execute("create schema research")
    conn.execute("alter table market.kline_daily_qfq alter column close type double precision")
    conn.execute("create view research.mine as select * from market.kline_daily_qfq")

    refused = dbt.fails(*BUILD)

    assert refused.refuses(
        "market.kline_daily_qfq", "column close", "research.mine", "--full-refresh"
    )
    assert conn.execute("select count(*) from research.mine").fetchone() == (60,)
    conn.execute("drop view research.mine")
    dbt(*BUILD)
    assert closes(conn, DAYS[0]) == [10, 10]


def test_what_an_earlier_version_built_is_dropped_unless_it_is_read(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    schema, removed = "quotemill_intermediate", "int_reconcile__days"
    conn.execute(f"create view {schema}.{removed} as select 1 as n".encode())
    conn.execute(f"insert into ops.managed_relation values ('{schema}', '{removed}')".encode())
    # of another market schema, and one that no build of ours made
    conn.execute("create schema other")
    conn.execute(f"create table other.{removed} ()".encode())
    conn.execute(f"insert into ops.managed_relation values ('other', '{removed}')".encode())
    conn.execute(f"create table market.{removed} ()".encode())
    conn.execute(f"create view public.mine as select * from {schema}.{removed}".encode())
    left = "select relnamespace::regnamespace::text from pg_class where relname = %s order by 1"

    dbt("run", "-s", "trading_calendar")
    everywhere = [("market",), ("other",), (schema,)]
    assert conn.execute(left, (removed,)).fetchall() == everywhere

    conn.execute("drop view public.mine")
    dbt("run", "-s", "trading_calendar")
    assert conn.execute(left, (removed,)).fetchall() == everywhere[:2]
    records = "select schema_name from ops.managed_relation where relation_name = %s"
    assert conn.execute(records, (removed,)).fetchall() == [("other",)]
