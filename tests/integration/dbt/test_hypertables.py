"""Hypertables match meta.hypertable after every build, however dbt was called."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sources import landed_tables
from orchestration.archive.old_days import (
    OldDays,
    RetainedTable,
    drop_old_days,
    list_retained_tables,
)
from orchestration.timescale.upgrade import convert, declared
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at
from tests.integration.dbt.checkout import build_from, own_checkout
from tests.integration.dbt.conftest import NO_TESTS, PROJECT, Dbt
from tests.integration.dbt.hypertables import make_plain
from tests.integration.dbt.raw import land, minute, security, touch
from tests.integration.dbt.two_codes import CODES, DAYS, closes, land_days, oids

MINUTES = "raw_tdx.kline_minute"
# what a build of it costs is its hooks
ONE = ("run", "-s", "stg_tq__contract")
BARS = ("run", "-s", "+kline_15m", "kline_30m")


@pytest.fixture(params=["apache", "tsl"])
def edition(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


def jobs(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select job_id from timescaledb_information.jobs where hypertable_name is not null order "
        "by 1"
    ).fetchall()


def test_every_landed_table_of_many_rows_has_settings(parsed_project: tuple[Path, Any]) -> None:
    made = {table.qualified: table for table in landed_tables() if table.time}
    wanted = {
        f"{source.schema}.{source.identifier}": source.config.meta["hypertable"]
        for source in parsed_project[1].result.sources.values()
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

    assert dbt(*ONE).success
    assert table_settings(conn, edition) == wanted
    if edition == "tsl":
        futures = wanted | {"columns": ("contract", "trading_day DESC,start_at DESC")}
        assert table_settings(conn, edition, "raw_tq.tick_minute") == futures
    before = jobs(conn)
    assert dbt(*ONE).success
    assert jobs(conn) == before

    # as an earlier version had them
    if edition == "tsl":
        conn.execute(f"alter table {MINUTES} set (timescaledb.orderby = 'bar_end')")
        conn.execute(f"call remove_columnstore_policy('{MINUTES}')")
        conn.execute(f"call add_columnstore_policy('{MINUTES}', after => interval '90 days')")
    assert dbt(*ONE).success
    assert table_settings(conn, edition) == wanted


def test_a_span_of_chunks_and_a_retention_policy_set_by_hand_stay(
    edition: str,
    conn: psycopg.Connection,
    dbt: Dbt,
    parsed_project: tuple[Path, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from dbt.cli.main import dbtRunner

    assert dbt(*ONE).success
    ours = table_settings(conn, edition)
    conn.execute(f"select set_chunk_time_interval('{MINUTES}', interval '3 days')")
    if edition == "tsl":
        conn.execute("select _timescaledb_functions.stop_background_workers()")
        conn.execute(f"select add_retention_policy('{MINUTES}', interval '10 years')")
        ours["policies"].append(("policy_retention", "10 years"))

    as_our_builds = ["--quiet", *ONE, "--project-dir", str(PROJECT)]
    assert dbtRunner(parsed_project[1].result).invoke(as_our_builds).success
    log = capsys.readouterr().out

    assert table_settings(conn, edition) == ours | {"chunk": "3 days"}
    assert f"{MINUTES}: new chunks span 3 days" in log
    assert ("drops days after 10 years" in log) == (edition == "tsl")
    assert dbt("run-operation", "apply_hypertables").success
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
    assert dbt(*ONE).success
    assert table_settings(conn, edition) == {"chunk": "30 days"}
    assert conn.execute(f"select count(*) from {MINUTES}").fetchone() == (100,)


@pytest.mark.long
@pytest.mark.parametrize("edition", ["apache"], indirect=True)
def test_a_model_with_settings_is_a_hypertable_from_the_start(
    edition: str,
    conn: psycopg.Connection,
    dbt: Dbt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = own_checkout(tmp_path / "checkout")
    build_from(monkeypatch, project, tmp_path / "target")
    model = project / "models/marts/market/kline_daily_qfq.sql"
    changed = model.read_text("utf-8").replace("'1 year'", "'1 month'")
    model.write_text(changed.replace("'setting': 'timescale_daily',", ""), "utf-8")
    table = "market.kline_daily_qfq"
    land(conn, "security", [security(code) for code in CODES])
    land_days(conn, DAYS)  # of three months
    chunks = "select count(*) from show_chunks(%s)"

    outcome = dbt("build", "-s", "+kline_daily_qfq", *NO_TESTS)

    assert outcome.success, outcome.error
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


@pytest.fixture(scope="session")
def retaining_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with one setting more: minutes are dropped after a year."""
    project = own_checkout(tmp_path_factory.mktemp("retaining"))
    sources = project / "models/staging/tdx/_tdx__sources.yml"
    text = sources.read_text("utf-8")
    wanted = text.replace("order_by: bar_end desc,", "order_by: bar_end desc, retain: 1 year,")
    assert wanted != text
    sources.write_text(wanted, "utf-8")
    return project


