"""Tables of an older version refuse readers, tables of a newer one refuse writers."""

from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from loaders.settings import load_settings
from loaders.warehouse import migration_files
from orchestration.checks import gather
from orchestration.cli import app
from orchestration.run.dbt_commands import run_dbt
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse
from tests.bench import prepared_warehouse

ARCHIVE = ["run", "--only", "archive"]
ENABLE = ["schedule", "enable", "tdx_daily"]


@pytest.fixture
def warehouse(warehouse_dsn: str, tmp_path: Path) -> Warehouse:
    return prepared_warehouse(warehouse_dsn, tmp_path, [])


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
    [check] = [c for c in gather.examine(settings) if c.name == "warehouse"]
    assert (check.verdict, check.exit_code) == ("fail", 3)
    for command in (["test"], ["-q", "show", "--inline", "select 1"], ["docs", "generate"]):
        with pytest.raises(SettingsError, match="of an older version"):
            run_dbt(settings, command)
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(warehouse.home))
    for words in (["status"], ["findings"], ["report"], ["jobs"], ["alerts", "list"]):
        refusal = CliRunner().invoke(app, words).exception
        assert isinstance(refusal, SettingsError), words
        assert "of an older version" in str(refusal)
    monkeypatch.undo()
    assert migration_files.find_current_warehouse(settings) is not None


def test_writers_refuse_a_newer_warehouse_and_readers_warn_once(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_setting(conn: psycopg.Connection) -> object:
        return conn.execute("select value from ops.settings where key = 'reader_role'").fetchone()

    def add_later(conn: psycopg.Connection) -> None:
        conn.execute("insert into ops.schema_migrations (name) values ('9999_later.sql')")

    warehouse.ask(add_later)
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(warehouse.home))
    monkeypatch.setenv("QUOTEMILL_READER_ROLE", "pg_monitor")
    monkeypatch.setenv("QUOTEMILL_TDX__BASE_URL", "http://127.0.0.1:9")
    text = "the warehouse was used by a newer quotemill: it has 9999_later.sql"
    for words in (["load", "tdx"], ["build"], ARCHIVE, ["warehouse", "migrate"], ENABLE):
        result = CliRunner().invoke(app, words)
        error = result.exception
        printed = " ".join([result.output, *getattr(error, "lines", ())])
        assert getattr(error, "exit_code", result.exit_code) == 3, words
        assert text in printed
        assert "install that version of quotemill, or a newer one" in printed
    assert warehouse.ask(read_setting) == (None,)
    migration_files._warn.cache_clear()
    shown = [CliRunner().invoke(app, words) for words in (["jobs"], ["findings"])]
    assert [result.exit_code for result in shown] == [0, 0]
    assert [result.stderr.count(text) for result in shown] == [1, 0]
