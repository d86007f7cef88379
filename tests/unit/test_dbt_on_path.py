"""Another dbt that comes first on PATH is named by doctor, with what to type instead."""

import re
import sys
import tomllib
from pathlib import Path

import dbt.include
import pytest
import yaml

from loaders.engine.check import Check
from loaders.settings import load_settings
from orchestration.checks import dbt_on_path, doctor
from orchestration.run.quick_dbt import VERSIONS
from tests.conftest import ROOT

OWN = Path(sys.executable).parent
NEWER = "Core:\n  - installed: 1.12.6\n  - latest:    1.12.6\n\nPlugins:\n  - postgres: 1.11.0\n"
SAME = NEWER.replace("installed: 1.12.6", "installed: 1.11.16")


def names_in(path: Path) -> list[str]:
    """The macros of a file."""
    return re.findall(r"{%-?\s*macro\s+(\w+)", path.read_text("utf-8"))


def check_with(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """The checks where a program `dbt` comes before everything else on PATH."""
    path.mkdir()
    program = path / "dbt"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:{OWN}:/usr/bin:/bin")
    return [*dbt_on_path.check()]


@pytest.mark.parametrize(
    ("script", "version"),
    [
        (f"echo '{NEWER}'", "1.12.6"),
        ("echo 'dbt-fusion 2.0.9'", "2.0.9"),
        (f"echo '{SAME.partition('Plugins')[0]}'", "1.11.16"),
        ("exit 1", "of no known version"),
    ],
)
def test_another_dbt_first_on_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, version: str
) -> None:
    [warning] = check_with(tmp_path / "bin", script, monkeypatch)
    needed = "the project needs dbt 1.11.x with dbt-postgres"
    assert (warning.status, warning.text) == (
        "warn",
        f"`dbt` is {tmp_path / 'bin' / 'dbt'}, {version}; {needed}",
    )
    assert warning.fix == f"quotemill dbt build, or {OWN / 'dbt'} in dbt_project/"
    assert (OWN / "dbt").is_file()


def test_the_own_dbt_and_one_that_can_build_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_with(tmp_path / "bin", f"echo '{SAME}'", monkeypatch) == []
    for path in (str(OWN), "/nowhere"):
        monkeypatch.setenv("PATH", path)
        assert [*dbt_on_path.check()] == []


def test_doctor_names_another_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_with(tmp_path / "bin", "echo 2.0.9", monkeypatch)
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path / "home"))
    assert "dbt" in [check.name for check in doctor.examine(load_settings())]


def test_the_project_the_package_and_our_commands_ask_for_the_same_dbt() -> None:
    project = yaml.safe_load((ROOT / "dbt_project" / "dbt_project.yml").read_text("utf-8"))
    package = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    # dbt itself refuses a project of another version, in a sentence
    assert project["require-dbt-version"] == [">=1.11.0", "<1.12.0"]
    assert "dbt-core>=1.11,<1.12" in package["optional-dependencies"]["load"]
    assert VERSIONS == {"dbt-core": "1.11."}


def test_the_decision_names_every_macro_that_replaces_one_of_dbt() -> None:
    decision = (ROOT / "docs" / "decisions" / "0020-dbt-1-11.md").read_text("utf-8")
    theirs = {
        name for path in Path(dbt.include.__path__[0]).rglob("*.sql") for name in names_in(path)
    }
    ours = {name for path in (ROOT / "macros").rglob("*.sql") for name in names_in(path)}
    replaced = {name for name in ours if name in theirs or name.startswith("postgres__")}
    assert replaced == {*re.findall(r"`(generate_schema_name|postgres__\w+)`", decision)}
