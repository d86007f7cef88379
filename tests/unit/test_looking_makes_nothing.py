"""Commands that only read create no home and no server; a setting refuses the embedded one."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import loaders.cli
import orchestration.cli
from loaders.cli import shell
from loaders.settings import Settings, load_settings
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.postgres import find_warehouse, open_warehouse
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

APPS = {"loaders": loaders.cli.app, "quotemill": orchestration.cli.app}
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of which nothing is there yet; the service of the settings is down."""

    monkeypatch.setattr(
        embedded, "ensure_running", Mock(side_effect=AssertionError("a server was asked for"))
    )
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUOTEMILL_TDX__BASE_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(name: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        monkeypatch.setattr(shell, "_answered", False)
        with pytest.raises(SystemExit) as ended:
            shell.run_app(APPS[name])
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    return call


@pytest.mark.parametrize(
    ("code", "call", "says"),
    [
        (0, ("loaders", "status"), "nothing was loaded yet"),
        (0, ("quotemill", "status"), "nothing was loaded yet"),
        (0, ("quotemill", "status"), "; settings: environment\n"),
        (0, ("quotemill", "findings"), "nothing is built yet"),
        (0, ("quotemill", "warehouse", "status"), "running:             no"),
        (4, ("quotemill", "doctor"), "none yet: the first load creates"),
        (0, ("quotemill", "--help"), "findings"),
        (3, ("quotemill", "warehouse", "psql"), ""),
        (3, ("quotemill", "gate", "list"), ""),
        (3, ("quotemill", "backup"), ""),
        (3, ("quotemill", "archive"), ""),
        (3, ("quotemill", "warehouse", "url"), ""),
        (3, ("quotemill", "warehouse", "dump", "x.dump"), ""),
        (3, ("quotemill", "docs"), ""),
        (0, ("quotemill", "dbt", "--help"), "An ELT tool"),
        (3, ("loaders", "verify", "tdx", "--json"), "no warehouse yet"),
        (3, ("loaders", "verify", "tq", "--json"), "nothing to verify"),
        (3, ("quotemill", "reconcile", "--json"), "no warehouse yet"),
        (3, ("quotemill", "selfcheck", "ib"), ""),
        (2, ("quotemill", "schedule", "enable", "foo"), ""),
        (2, ("quotemill", "schedule", "run", "foo"), ""),
        (2, ("loaders", "cancel", "--json"), "nothing was loaded yet"),
        (2, ("loaders", "retry", "12", "--json"), "nothing was loaded yet"),
        (2, ("quotemill", "findings", "--ack", "1", "--reason", "x", "--json"), "no findings yet"),
    ],
)
def test_looking_makes_neither_home_nor_server(
    command: Command, home: Path, code: int, call: tuple[str, ...], says: str
) -> None:
    ended, out = command(*call)
    assert ended == code
    assert says in out
    assert not home.exists()


def test_a_schedule_without_sources_makes_no_server(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUOTEMILL_TDX__BASE_URL")
    assert command("quotemill", "schedule", "run")[0] == 3
    assert not home.exists()


def test_dbt_lists_and_parses_without_home_and_server(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[Path, Path]] = []

    def invoke(settings: Settings, warehouse: Warehouse, arguments: list[str]) -> Mock:
        runs.append((settings.home, warehouse.home))
        assert settings.home.is_dir()
        return Mock(success=True)

    monkeypatch.setattr("orchestration.run.build.invoke", invoke)
    for words in (["ls", "--resource-type", "seed"], ["parse"]):
        assert command("quotemill", "dbt", *words)[0] == 0
    assert [place[1] for place in runs] == [home, home]
    assert not any(place.exists() for place in {home, *(run[0] for run in runs)})

    monkeypatch.setattr("orchestration.run.build.invoke", Mock(side_effect=SettingsError("dbt: x")))
    assert command("quotemill", "dbt", "compile")[0] == 3
    assert not home.exists()


def test_a_setting_refuses_the_embedded_server(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUOTEMILL_EMBEDDED_SERVER", "false")
    for call in (
        ("loaders", "run", "tdx", "--json"),
        ("loaders", "status", "--json"),
        ("quotemill", "run", "--json"),
        ("quotemill", "status", "--json"),
    ):
        ended, out = command(*call)
        answer: Any = json.loads(out)
        loads = answer.get("loads")  # a run that loaded nothing says it once for all
        answer = loads[0] if loads else answer
        assert (ended, answer["exit_code"]) == (3, 3), call
        assert "QUOTEMILL_EMBEDDED_SERVER" in answer["error"]
        assert "QUOTEMILL_WAREHOUSE_URL" in answer["hint"]
    assert command("quotemill", "warehouse", "start")[0] == 3
    assert not home.exists()


def test_a_named_warehouse_is_not_refused(home: Path, tmp_path: Path) -> None:
    environ = {"QUOTEMILL_HOME": str(home), "QUOTEMILL_EMBEDDED_SERVER": "0"}
    with pytest.raises(SettingsError, match="disabled"):
        find_warehouse(load_settings(environ, cwd=tmp_path))
    environ["QUOTEMILL_WAREHOUSE_URL"] = "postgresql://u@h/d"
    assert not open_warehouse(load_settings(environ, cwd=tmp_path), start=False).embedded
