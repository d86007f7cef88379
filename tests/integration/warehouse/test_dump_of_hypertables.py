"""Dumps with hypertables of ours: of a whole database, restorable into an empty one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from loaders.warehouse.ownership import claim_schemas
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from orchestration.timescale.table_content import Content, content
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

DatabaseOf = Callable[..., str]
EDITIONS = ("apache", "tsl")
MINUTES, READ = ("raw_tdx", "kline_minute"), ("market", "kline_minute_raw")
ROLLED_UP, SESSIONS = ("market", "kline_5m"), ("market", "kline_60m")


def _warehouse(url: str, home: Path) -> Warehouse:
    return Warehouse(url, "test", False, "market", None, "test", home)


@pytest.fixture(params=EDITIONS)
def edition(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def filled(edition: str, database_of: DatabaseOf, tmp_path: Path) -> Warehouse:
    """A hypertable of ours, with what reads it, and one of somebody else."""
    warehouse = _warehouse(database_of(edition), tmp_path)
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
        if edition == "tsl":
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


@pytest.fixture
def plain_dump(warehouse_dsn: str, tmp_path: Path) -> Path:
    """A dump of plain tables of the same names."""
    plain = _warehouse(warehouse_dsn, tmp_path)
    with plain.connect() as conn:
        claim_schemas(conn, ["raw_tdx", "market"])
        conn.execute(
            "create table raw_tdx.kline_minute (code text, bar_end timestamptz, close bigint, "
            "note text, primary key (code, bar_end))"
        )
        conn.execute("insert into raw_tdx.kline_minute values ('sh1', '2024-01-01', 7, 'x')")
        conn.execute("create view market.kline_minute_raw as select * from raw_tdx.kline_minute")
    assert dump(plain, tmp_path / "plain.dump").hypertables == ()
    return tmp_path / "plain.dump"


def test_a_dump_with_hypertables_comes_back_whole_in_an_empty_database(
    filled: Warehouse, edition: str, database_of: DatabaseOf, tmp_path: Path
) -> None:
    written = dump(filled, tmp_path / "w.dump")
    another = _warehouse(database_of(edition), tmp_path)

    restore(another, tmp_path / "w.dump", clean=False)

    assert "raw_tdx.kline_minute" in written.hypertables
    assert _contents(another) == _contents(filled)
    assert _indexes(another) == _indexes(filled)
    assert _hypertables(another) == _hypertables(filled)
    with another.connect() as conn:
        conn.execute("insert into raw_tdx.kline_minute values ('sh9', '2031-01-01', 1, null)")
        assert conn.execute("select count(*) from mine.own").fetchone() == (2,)
        assert conn.execute("show timescaledb.restoring").fetchone() == ("off",)
        claim_schemas(conn, ["raw_tdx", "market"])  # the record of ownership came along


@pytest.mark.parametrize("clean", [False, True])
def test_a_database_with_relations_takes_no_dump_with_hypertables(
    filled: Warehouse, tmp_path: Path, clean: bool
) -> None:
    dump(filled, tmp_path / "w.dump")
    before = _contents(filled)
    with pytest.raises(SettingsError, match=r"an empty database .* \d+ relations"):
        restore(filled, tmp_path / "w.dump", clean=clean)
    assert _contents(filled) == before


def test_a_server_without_timescale_takes_no_dump_with_hypertables(
    filled: Warehouse, warehouse_dsn: str, tmp_path: Path
) -> None:
    dump(filled, tmp_path / "w.dump")
    another = _warehouse(warehouse_dsn, tmp_path)
    with pytest.raises(SettingsError, match="lacks TimescaleDB") as caught:
        restore(another, tmp_path / "w.dump", clean=False)
    assert "create extension timescaledb" in caught.value.hint
    with another.connect() as conn:
        assert conn.execute("select to_regnamespace('raw_tdx')").fetchone() == (None,)


def test_a_plain_dump_replaces_hypertables_and_leaves_those_of_the_user(
    filled: Warehouse, plain_dump: Path
) -> None:
    restore(filled, plain_dump, clean=True)

    with filled.connect() as conn:
        rows = conn.execute("select code, close, note from market.kline_minute_raw").fetchall()
        assert rows == [("sh1", 7, "x")]
        assert conn.execute("select to_regclass('market.kline_5m')").fetchone() == (None,)
        assert conn.execute("select count(*) from mine.own").fetchone() == (2,)
    assert [h[0] for h in _hypertables(filled)] == ["mine"]
