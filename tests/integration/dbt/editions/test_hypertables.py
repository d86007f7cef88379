"""Hypertables match meta.hypertable after every build, however dbt was called."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sources import landed_tables
from orchestration.timescale.upgrade import convert, declared
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.conftest import NO_TESTS
from tests.integration.dbt.editions.hypertables import MINUTES, ONE, build_day_bars, table_settings
from tests.integration.dbt.raw import land, minute
from tests.integration.dbt.two_codes import CODES, DAYS, closes, oids


def jobs(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select job_id from timescaledb_information.jobs where hypertable_name is not null order "
        "by 1"
    ).fetchall()


def test_every_landed_table_of_many_rows_has_settings(parsed: Parsed) -> None:
    made = {table.qualified: table for table in landed_tables() if table.time}
    wanted = {
        f"{source.schema}.{source.identifier}": source.config.meta["hypertable"]
        for source in parsed.manifest.sources.values()
        if "hypertable" in source.config.meta
    }

    assert {table.qualified for table in landed_tables() if table.numbered} <= made.keys()
    assert {name: (w["time"], w["chunk"], w.get("setting")) for name, w in wanted.items()} == {
        name: (table.time, table.chunk, table.time_setting) for name, table in made.items()
    }
    assert all(w["segment_by"] == made[name].key[0] for name, w in wanted.items())


def test_a_build_applies_the_settings_and_those_that_changed_since(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    wanted: dict[str, Any] = {"chunk": "30 days"}
    if edition == "tsl":
        wanted["columns"] = ("code", "bar_end DESC")
        wanted["policies"] = [("policy_compression", "7 days")]

    dbt(*ONE)
    assert table_settings(conn, edition) == wanted
    if edition == "tsl":
        futures = wanted | {"columns": ("contract", "trading_day DESC,start_at DESC")}
        assert table_settings(conn, edition, "raw_tq.tick_minute") == futures
    before = jobs(conn)
    dbt(*ONE)
    assert jobs(conn) == before

    # as an earlier version had them
    if edition == "tsl":
        conn.execute(f"alter table {MINUTES} set (timescaledb.orderby = 'bar_end')")
        conn.execute(f"call remove_columnstore_policy('{MINUTES}')")
        conn.execute(f"call add_columnstore_policy('{MINUTES}', after => interval '90 days')")
    dbt(*ONE)
    assert table_settings(conn, edition) == wanted


def test_a_span_of_chunks_and_a_retention_policy_set_by_hand_stay(
    edition: str,
    conn: psycopg.Connection,
    dbt: Dbt,
    parsed: Parsed,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dbt.cli.main import dbtRunner

    dbt(*ONE)
    ours = table_settings(conn, edition)
    conn.execute(f"select set_chunk_time_interval('{MINUTES}', interval '3 days')")
    if edition == "tsl":
        conn.execute("select _timescaledb_functions.stop_background_workers()")
        conn.execute(f"select add_retention_policy('{MINUTES}', interval '10 years')")
        ours["policies"].append(("policy_retention", "10 years"))

    as_our_builds = ["--quiet", *ONE, "--project-dir", str(Parsed.PROJECT)]
    manifest = parsed.without_tests(os.environ["DBT_TARGET_PATH"])
    assert dbtRunner(manifest).invoke(as_our_builds).success
    log = capsys.readouterr().out

    assert table_settings(conn, edition) == ours | {"chunk": "3 days"}
    assert f"{MINUTES}: new chunks span 3 days" in log
    assert ("drops days after 10 years" in log) == (edition == "tsl")
    dbt("run-operation", "apply_hypertables")
    assert table_settings(conn, edition) == ours


@pytest.mark.parametrize("edition", ["apache"], indirect=True)
def test_plain_tables_get_the_settings_of_the_yaml(
    edition: str,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    dbt: Dbt,
    quick_builds: None,
    tmp_path: Path,
) -> None:
    settings = settings_at(warehouse.url, tmp_path)
    tables = declared(settings, warehouse)
    convert(settings, warehouse, tables, lambda text: None, to_plain=True)
    assert [table.qualified for table in tables if table.qualified == MINUTES] == [MINUTES]
    conn.execute(
        f"insert into {MINUTES} (code, bar_end, trade_date, source_label, open, high, low, close, "
        "volume, route_no, file_no, fetched_at, is_final) select 'sh600000', timestamptz "
        "'2024-01-02' "
        "+ i * interval '1 day', date '2024-01-02' + i, '09:31', 1, 1, 1, 1, 1, 1, 1, now(), true "
        "from generate_series(0, 99) as i"
    )
    done = convert(settings, warehouse, tables, lambda text: None)
    assert MINUTES in [table.name for table in done.tables]
    dbt(*ONE)
    assert table_settings(conn, edition) == {"chunk": "30 days"}
    assert conn.execute(f"select count(*) from {MINUTES}").fetchone() == (100,)


@pytest.mark.long
@pytest.mark.parametrize("edition", ["apache"], indirect=True)
def test_a_model_with_settings_is_a_hypertable_from_the_start(
    edition: str,
    conn: psycopg.Connection,
    dbt: Dbt,
    project: Path,
) -> None:
    model = project / "models/marts/market/kline_daily_qfq.sql"
    changed = model.read_text("utf-8").replace("'1 year'", "'1 month'")
    model.write_text(changed.replace("'setting': 'timescale_daily',", ""), "utf-8")
    table = "market.kline_daily_qfq"
    chunks = "select count(*) from show_chunks(%s)"

    build_day_bars(conn, dbt)

    assert table_settings(conn, "apache", table) == {"chunk": "30 days"}
    assert conn.execute(chunks.encode(), (table,)).fetchone() == (3,)
    indexes = "select count(*) from pg_indexes where tablename = 'kline_daily_qfq'"
    assert conn.execute(indexes.encode()).fetchone() == (2,)
    before = oids(conn, table)
    conn.execute(f"update {table} set close = 1 where trade_date = %s".encode(), (DAYS[0],))
    assert dbt("run", "-s", "kline_daily_qfq", "--full-refresh").written == {"kline_daily_qfq": 2}
    assert oids(conn, table) == before
    assert conn.execute(chunks.encode(), (table,)).fetchone() == (3,)
    assert closes(conn, DAYS[0]) == [10, 10]


@pytest.mark.parametrize("edition", ["apache"], indirect=True)
def test_minutes_of_one_day_are_read_from_their_chunk_only(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    ends = [datetime(2024, month, 5, 2, tzinfo=UTC) for month in (1, 3, 5)]
    land(conn, "kline_minute", [minute(code, end, "10") for code in CODES for end in ends])
    dbt("build", "-s", "+kline_5m", *NO_TESTS)
    # the oldest one sets the first day of the bars
    [(middle,)] = conn.execute(f"select (array_agg(c))[2]::text from show_chunks('{MINUTES}') as c")
    conn.execute(f'alter database "{conn.info.dbname}" set lock_timeout = 1000'.encode())

    land(conn, "kline_minute", [minute(code, ends[2], "11") for code in CODES])
    with warehouse.connect() as holder:
        holder.execute(f"lock table {middle} in access exclusive mode".encode())
        outcome = dbt("run", "-s", "kline_5m")

    assert outcome.written == {"kline_5m": 2}, outcome.error


@pytest.mark.parametrize("edition", ["none"], indirect=True)
@pytest.mark.parametrize(
    ("extensions", "says"),
    [
        (
            {"timescaledb": "2.17.2"},
            "TimescaleDB 2.17.2. The oldest supported version is 2.18.0",
        ),
        ({"citus": "13.2-1", "timescaledb": "2.29.2"}, "both Citus and TimescaleDB"),
    ],
)
def test_dbt_refuses_what_it_cannot_build_on_before_anything_is_built(
    edition: str, conn: psycopg.Connection, dbt: Dbt, extensions: dict[str, str], says: str
) -> None:
    """Stand-ins for their entries among the extensions."""
    conn.execute("set allow_system_table_mods = on")
    for oid, (name, version) in enumerate(extensions.items(), 99998):
        conn.execute(
            "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, "
            "extversion) values (%s, %s, 10, 'public'::regnamespace, false, %s)",
            (oid, name, version),
        )

    outcome = dbt.fails(*ONE)
    assert says in outcome.error