@pytest.fixture
def retained(
    dbt: Dbt,
    warehouse: Warehouse,
    retaining_project: Path,
    manifests: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Minutes are dropped after a year. Parsed once for each name of a database."""
    target = retaining_project.parent / f"target_{warehouse.params()['dbname']}"
    build_from(monkeypatch, retaining_project, target)
    if str(target) not in manifests:
        from dbt.cli.main import dbtRunner

        parsed = dbtRunner().invoke(["--quiet", "parse", "--project-dir", str(retaining_project)])
        manifests[str(target)] = parsed.result


NEW = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
OLD = NEW.replace(year=NEW.year - 1, day=1) - timedelta(days=31)


BUILT = tuple(f"market.kline_{minutes}m" for minutes in (15, 30, 5))
RETAINED = RetainedTable(MINUTES, "trade_date", "1 year", ("market.kline_5m",), BUILT)


def drop_minutes(warehouse: Warehouse, *, dry_run: bool = False) -> list[OldDays]:
    return drop_old_days(warehouse, [RETAINED], datetime.now(UTC), dry_run=dry_run)


def stored(conn: psycopg.Connection, table: str = MINUTES) -> int:
    [(count,)] = conn.execute(f"select count(*) from {table}".encode())
    return int(count)


@pytest.mark.parametrize(
    ("edition", "is_plain"),
    [("none", False), ("apache", False), ("apache", True), ("tsl", False), ("tsl", True)],
    indirect=["edition"],
)
def test_old_days_are_dropped_once_rolled_up_and_their_bars_stay(
    edition: str,
    is_plain: bool,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    dbt: Dbt,
    retained: None,
) -> None:
    if is_plain:
        make_plain(conn)
    if edition == "tsl":
        conn.execute("select _timescaledb_functions.stop_background_workers()")
    is_continuous = edition == "tsl" and not is_plain
    olds = (OLD, OLD + timedelta(minutes=30))
    ends = (*olds, OLD + timedelta(days=1), NEW)
    land(conn, "kline_minute", [minute(code, end, "10") for code in CODES for end in ends])

    assert dbt(*ONE).success
    [waiting] = drop_minutes(warehouse)
    assert "market.kline_5m" in waiting.unread
    assert stored(conn) == 8
    outcome = dbt(*BARS)
    assert outcome.success, outcome.error
    assert [days.unread for days in drop_minutes(warehouse, dry_run=True)] == [()]
    assert stored(conn) == 8
    drop_minutes(warehouse)
    assert stored(conn) == 2
    assert drop_minutes(warehouse) == []
    land(conn, "kline_minute", [minute(CODES[0], NEW, "11")])
    touch(conn, "kline_minute", CODES[0])
    assert dbt(*BARS).success
    assert stored(conn, "market.kline_5m") == 8

    # of one code a day is loaded again, and then everything is looked at
    land(conn, "kline_minute", [minute(CODES[0], end, "12") for end in olds])
    touch(conn, "kline_minute")
    if is_continuous:
        compress_bars(conn)
    for arguments in ((), ("--full-refresh",)) if is_continuous else ((),):
        outcome = dbt(*BARS, *arguments)
        assert outcome.success, outcome.error
        for name in ("kline_5m", "kline_15m", "kline_30m"):
            query = f"select close from market.{name} where bar_end < %s order by code, bar_end"
            old_bars = conn.execute(query.encode(), (NEW - timedelta(days=300),))
            assert [close for (close,) in old_bars] == [12, 12, 10, 10, 10, 10]
        land(conn, "kline_minute", [minute(CODES[0], end, "12") for end in olds])


@pytest.mark.parametrize("edition", ["none"], indirect=True)
def test_old_days_wait_for_another_market_in_the_database_too(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt, retained: None
) -> None:
    """A stand-in for its bars, built before those days landed."""
    land(conn, "kline_minute", [minute(CODES[0], NEW, "10")])
    assert dbt(*BARS).success
    conn.execute("create schema research")
    conn.execute("create table research.kline_5m ()")
    conn.execute("insert into ops.managed_relation values ('research', 'kline_5m')")
    conn.execute(
        "insert into ops.change_cursors (reader, seen) values "
        "('research.kline_5m', pg_current_snapshot()), ('research.gone', pg_current_snapshot())"
    )
    land(conn, "kline_minute", [minute(CODES[0], OLD, "10")])

    assert dbt(*BARS).success
    assert [days.unread for days in drop_minutes(warehouse)] == [("research.kline_5m",)]
    assert stored(conn) == 2
    conn.execute("drop table research.kline_5m")
    drop_minutes(warehouse)
    assert stored(conn) == 1


def test_retention_finds_what_the_yaml_retains_and_who_reads_it(
    retaining_project: Path, retained: None, manifests: dict[str, Any], warehouse: Warehouse
) -> None:
    target = retaining_project.parent / f"target_{warehouse.params()['dbname']}"

    [minutes] = list_retained_tables(manifests[str(target)])

    assert minutes == RETAINED


def compress_bars(conn: psycopg.Connection) -> None:
    """All bars of continuous aggregates; later sessions open one row of them in a statement."""
    conn.execute(
        "select compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass) "
        "from timescaledb_information.chunks where hypertable_name like '_materialized%'"
    )
    conn.execute(
        f'alter database "{conn.info.dbname}" '
        "set timescaledb.max_tuples_decompressed_per_dml_transaction = 1".encode()
    )


@pytest.mark.parametrize("edition", ["none", "apache"], indirect=True)
def test_old_rows_landed_while_days_are_dropped_stay_until_rolled_up(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt, retained: None
) -> None:
    land(conn, "kline_minute", [minute(CODES[0], OLD, "10")])
    assert dbt(*BARS).success
    waits = (
        "select 1 from pg_stat_activity "
        "where wait_event_type = 'Lock' and datname = current_database()"
    )

    with warehouse.connect() as importing, ThreadPoolExecutor(1) as other:
        land(importing, "kline_minute", [minute(CODES[1], OLD, "10")])
        dropping = other.submit(drop_minutes, warehouse)
        while not dropping.done() and not conn.execute(waits).fetchone():
            pass
        importing.commit()
        [days] = dropping.result()

    assert days.unread == ("market.kline_5m",)
    assert stored(conn) == 2
    assert dbt(*BARS).success
    drop_minutes(warehouse)
    assert stored(conn) == 0


@pytest.mark.parametrize("edition", ["apache"], indirect=True)
def test_minutes_of_one_day_are_read_from_their_chunk_only(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    ends = [datetime(2024, month, 5, 2, tzinfo=UTC) for month in (1, 3, 5)]
    land(conn, "kline_minute", [minute(code, end, "10") for code in CODES for end in ends])
    assert dbt("build", "-s", "+kline_5m", *NO_TESTS).success
    # the oldest one sets the first day of the bars
    [(middle,)] = conn.execute(f"select (array_agg(c))[2]::text from show_chunks('{MINUTES}') as c")
    conn.execute(f'alter database "{conn.info.dbname}" set lock_timeout = 1000'.encode())

    land(conn, "kline_minute", [minute(code, ends[2], "11") for code in CODES])
    with warehouse.connect() as holder:
        holder.execute(f"lock table {middle} in access exclusive mode".encode())
        outcome = dbt("run", "-s", "kline_5m")

    assert outcome.written == {"kline_5m": 2}, outcome.error


@pytest.mark.parametrize("edition", ["none"], indirect=True)
def test_dbt_refuses_an_old_version_before_anything_is_built(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    """A stand-in for its entry among the extensions."""
    conn.execute("set allow_system_table_mods = on")
    conn.execute(
        "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, "
        "extversion) "
        "values (99999, 'timescaledb', 10, 'public'::regnamespace, false, '2.17.2')"
    )

    outcome = dbt(*ONE)

    assert not outcome.success
    assert "TimescaleDB 2.17.2; the oldest supported version is 2.18.0" in outcome.error


@pytest.mark.parametrize("edition", ["none"], indirect=True)
def test_dbt_refuses_citus_beside_timescaledb_before_anything_is_built(
    edition: str, conn: psycopg.Connection, dbt: Dbt
) -> None:
    """Stand-ins for their entries among the extensions."""
    conn.execute("set allow_system_table_mods = on")
    conn.execute(
        "insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, "
        "extversion) "
        "values (99998, 'citus', 10, 'public'::regnamespace, false, '13.2-1'), "
        "(99999, 'timescaledb', 10, 'public'::regnamespace, false, '2.29.2')"
    )

    outcome = dbt(*ONE)

    assert not outcome.success
    assert "both Citus and TimescaleDB" in outcome.error
