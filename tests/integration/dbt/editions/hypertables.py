"""Hypertables as tests of models need them."""

from typing import Any

import psycopg

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import NO_TESTS
from tests.integration.dbt.raw import land, security
from tests.integration.dbt.two_codes import CODES, DAYS, land_days

MINUTES = "raw_tdx.kline_minute"
# what a build of it costs is its hooks
ONE = ("run", "-s", "stg_tq__contract")


def build_day_bars(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Two codes with days of three months, built as far as adjusted days."""
    land(conn, "security", [security(code) for code in CODES])
    land_days(conn, DAYS)
    dbt("build", "-s", "+kline_daily_qfq", *NO_TESTS)


def make_hypertable(conn: psycopg.Connection) -> None:
    """Landed minutes in chunks of one day. No policy runs beside the test."""
    conn.execute("select _timescaledb_functions.stop_background_workers()")
    conn.execute(
        "select create_hypertable('raw_tdx.kline_minute', by_range('bar_end', interval '1 day'), "
        "create_default_indexes => false, if_not_exists => true, migrate_data => true)"
    )
    conn.execute("select set_chunk_time_interval('raw_tdx.kline_minute', interval '1 day')")


def make_plain(conn: psycopg.Connection) -> None:
    """Landed minutes as in a warehouse from before TimescaleDB, without a row."""
    conn.execute("create table raw_tdx.plain (like raw_tdx.kline_minute including all)")
    conn.execute("drop table raw_tdx.kline_minute")
    conn.execute("alter table raw_tdx.plain rename to kline_minute")


def table_settings(conn: psycopg.Connection, edition: str, table: str = MINUTES) -> dict[str, Any]:
    """The settings of a hypertable; a policy as (number of its job, age of chunks)."""
    condition = "where (hypertable_schema || '.' || hypertable_name) = %s"
    [(chunk,)] = conn.execute(
        f"select time_interval::text from timescaledb_information.dimensions {condition}", (table,)
    )
    settings: dict[str, Any] = {"chunk": chunk}
    if edition == "tsl":
        settings["columns"] = conn.execute(
            "select segmentby, orderby from "
            "timescaledb_information.hypertable_columnstore_settings "
            "where hypertable = %s::regclass",
            (table,),
        ).fetchone()
        settings["policies"] = conn.execute(
            "select proc_name, coalesce(config ->> 'compress_after', config ->> 'drop_after') "
            f"from timescaledb_information.jobs {condition} order by 1",
            (table,),
        ).fetchall()
    return settings
