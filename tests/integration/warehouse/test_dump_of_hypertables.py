"""Dumps of ours with hypertables in it: whole, without those of others, and restorable anywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from loaders.warehouse.ownership import claim_schemas
from orchestration.backup import dump as dumps
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import count_occupied, restore
from orchestration.timescale.table_content import Content, content
from quotemill.errors import UpstreamError
from quotemill.warehouse.postgres import Warehouse

DatabaseOf = Callable[..., str]
EDITIONS = ("apache", "tsl")
MINUTES, READ = ("raw_tdx", "kline_minute"), ("market", "kline_minute_raw")
ROLLED_UP, SESSIONS = ("market", "kline_5m"), ("market", "kline_60m")


def _warehouse(url: str, home: Path) -> Warehouse:
    return Warehouse(url, "test", False, "market", None, "test", home)


@pytest.fixture(params=EDITIONS)
def filled(request: pytest.FixtureRequest, database_of: DatabaseOf, tmp_path: Path) -> Warehouse:
    """A hypertable of ours, with what reads it, and one of somebody else."""
    warehouse = _warehouse(database_of(request.param), tmp_path)
    with warehouse.connect(autocommit=True) as conn:
        claim_schemas(conn, ["raw_tdx", "market"])
        for statement in (
            "create table raw_tdx.kline_minute (code text, bar_end timestamptz, close bigint, "
            "note text, primary key (code, bar_end))",
            "create index kline_minute_bar_end_idx on raw_tdx.kline_minute (bar_end)",
            "select create_hypertable('raw_tdx.kline_minute', by_range('bar_end', "
            "interval '1 month'), create_default_indexes => false)",
            "insert into raw_tdx.kline_minute select 'sh' || k, timestamptz '2024-01-01' + "
            "i * interval '5 hours', i, (array[null, e'a\\tb\\n\\\\.', '\\.'])[1 + i % 3] "
            "from generate_series(1, 5) as k, generate_series(1, 400) as i",
            "create view market.kline_minute_raw as select * from raw_tdx.kline_minute",
            "create schema mine",
            "create table mine.own (at timestamptz not null)",
            "select create_hypertable('mine.own', by_range('at'))",
            "insert into mine.own values ('2024-01-01'), ('2024-06-01')",
        ):
            conn.execute(statement.encode())
        if request.param == "tsl":
            _roll_up(conn)
    return warehouse


def _roll_up(conn: Any) -> None:
    for statement in (
        "create materialized view market.kline_5m with (timescaledb.continuous) as "
        "select code, date_bin('12 hours', bar_end, timestamptz '2000-01-01') as bar_end, "
        "max(close) as high from raw_tdx.kline_minute "
        "group by code, time_bucket('1 day', bar_end), 2 with no data",
        "create index on market.kline_5m (high)",
        "call refresh_continuous_aggregate('market.kline_5m', null, null)",
        "create view market.kline_60m as select * from market.kline_5m where high > 7",
        "alter table raw_tdx.kline_minute set (timescaledb.compress, "
        "timescaledb.compress_segmentby = 'code')",
        "select compress_chunk(c) from show_chunks('raw_tdx.kline_minute', "
        "older_than => timestamptz '2024-02-15') as c",
        # by age: its roll-ups stay, and no build would make them again
        "select drop_chunks('raw_tdx.kline_minute', older_than => timestamptz '2024-02-02')",
    ):
        conn.execute(statement.encode())


def _contents(warehouse: Warehouse) -> dict[str, Content]:
    names = [MINUTES, READ, ROLLED_UP, SESSIONS]
    with warehouse.connect() as conn:
        return {
            ".".join(name): content(conn, sql.Identifier(*name))
            for name in names
            if conn.execute("select to_regclass(%s)", (".".join(name),)).fetchone() != (None,)
        }


def _hypertables(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as conn:
        return conn.execute(
            "select h.hypertable_schema, h.hypertable_name, d.column_name, d.time_interval "
            "from timescaledb_information.hypertables as h "
            "inner join timescaledb_information.dimensions as d using (hypertable_name) order by 1"
        ).fetchall()


def _indexes(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as conn:
        return conn.execute(
            "select indexdef from pg_indexes where schemaname = 'raw_tdx' order by 1"
        ).fetchall()


@pytest.mark.parametrize("target", EDITIONS)
def test_hypertables_are_restored_on_any_server_with_timescale(
    filled: Warehouse, target: str, database_of: DatabaseOf, tmp_path: Path
) -> None:
    written = dump(filled, tmp_path / "w.dump")
    another = _warehouse(database_of(target), tmp_path)
    made = restore(another, tmp_path / "w.dump", clean=False)

    assert made.hypertables == ("raw_tdx.kline_minute",)
    assert set(made.hypertables) <= set(written.hypertables)
    assert _contents(another) == _contents(filled)
    assert _indexes(another) == _indexes(filled)
    assert _hypertables(another) == [h for h in _hypertables(filled) if h[0] != "mine"]


@pytest.mark.parametrize("filled", ["tsl"], indirect=True)  # the edition that has them
def test_a_continuous_aggregate_is_restored_as_a_table_with_its_key(
    filled: Warehouse, warehouse_dsn: str, tmp_path: Path
) -> None:
    dump(filled, tmp_path / "w.dump")
    another = _warehouse(warehouse_dsn, tmp_path)
    restore(another, tmp_path / "w.dump", clean=False)
    with another.connect() as conn:
        keys = conn.execute(
            "select pg_get_constraintdef(oid) from pg_constraint "
            "where conrelid = 'market.kline_5m'::regclass and contype = 'p'"
        ).fetchall()
    assert keys == [("PRIMARY KEY (code, bar_end)",)]


def test_hypertables_are_plain_tables_without_timescale(
    filled: Warehouse, warehouse_dsn: str, tmp_path: Path
) -> None:
    dump(filled, tmp_path / "w.dump")
    another = _warehouse(warehouse_dsn, tmp_path)

    assert restore(another, tmp_path / "w.dump", clean=False).hypertables == ()
    assert _contents(another) == _contents(filled)
    assert _indexes(another) == _indexes(filled)
    with another.connect() as conn:
        assert conn.execute("select to_regnamespace('mine')").fetchone() == (None,)


def test_a_restore_leaves_hypertables_of_the_user(filled: Warehouse, tmp_path: Path) -> None:
    dump(filled, tmp_path / "w.dump")
    before = _contents(filled)
    with filled.connect() as conn:
        conn.execute(
            "delete from raw_tdx.kline_minute where code = 'sh1' and bar_end > '2024-03-01'"
        )
        conn.execute("insert into mine.own values ('2025-01-01')")
    assert _contents(filled) != before

    restore(filled, tmp_path / "w.dump", clean=True)
    assert _contents(filled) == before
    assert [h[0] for h in _hypertables(filled)] == ["mine", "raw_tdx"]
    with filled.connect() as conn:
        assert conn.execute("select count(*) from mine.own").fetchone() == (3,)


def test_a_plain_dump_replaces_hypertables_and_their_readers(
    filled: Warehouse, warehouse_dsn: str, tmp_path: Path
) -> None:
    plain = _warehouse(warehouse_dsn, tmp_path)
    dump(filled, tmp_path / "w.dump")
    restore(plain, tmp_path / "w.dump", clean=False)
    assert dump(plain, tmp_path / "plain.dump").hypertables == ()
    assert (tmp_path / "plain.dump").read_bytes().startswith(b"PGDMP")
    before = _contents(filled)

    restore(filled, tmp_path / "plain.dump", clean=True)
    assert _contents(filled) == before
    assert [h[0] for h in _hypertables(filled)] == ["mine"]


def test_a_view_of_the_user_stops_a_replacement_and_nothing_is_lost(
    filled: Warehouse, tmp_path: Path
) -> None:
    dump(filled, tmp_path / "w.dump")
    with filled.connect() as conn:
        conn.execute("delete from raw_tdx.kline_minute where bar_end > '2024-03-01'")
        conn.execute("create view mine.report as select * from market.kline_minute_raw")
    before = _contents(filled)
    with pytest.raises(UpstreamError, match="nothing was changed"):
        restore(filled, tmp_path / "w.dump", clean=True)
    assert _contents(filled) == before


def test_a_server_that_ends_idle_transactions_is_dumped_and_restored(
    filled: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, run = _contents(filled), dumps._run
    with filled.connect(autocommit=True) as conn:
        timeout = sql.SQL("alter database {} set idle_in_transaction_session_timeout = '250ms'")
        conn.execute(timeout.format(sql.Identifier(conn.info.dbname)))

        def outlast(*args: Any) -> None:
            run(*args)
            idle = (
                "select 1 from pg_stat_activity where datname = current_database() "
                "and state = 'idle in transaction' "
                "and clock_timestamp() - state_change < interval '300ms'"
            )
            while conn.execute(idle.encode()).fetchone():
                pass

        monkeypatch.setattr(dumps, "_run", outlast)
        dumps.dump(filled, tmp_path / "w.dump")
    assert count_occupied(filled, tmp_path / "w.dump") > 0
    restore(filled, tmp_path / "w.dump", clean=True)
    assert _contents(filled) == before
