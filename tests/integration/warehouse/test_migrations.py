"""One migration makes schema `ops`; what others made before 0.1.0 is taken over as it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from loaders.settings import load_settings
from loaders.warehouse import migration_files
from loaders.warehouse.migrate import prepare
from orchestration.checks import doctor
from orchestration.cli import app
from orchestration.run.dbt_commands import run_dbt
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse
from tests.bench import prepared_warehouse

OLD_NAMES = (
    "0001_warehouse.sql",
    "0002_failed_keys.sql",
    "0003_whole_years.sql",
    "0004_left_day.sql",
    "0005_cancel_after_task.sql",
    "0006_finding_models.sql",
    "0007_exports.sql",
)
TABLES = (
    "select c.oid, c.relname, a.attname, a.atttypid from pg_class as c "
    "inner join pg_attribute as a on c.oid = a.attrelid "
    "where c.relnamespace = 'ops'::regnamespace and c.relname !~ '^(locks|exports)' order by 1, 3"
)


@pytest.fixture
def warehouse(warehouse_dsn: str, tmp_path: Path) -> Warehouse:
    return prepared_warehouse(warehouse_dsn, tmp_path, [])


def record(warehouse: Warehouse, *names: str) -> None:
    with warehouse.connect() as conn:
        conn.execute("delete from ops.schema_migrations")
        conn.execute("drop table ops.locks")  # of a later one
        conn.execute(
            "create table if not exists ops.exports (name text, what text, form text, "
            "codes text[], since date, adjust text, folder text)"
        )
        conn.cursor().executemany(
            "insert into ops.schema_migrations (name) values (%s)", [(name,) for name in names]
        )


def test_a_warehouse_of_all_old_migrations_is_taken_over(warehouse: Warehouse) -> None:
    record(warehouse, *OLD_NAMES)
    with warehouse.connect() as conn:
        before = conn.execute(TABLES).fetchall()
        conn.execute("insert into ops.schedules (name) values ('tdx_daily')")
        assert migration_files.newer(migration_files.applied(conn)) == []

    prepare(warehouse, [])

    with warehouse.connect() as conn:
        assert conn.execute(TABLES).fetchall() == before
        assert conn.execute("select name from ops.schedules").fetchall() == [("tdx_daily",)]
        assert migration_files.applied(conn) == set(migration_files.shipped())
        assert migration_files.is_current(conn)


def test_an_older_warehouse_is_refused_and_left_as_it_is(warehouse: Warehouse) -> None:
    record(warehouse, *OLD_NAMES[:5])
    with pytest.raises(SettingsError, match=r"before 0\.1\.0") as refused:
        prepare(warehouse, [])
    assert "load again into an empty database" in str(refused.value.hint)
    with warehouse.connect() as conn:
        assert migration_files.applied(conn) == set(OLD_NAMES[:5])


def test_commands_that_read_an_older_warehouse_name_what_updates_it(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.ask(migration_files.refuse_outdated)
    later = [*migration_files.shipped(), "0002_later.sql"]
    monkeypatch.setattr(migration_files, "shipped", lambda: later)
    settings = load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": warehouse.url, "QUOTEMILL_HOME": str(warehouse.home)},
        cwd=warehouse.home,
    )
    with pytest.raises(SettingsError, match="of an older version") as refused:
        migration_files.find_current_warehouse(settings)
    assert refused.value.exit_code == 3
    assert "`quotemill run`" in refused.value.hint
    assert "`quotemill warehouse migrate`" in refused.value.hint
    [check] = [c for c in doctor.examine(settings) if c.name == "warehouse"]
    assert (check.status, check.exit_code) == ("fail", 3)
    for command in (["test"], ["-q", "show", "--inline", "select 1"], ["docs", "generate"]):
        with pytest.raises(SettingsError, match="of an older version"):
            run_dbt(settings, command)
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(warehouse.home))
    for words in (["status"], ["findings"], ["report"], ["jobs"]):
        refusal = CliRunner().invoke(app, words).exception
        assert isinstance(refusal, SettingsError), words
        assert "of an older version" in str(refusal)
    monkeypatch.undo()
    assert migration_files.find_current_warehouse(settings) is not None
