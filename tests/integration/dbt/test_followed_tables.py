"""A change in any table below a model reaches its old rows, or the model is refused."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest

from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.option_days import (
    AAPL,
    BRK_B,
    BUILT,
    FRIDAY,
    OPTION_DAYS,
    TABLES,
    TUESDAY,
    WEDNESDAY,
    tables,
)
from tests.integration.dbt.raw import land, touch
from tests.integration.dbt.raw_options import (
    Session,
    enrichment,
    land_sessions,
)

pytestmark = OPTION_DAYS

THURSDAY = Session(date(2026, 11, 26))


def assert_reached(
    conn: psycopg.Connection, dbt: Dbt, change: Callable[[], object], *flagged: str
) -> None:
    """Build after `change`: `flagged` count rows only then, as in a build from nothing."""
    dbt(*TABLES)
    assert [conn.execute(flag.encode()).fetchone() for flag in flagged] == [(0,)] * len(flagged)

    change()
    dbt(*TABLES)
    reached = tables(conn, BUILT)
    dbt(*TABLES, "--full-refresh")

    assert reached == tables(conn, BUILT)
    for flag in flagged:
        assert conn.execute(flag.encode()).fetchone() != (0,), flag


def count_flags(flag: str, day: date) -> str:
    return (
        "select count(*) from options.chain_daily_clean where symbol = 'AAPL' "
        f"and trade_date = '{day}' and '{flag}' = any(data_quality_flag)"
    )


def test_other_terms_a_later_expiry_and_a_later_session_reach_old_days(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    late = {"captured_at": "2026-11-26 16:00+00"}
    interest = [option.open_interest(WEDNESDAY.day, 9) | late for option in AAPL]
    land(conn, "raw_ib.open_interest", interest)

    def change() -> None:
        land(conn, "raw_ib.contract", [AAPL[0].row | {"multiplier": 10}])
        land(conn, "raw_ib.contract", [BRK_B[0].row | {"expiry": TUESDAY.day}])
        land_sessions(conn, [THURSDAY])

    assert_reached(
        conn,
        dbt,
        change,
        count_flags("adjusted_contract", TUESDAY.day),
        "select count(*) from quotemill_intermediate.int_option_days__counted "
        "where symbol = 'BRK B' and lasting_count < contract_count",
        count_flags("oi_late", WEDNESDAY.day),
    )


def test_a_morning_in_vain_reaches_the_sessions_after_it(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    conn.execute("delete from raw_ib.open_interest where symbol = 'AAPL'")
    touch(conn, "raw_ib.open_interest", "AAPL")
    mornings = [
        enrichment(date(2026, 11, 23), "2026-11-24 12:30+00", "first", "complete"),
        enrichment(TUESDAY.day, "2026-11-25 12:30+00", "first", "failed"),
        enrichment(WEDNESDAY.day, "2026-11-27 12:30+00", "first", "failed"),
    ]
    land(conn, "raw_ib.enrichment", mornings)

    assert_reached(
        conn,
        dbt,
        lambda: land(conn, "raw_ib.enrichment", [mornings[0] | {"status": "failed"}]),
        count_flags("oi_enrichment_failed", WEDNESDAY.day),
    )


def test_an_expected_session_leaves_the_tables_once_a_calendar_drops_it(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    late = {"captured_at": "2026-11-27 13:00+00"}
    interest = [option.open_interest(WEDNESDAY.day, 9) | late for option in AAPL]
    land(conn, "raw_ib.open_interest", interest)
    conn.execute("delete from raw_ib.session where trade_date > %s", (WEDNESDAY.day,))
    expected = [THURSDAY.row | {"is_final": False}, FRIDAY.row | {"is_final": False}]
    land(conn, "raw_ib.session", expected)
    touch(conn, "raw_ib.session")
    dbt(*TABLES)
    [(late_count,)] = conn.execute(count_flags("oi_late", WEDNESDAY.day).encode())
    assert late_count > 0

    land(conn, "raw_ib.session", [FRIDAY.row])  # the load of Friday has no Thursday
    dbt(*TABLES)

    days = conn.execute("select trade_date from options.sessions order by 1 desc limit 2")
    assert days.fetchall() == [(FRIDAY.day,), (WEDNESDAY.day,)]
    assert conn.execute(count_flags("oi_late", WEDNESDAY.day).encode()).fetchone() == (0,)
    reached = tables(conn, BUILT)
    dbt(*TABLES, "--full-refresh")
    assert reached == tables(conn, BUILT)


@pytest.mark.long
def test_another_setting_that_the_query_names_builds_everything(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    def set_range(value: str) -> None:
        conn.execute(
            "insert into ops.settings (key, value) values ('ib_slot_range', %s) "
            "on conflict (key) do update set value = excluded.value",
            (value,),
        )

    set_range("09:30-16:00")
    assert_reached(
        conn,
        dbt,
        lambda: set_range("09:30-10:00"),
        "select count(*) from quotemill_intermediate.int_option_days__counted where slot_count = 2",
    )


def test_a_model_that_does_not_follow_what_it_reads_is_refused(dbt: Dbt, project: Path) -> None:
    model = project / "models/qa/steps/int_ticks__findings.sql"
    followed = model.read_text("utf-8")
    assert ", 'raw_tdx.kline_daily': 'day'" in followed
    model.write_text(followed.replace(", 'raw_tdx.kline_daily': 'day'", ""), "utf-8")

    refused = dbt.fails("run", "-s", "int_ticks__findings")

    assert refused.refuses("int_ticks__findings", "raw_tdx.kline_daily", "meta.follows")


TABLES_READ = """
with recursive read as (
    select 'pg_temp.query'::regclass::oid as oid
    union
    select d.refobjid
    from read as r
    inner join pg_rewrite as w on r.oid = w.ev_class
    inner join pg_depend as d on w.oid = d.objid and d.classid = 'pg_rewrite'::regclass
    where d.refclassid = 'pg_class'::regclass
)
select n.nspname, c.relname
from read as r
inner join pg_class as c on r.oid = c.oid and c.relkind in ('r', 'p')
inner join pg_namespace as n on c.relnamespace = n.oid
"""


@MODELS
def test_models_follow_the_tables_that_their_queries_read(
    conn: psycopg.Connection, dbt: Dbt, parsed: Parsed
) -> None:
    """By PostgreSQL, which sees a table that a macro reads by its name too."""
    dbt("compile", "--select", "config.materialized:followed")
    nodes = [n for n in parsed.manifest.nodes.values() if n.resource_type == "model"]
    seeds = {n.name for n in parsed.manifest.nodes.values() if n.resource_type == "seed"}
    followers = {n.name: n for n in nodes if n.config.meta.get("follows")}
    assert len(followers) > 20
    missing, needless = {}, {}
    for name, node in followers.items():
        query = (parsed.target / "compiled/quotemill" / node.original_file_path).read_text("utf-8")
        conn.execute(f"create temporary view query as {query}".encode())
        read = {
            f"{schema}.{table}" if schema.startswith("raw_") or schema == "ops" else table
            for schema, table in conn.execute(TABLES_READ.encode())
        }
        conn.execute("drop view query")
        read -= {"ops.settings"} | seeds
        follows = set(node.config.meta["follows"])
        missing |= {name: read - follows} if read - follows else {}
        needless |= {name: follows - read} if follows - read else {}

    assert missing == {}
    assert needless == {}
