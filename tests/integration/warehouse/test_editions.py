"""The edition of TimescaleDB in a warehouse, its report, and versions that are too old."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from loaders.sources import landed_tables
from loaders.tdx.tables import KLINE_MINUTE
from loaders.warehouse import timescale
from loaders.warehouse.hypertables import list_hypertables, make_of_empty
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import gather, status
from orchestration.cli.inspect import status_command
from quotemill.errors import SettingsError
from tests.integration.warehouse.conftest import settings_for

LICENSED = ["compression", "continuous aggregates"]
OFF = {"none": ["hypertables", *LICENSED], "apache": LICENSED, "tsl": []}
NAMES = {
    "none": "plain PostgreSQL, without TimescaleDB",
    "apache": "TimescaleDB {} (Apache edition)",
    "tsl": "TimescaleDB {} (community edition)",
}


def test_status_and_doctor_say_which_edition_is_used_and_what_is_off(
    edition: str,
    database_of: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = database_of(edition)
    with psycopg.connect(url) as conn:
        version = timescale.find(conn).version
    name = NAMES[edition].format(version)
    settings = settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=url)
    warehouse = open_warehouse(settings)
    prepare(warehouse, landed_tables())

    shown = status.read_status(settings, warehouse).as_json()["timescale"]
    checks = {check.name: check for check in gather.examine(settings)}
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    status_command()

    assert shown == {"edition": edition, "version": version, "off": OFF[edition]}
    assert checks["server"].sentence.endswith(name)
    assert "hypertables" not in checks
    without = f": no {', '.join(OFF[edition])}" if OFF[edition] else ""
    assert f"edition: {name}{without}\n" in capsys.readouterr().out


def test_a_database_with_citus_and_timescaledb_is_refused(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    """Stand-ins for their entries among the extensions."""
    url = new_database()
    with psycopg.connect(url) as conn:
        conn.execute("set allow_system_table_mods = on")
        conn.execute(
            "insert into pg_extension "
            "(oid, extname, extowner, extnamespace, extrelocatable, extversion) "
            "values (99998, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.2-1'), "
            "(99999, 'timescaledb', 10, 'public'::regnamespace, false, '2.29.2')"
        )

    with pytest.raises(SettingsError, match=r"Citus .*TimescaleDB"):
        open_warehouse(settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=url))


@pytest.mark.parametrize("version", ["2.17.2", "2.9.3", "1.7.5"])
def test_an_old_version_is_refused_with_what_to_do(
    version: str, database_of: Callable[..., str], tmp_path: Path
) -> None:
    """A stand-in for its entry among the extensions."""
    url = database_of("none")
    with psycopg.connect(url) as conn:
        conn.execute("set allow_system_table_mods = on")
        conn.execute(
            "insert into pg_extension "
            "(oid, extname, extowner, extnamespace, extrelocatable, extversion) "
            "values (99999, 'timescaledb', 10, 'public'::regnamespace, false, %s)",
            (version,),
        )

    message = rf"TimescaleDB {version}, but quotemill needs 2\.18\.0"
    with pytest.raises(SettingsError, match=message) as refused:
        open_warehouse(settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=url))

    assert "alter extension timescaledb update" in refused.value.hint


def test_empty_landed_tables_of_minutes_and_ticks_are_hypertables(
    database_of: Callable[..., str], tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=database_of("apache"))
    made = open_warehouse(settings)
    query = (
        "select hypertable_schema || '.' || hypertable_name, time_interval::text "
        "from timescaledb_information.dimensions order by 1"
    )
    # as a load leaves them before the extension is there
    plain = [replace(table, time=None) for table in landed_tables()]
    prepare(made, plain)
    with made.connect() as conn:
        conn.execute(
            "insert into raw_tdx.tick_trade "
            "(code, trade_date, ordinal, traded_at, price, volume, side, "
            "order_count, route_no, file_no, fetched_at, is_final) values "
            "('sh600000', '2024-01-02', 1, now(), 1, 1, 0, 0, 1, 1, now(), true)"
        )
        assert conn.execute(query.encode()).fetchall() == []

    for _ in range(2):
        prepare(made, landed_tables())
        with made.connect() as conn:
            assert conn.execute(query.encode()).fetchall() == [
                ("raw_tdx.kline_minute", "30 days"),
                ("raw_tq.tick_minute", "30 days"),
            ]
    [check] = [each for each in gather.examine(settings) if each.name == "hypertables"]
    assert check.sentence.endswith(": raw_tdx.tick_trade")
    assert check.fix == "quotemill warehouse upgrade-timescale"


def test_an_empty_table_with_a_lock_delays_no_command(
    database_of: Callable[..., str], tmp_path: Path
) -> None:
    made = open_warehouse(settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=database_of("apache")))
    table = replace(KLINE_MINUTE, indexes=())
    prepare(made, [replace(table, time=None)])
    with made.connect() as importing, made.connect() as conn:
        importing.execute("lock table raw_tdx.kline_minute in access exclusive mode")
        conn.execute("set lock_timeout = '1min'")
        make_of_empty(conn, [table])
        assert conn.execute("show lock_timeout").fetchone() == ("1min",)
        assert list_hypertables(conn, ["raw_tdx"]) == []
        importing.rollback()
        make_of_empty(conn, [table])
        assert list_hypertables(conn, ["raw_tdx"]) == ["raw_tdx.kline_minute"]
        assert conn.execute("show lock_timeout").fetchone() == ("1min",)
