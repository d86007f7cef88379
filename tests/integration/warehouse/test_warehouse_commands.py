"""`quotemill warehouse …` as a person types it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loaders.settings import load_settings
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli.warehouse import app
from quotemill.errors import UsageError

ROOT = Path(__file__).parents[3]
Command = Callable[..., Any]


@pytest.fixture
def command(running_home: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    for name in list(os.environ):
        if name.startswith(("QUOTEMILL_", "DB_", "TDX_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUOTEMILL_HOME", str(running_home))
    monkeypatch.chdir(running_home)
    return lambda *args, **kwargs: CliRunner().invoke(app, list(args), **kwargs)


def test_status_prints_text_and_json(command: Command, running_home: Path) -> None:
    facts = json.loads(command("status", "--json").stdout)
    assert facts["running"] is True
    assert facts["version"] == 18
    assert facts["data_directory"] == str(running_home / "postgres")
    assert facts["origin"] == "default: embedded server"
    assert "MB" in command("status").stdout


def test_status_lists_tables_with_their_growth(command: Command) -> None:
    assert command("migrate").exit_code == 0
    before = json.loads(command("status", "--json").stdout)
    largest = before["tables"][0]
    assert (largest["growth_a_month"], before["days_left"]) == (None, None)
    with open_warehouse(load_settings()).connect() as conn:
        conn.execute(
            "insert into ops.metrics (run_id, stage, source, name, value, unit, measured_at) "
            "select to_char(now() - interval '10 days', 'YYYYMMDD') || ' run', 'space', source, "
            "'bytes', 0, 'B', now() - interval '10 days' from unnest(%s::text[]) as source",
            (["", f"{largest['schema']}.{largest['relation']}"],),
        )
    after = json.loads(command("status", "--json").stdout)
    assert after["tables"][0]["growth_a_month"] == 3 * largest["total_bytes"]
    assert after["growth_a_month"] == pytest.approx(3 * after["total_bytes"], rel=1e-4)
    free = after["disks"][0]["free"]
    assert after["days_left"] == pytest.approx(10 * free / after["total_bytes"], rel=1e-2)
    assert f"{largest['schema']}.{largest['relation']}" in command("status").stdout


def test_stop_and_start_report_their_result(command: Command, running_home: Path) -> None:
    assert command("stop").stdout == "stopped\n"
    assert command("stop").stdout == "was not running\n"
    assert command("start").stdout.startswith("running: PostgreSQL 18")
    assert command("start").exit_code == 0
    assert embedded.running(running_home) is not None


def test_start_refuses_when_the_warehouse_is_another_server(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", "postgresql://u:s3cret@h/d")
    result = command("start")
    assert isinstance(result.exception, UsageError)
    assert "s3cret" not in str(result.exception)
    assert "s3cret" not in command("status").stdout


def test_psql_and_url_reach_the_warehouse(command: Command, running_home: Path) -> None:
    code = "from orchestration.cli.warehouse import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code, "psql", "-AtX", "-c", "show timezone", "-c", "select 6 * 7"],
        capture_output=True,
        text=True,
        cwd=running_home,
        env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.stdout.split() == ["UTC", "42"], done.stderr
    assert command("url").stdout.startswith("postgresql://postgres@/postgres?host=")


def test_dump_and_restore_ask_before_they_replace(command: Command, tmp_path: Path) -> None:
    command("psql", "--help")
    from loaders.warehouse.ownership import claim_schemas

    with open_warehouse(load_settings()).connect() as conn:
        claim_schemas(conn, ["market"])
        conn.execute("create table if not exists market.bar as select 1 as x")
    file = str(tmp_path / "w.dump")
    assert "objects" in command("dump", file).stdout
    assert isinstance(command("dump", file).exception, UsageError)
    assert isinstance(command("restore", file).exception, UsageError)
    assert command("restore", file, "--yes").exit_code == 0


def test_remove_asks_and_leaves_another_server_alone(
    command: Command, make_home: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home()
    monkeypatch.setenv("QUOTEMILL_HOME", str(home))
    assert "has no warehouse" in command("remove").stdout
    command("start")

    refused = command("remove")
    assert isinstance(refused.exception, UsageError)
    assert str(home / "postgres") in str(refused.exception)
    assert (home / "postgres").is_dir()

    assert command("remove", "--yes").stdout.startswith(f"deleted {home / 'postgres'}")
    assert not (home / "postgres").exists()
    assert embedded.running(home) is None
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", "postgresql://u@h/d")
    assert isinstance(command("remove", "--yes").exception, UsageError)
