"""Minutes older than their retention are dropped, once bars are made from them."""

import copy
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orchestration.archive.old_days import (
    OldDays,
    RetainedTable,
    drop_old_days,
    list_retained_tables,
)
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.editions.aggregates import wait_for_lock
from tests.integration.dbt.editions.hypertables import MINUTES, ONE, make_plain
from tests.integration.dbt.raw import land, minute, touch
from tests.integration.dbt.two_codes import CODES

BARS = ("run", "-s", "+kline_15m", "kline_30m")
BARS_AGAIN = ("run", "-s", "kline_5m", "kline_15m", "kline_30m")


@pytest.fixture
def retained(dbt: Dbt, parsed: Parsed, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project with one setting more, by which commands build: minutes are kept for a year."""
    target = os.environ["DBT_TARGET_PATH"]
    if target not in parsed.manifests:
        from dbt.cli.main import dbtRunner

        done = dbtRunner().invoke(["--quiet", "parse", "--project-dir", str(Parsed.PROJECT)])
        parsed.manifests[target] = done.result
    whole = parsed.manifests[target]
    sources = copy.deepcopy(whole.sources)
    [minutes] = [s for s in sources.values() if f"{s.schema}.{s.identifier}" == MINUTES]
    minutes.config.meta["hypertable"]["retain"] = "1 year"
    manifest = dataclasses.replace(whole, sources=sources)
    manifest.build_flat_graph()
    parsed.manifests[f"{target}_retaining"] = manifest
    monkeypatch.setenv("DBT_TARGET_PATH", f"{target}_retaining")
    return manifest


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
    retained: Any,
) -> None:
    if is_plain:
        make_plain(conn)
    if edition == "tsl":
        conn.execute("select _timescaledb_functions.stop_background_workers()")
    is_continuous = edition == "tsl" and not is_plain
    olds = (OLD, OLD + timedelta(minutes=30))
    ends = (*olds, OLD + timedelta(days=1), NEW)
    land(conn, "kline_minute", [minute(code, end, "10") for code in CODES for end in ends])

    dbt(*ONE)
    [waiting] = drop_minutes(warehouse)
    assert "market.kline_5m" in waiting.unread
    assert stored(conn) == 8
    dbt(*BARS)
    assert [days.unread for days in drop_minutes(warehouse, dry_run=True)] == [()]
    assert stored(conn) == 8
    drop_minutes(warehouse)
    assert stored(conn) == 2
    assert drop_minutes(warehouse) == []
    land(conn, "kline_minute", [minute(CODES[0], NEW, "11")])
    touch(conn, "kline_minute", CODES[0])
    dbt(*BARS_AGAIN)
    assert stored(conn, "market.kline_5m") == 8

    # of one code a day is loaded again, and then everything is looked at
    land(conn, "kline_minute", [minute(CODES[0], end, "12") for end in olds])
    touch(conn, "kline_minute")
    if is_continuous:
        compress_bars(conn)
    for arguments in ((), ("--full-refresh",)) if is_continuous else ((),):
        dbt(*BARS_AGAIN, *arguments)
        for name in ("kline_5m", "kline_15m", "kline_30m"):
            query = f"select close from market.{name} where bar_end < %s order by code, bar_end"
            old_bars = conn.execute(query.encode(), (NEW - timedelta(days=300),))
            assert [close for (close,) in old_bars] == [12, 12, 10, 10, 10, 10]
        land(conn, "kline_minute", [minute(CODES[0], end, "12") for end in olds])


@pytest.mark.parametrize("edition", ["none"], indirect=True)
def test_old_days_wait_for_another_market_in_the_database_too(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt, retained: Any
) -> None:
    """A stand-in for its bars, built before those days landed."""
    land(conn, "kline_minute", [minute(CODES[0], NEW, "10")])
    dbt(*BARS)
    conn.execute("create schema research")
    conn.execute("create table research.kline_5m ()")
    conn.execute("insert into ops.managed_relation values ('research', 'kline_5m')")
    conn.execute(
        "insert into ops.change_cursors (reader, seen) values "
        "('research.kline_5m', pg_current_snapshot()), ('research.gone', pg_current_snapshot())"
    )
    land(conn, "kline_minute", [minute(CODES[0], OLD, "10")])

    dbt(*BARS_AGAIN)
    assert [days.unread for days in drop_minutes(warehouse)] == [("research.kline_5m",)]
    assert stored(conn) == 2
    conn.execute("drop table research.kline_5m")
    drop_minutes(warehouse)
    assert stored(conn) == 1


def test_retention_finds_what_the_yaml_retains_and_who_reads_it(retained: Any) -> None:
    assert list_retained_tables(retained) == [RETAINED]


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
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt, retained: Any
) -> None:
    land(conn, "kline_minute", [minute(CODES[0], OLD, "10")])
    dbt(*BARS)

    with warehouse.connect() as importing, ThreadPoolExecutor(1) as other:
        land(importing, "kline_minute", [minute(CODES[1], OLD, "10")])
        dropping = other.submit(drop_minutes, warehouse)
        wait_for_lock(conn, dropping)
        importing.commit()
        [days] = dropping.result()

    assert days.unread == ("market.kline_5m",)
    assert stored(conn) == 2
    dbt(*BARS_AGAIN)
    drop_minutes(warehouse)
    assert stored(conn) == 0
