"""Hypertables as tests of models need them."""

import psycopg


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
