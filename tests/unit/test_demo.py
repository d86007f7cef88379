"""The demo: a run of its own that nobody waits for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.settings import Settings, load_settings
from orchestration import demo
from orchestration.checks import gather
from orchestration.run.findings import Judgement
from orchestration.run.stages import RunResult


def test_a_demo_runs_every_stage_but_alerts_in_a_home_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[Settings, Sequence[str]]] = []

    @contextmanager
    def sandbox(*_: object) -> Iterator[str]:
        yield "http://127.0.0.1:9"

    def run_all(settings: Settings, as_of: str, source: str, only: Sequence[str]) -> Any:
        calls.append((settings, only))
        return SimpleNamespace(judgement=None, exit_code=0, error=None)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUOTEMILL_HOME", "/somewhere/else")
    real = "postgresql://warehouse.example/real"
    (tmp_path / "quotemill.toml").write_text(f'warehouse_url = "{real}"\n')
    (tmp_path / ".env").write_text(f"QUOTEMILL_WAREHOUSE_URL={real}\n")
    monkeypatch.setattr(demo, "_sandbox", sandbox)
    assert demo.run(8, 40, run_all) == (0, [])
    first_line = capsys.readouterr().err.splitlines()[0]
    assert re.search(f" {tmp_path}/var/demo .* QUOTEMILL_HOME", first_line)

    [(settings, stages)] = calls
    assert settings.home == tmp_path / "var" / "demo"
    assert settings.warehouse_url is None
    [first, *_] = gather.examine(settings.model_copy(update={"tdx": load_settings({}).tdx}))
    assert (first.verdict, first.exit_code) == ("ok", 0)
    assert "demo" in first.sentence
    assert "alerts" not in stages
    assert {"load", "build", "qa"} < {*stages}


def test_the_last_lines_activate_an_environment_that_the_shell_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").touch()
    (programs / "quotemill").touch(mode=0o755)
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", "/usr/bin")
    assert demo.activate() == [f". {programs}/activate"]
    monkeypatch.chdir(tmp_path)
    assert demo.activate() == [". .venv/bin/activate"]
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin")
    assert demo.activate() == []


def test_the_sandbox_of_a_demo_starts_beside_a_loaders_py(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / demo.HOME).mkdir(parents=True)
    (tmp_path / "loaders.py").write_text("raise RuntimeError('of the user')\n")
    monkeypatch.chdir(tmp_path)
    with demo._sandbox(2, 40, date(2026, 11, 20)) as url:
        assert url.startswith("http://127.0.0.1:")


def test_a_demo_whose_build_is_refused_ends_with_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def sandbox(*_: object) -> Iterator[str]:
        yield "http://127.0.0.1:9"

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_sandbox", sandbox)
    refused = RunResult((), 3, judgement=Judgement(), error="dbt: a model is wrong")
    assert demo.run(8, 40, lambda *_: refused) == (3, [])
    assert not (tmp_path / demo.HOME / "postgres").exists()
