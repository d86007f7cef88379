"""Tables of an older version refuse readers, tables of a newer one refuse writers."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import quotemill
from loaders.cli import app as loaders_app
from loaders.settings import load_settings
from loaders.sources import landed_tables
from loaders.warehouse import migration_files
from loaders.warehouse.migrate import warehouse_id
from loaders.warehouse.postgres import find_current_warehouse
from orchestration.checks import gather
from orchestration.cli import app, main
from orchestration.run.dbt_commands import run_dbt
from orchestration.run.manifest import KIND, VERSION
from quotemill.errors import SettingsError
from quotemill.warehouse.migrations import LAST
from quotemill.warehouse.postgres import Warehouse
from tests.bench import prepared_warehouse

Answer = tuple[int, str, list[str]]  # exit code, what is printed, warnings of a newer version
NEWER = "the warehouse was used by a newer version of quotemill: it has 9999_later.sql"
MANIFEST = {"kind": KIND, "version": VERSION, "sources": {}, "previous": None}
WRITERS = (
    "load tdx",
    "run tdx",
    "run --only archive",
    "run --only qa",
    "retry tdx",
    "build",
    "dbt seed",
    "schedule run",
    "schedule enable tdx_daily",
    "schedule disable tdx_daily",
    "reconcile",
    "export views vnpy",
    "manifest write",
    "warehouse distribute",
    "warehouse migrate",
    "warehouse upgrade-timescale",
    "touch raw_tdx.kline_daily",
    "alerts close disk",
    "archive",
    "retention --view ticks --yes",
    "restore --date 2026-11-24",
    "loaders run tdx",
    "loaders retry tdx",
)
READERS = {  # the exit code of each, on a warehouse without rows
    "status": 0,
    "findings": 0,
    "doctor": 3,
    "schedule list": 0,
    "selfcheck ib": 2,
    "loads": 0,
    "cancel": 2,
    "report": 0,
    "export rows raw_tdx.kline_daily --to csv {out}/bars": 0,
    "manifest check {out}/build-00000001.json": 0,
    "warehouse url": 0,
    "warehouse dump {out}/whole.dump": 0,
    "backup": 0,
    "alerts list": 0,
    "alerts check": 0,
    "gate list": 2,
    "gate open 1 --by owner": 2,
    "gate close 1 --by owner": 2,
    "loaders status": 0,
    "loaders cancel": 2,
    "loaders verify tdx": 2,
}
# they read and write no rows, only start other commands, or replace the whole warehouse
APART = (
    "alerts test",
    "backup check",
    "backup list",
    "backup restore",
    "console",
    "demo",
    "docs",
    "init",
    "loaders check",
    "loaders sandbox ib",
    "loaders sandbox tdx",
    "loaders sandbox tq",
    "loaders selftest",
    "logscan",
    "questdb fetch",
    "questdb remove",
    "questdb resume",
    "questdb start",
    "questdb status",
    "questdb stop",
    "schedule install",
    "schedule serve",
    "schedule simulate",
    "schedule uninstall",
    "settings",
    "warehouse psql",
    "warehouse remove",
    "warehouse restore",
    "warehouse start",
    "warehouse status",
    "warehouse stop",
    "warehouse upgrade-timescale rollback",
)


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
    with pytest.raises(SettingsError, match="from an older version") as refused:
        find_current_warehouse(settings)
    assert refused.value.exit_code == 3
    assert "`quotemill run`" in refused.value.hint
    assert "`quotemill warehouse migrate`" in refused.value.hint
    [check] = [c for c in gather.examine(settings) if c.name == "warehouse"]
    assert (check.verdict, check.exit_code) == ("fail", 3)
    for command in (["test"], ["-q", "show", "--inline", "select 1"], ["docs", "generate"]):
        with pytest.raises(SettingsError, match="from an older version"):
            run_dbt(settings, command)
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(warehouse.home))
    reading = ["status", "findings", "report", "loads", "alerts list", "manifest check"]
    reading += [f"export ops.runs --to csv {warehouse.home}/runs", "loaders verify"]
    for words in map(str.split, reading):
        is_ours = words[0] != "loaders"
        refusal = (
            CliRunner().invoke(app if is_ours else loaders_app, words[not is_ours :]).exception
        )
        assert isinstance(refusal, SettingsError), words
        assert "from an older version" in str(refusal)
    monkeypatch.undo()
    assert find_current_warehouse(settings) is not None


def list_leaves(command: Any, path: str = "") -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from list_leaves(inner, f"{path} {name}".strip())
    if not getattr(command, "commands", {}):
        yield path


def test_each_command_is_tried_on_a_newer_warehouse_or_needs_none() -> None:
    leaves = {*list_leaves(get_command(app)), *list_leaves(get_command(loaders_app), "loaders")}
    lines = [*WRITERS, *READERS]
    tried = {leaf for leaf in leaves if any(f"{line} ".startswith(f"{leaf} ") for line in lines)}
    others = ("options ", "check ", "jobs")  # further names of commands
    untried = {leaf for leaf in leaves - tried if not leaf.startswith(others)}
    assert sorted(untried) == list(APART)


@pytest.fixture
def newer(
    warehouse_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Callable[[str], Answer]:
    """Commands in a warehouse that a newer version used; none may change a row of `ops`."""
    warehouse = prepared_warehouse(warehouse_dsn, tmp_path, landed_tables())
    warehouse_id(warehouse)
    warehouse.ask(add_later)
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(warehouse.home))
    monkeypatch.setenv("QUOTEMILL_READER_ROLE", "pg_monitor")
    monkeypatch.setenv("QUOTEMILL_TDX__BASE_URL", "http://127.0.0.1:9")
    (tmp_path / "build-00000001.json").write_text(json.dumps(MANIFEST))
    log = logging.getLogger("loaders")  # as a command of an earlier test left it
    for name, value in {"handlers": [], "propagate": True, "disabled": False}.items():
        monkeypatch.setattr(log, name, value)

    def invoke(line: str) -> Answer:
        before = warehouse.ask(read_ops)
        migration_files._warn.cache_clear()
        caplog.clear()
        words = line.format(out=tmp_path).split()
        is_ours = words[0] != "loaders"
        result = CliRunner().invoke(app if is_ours else loaders_app, words[not is_ours :])
        assert warehouse.ask(read_ops) == before
        code = getattr(result.exception, "exit_code", result.exit_code)
        lines = getattr(result.exception, "lines", ())
        logged = [*caplog.messages, *result.stderr.splitlines()]  # by the command's handler, if any
        warnings = [text for text in logged if text.startswith(NEWER)]
        return code, "\n".join([result.output, *lines]), warnings

    return invoke


def test_the_last_migration_is_the_one_that_readers_know() -> None:
    assert migration_files.shipped()[-1] == LAST


def test_a_reader_warns_of_a_newer_version(warehouse_dsn: str, tmp_path: Path) -> None:
    prepared_warehouse(warehouse_dsn, tmp_path, []).ask(add_later)
    with pytest.warns(UserWarning, match=r"newer version of quotemill: it has 9999_later\.sql"):
        quotemill.open(url=warehouse_dsn, home=tmp_path).close()


def add_later(conn: psycopg.Connection) -> None:
    conn.execute("insert into ops.schema_migrations (name) values ('9999_later.sql')")


def read_ops(conn: psycopg.Connection) -> dict[str, list[str]]:
    names = conn.execute(
        "select relname from pg_class where relnamespace = 'ops'::regnamespace and relkind = 'r'"
    )
    return {
        name: sorted(row for (row,) in conn.execute(f"select t::text from ops.{name} as t"))
        for (name,) in names.fetchall()
    }


def test_commands_that_write_refuse_a_newer_warehouse(newer: Callable[[str], Answer]) -> None:
    for line in WRITERS:
        code, printed, _ = newer(line)
        assert code == 3, (line, printed)
        assert NEWER in printed
        assert "Install that version of quotemill, or a newer one" in printed


def test_commands_that_read_a_newer_warehouse_warn_once(newer: Callable[[str], Answer]) -> None:
    for line, expected in READERS.items():
        code, printed, warnings = newer(line)
        assert code == expected, (line, printed)
        assert len(warnings) == 1, line
    assert [CliRunner().invoke(app, words).exit_code for words in (["loads"], ["findings"])] == [
        0,
        0,
    ]
    assert len(warnings) == 1  # of a process


@pytest.mark.parametrize("words", ["touch raw_tdx.kline_daily", "build", "findings"])
def test_a_command_has_the_sentence_about_a_newer_warehouse_once(
    newer: Callable[[str], Answer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
) -> None:
    newer("warehouse url")
    migration_files._warn.cache_clear()
    monkeypatch.setattr(sys, "argv", ["quotemill", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = " ".join(capsys.readouterr().err.split())
    assert (ended.value.code, printed.count(NEWER)) == (0 if words == "findings" else 3, 1)
    assert ("fix: Install that version" in printed) == (ended.value.code == 3)
