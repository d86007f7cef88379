"""Commands, exit codes and settings are in the reference, and the reference is what the code says."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from loaders import errors
from loaders.cli.shell import INTERRUPTED
from loaders.settings import load_settings
from tests import write_reference

COMMANDS = dict(write_reference.commands())
CALLED = {name: c for name, c in COMMANDS.items() if not getattr(c, "commands", None)}


@pytest.mark.parametrize("path", write_reference.FILES, ids=lambda path: path.name)
def test_generated_pages_are_what_the_code_says(path: Path) -> None:
    text = write_reference.FILES[path]()
    assert path.read_text("utf-8") == text, "stale: python -m tests.write_reference"


@pytest.mark.parametrize("name", CALLED)
def test_every_command_has_help_that_shows_an_example_of_itself(name: str) -> None:
    call = write_reference.example(CALLED[name])
    assert call is not None
    assert name in call


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_on_the_page_of_commands(name: str) -> None:
    page = (write_reference.ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert re.search(rf"^#+ {re.escape(name)}$", page, re.MULTILINE)


@pytest.mark.parametrize("name", CALLED)
def test_every_parameter_says_what_it_is_for(name: str) -> None:
    params: list[Any] = CALLED[name].params
    assert [p.name for p in params if p.name != "help" and not getattr(p, "help", None)] == []


def test_every_error_class_has_its_exit_code_documented() -> None:
    classes = {
        name: found.exit_code
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, errors.QuotemillError)
    }
    assert {name: code for name, code, _ in write_reference.exit_codes()} == classes
    readme = (write_reference.ROOT / "README.md").read_text("utf-8")
    listed = re.search(r"Exit codes: (.+?)\n\n", readme, re.DOTALL)
    assert listed is not None
    assert set(map(int, re.findall(r"\b\d+\b", listed[1]))) == {0, INTERRUPTED, *classes.values()}


def test_every_setting_is_described() -> None:
    assert [name for name, field in write_reference.settings() if not field.description] == []


def test_the_example_file_loads_as_it_is_and_means_the_defaults(tmp_path: Path) -> None:
    example = write_reference.ROOT / "quotemill.example.toml"
    as_it_is = load_settings({"QUOTEMILL_CONFIG": str(example)}, cwd=tmp_path)
    assert as_it_is == load_settings({}, cwd=tmp_path)


def test_the_example_file_loads_with_everything_uncommented(tmp_path: Path) -> None:
    example = (write_reference.ROOT / "quotemill.example.toml").read_text("utf-8")
    text = re.sub(r"^# (\w+ = )", r"\1", example, flags=re.MULTILINE)
    (tmp_path / "quotemill.toml").write_text(text, "utf-8")
    settings = load_settings({}, cwd=tmp_path)
    names = {name for name, _ in write_reference.settings()}
    assert set(settings.origins) == names
    defaults = load_settings({}, cwd=tmp_path.parent)
    shown = settings.model_dump()
    for name, value in defaults.tdx.model_dump().items():
        if value is not None:
            assert shown["tdx"][name] == value, name
    assert settings.market_schema == defaults.market_schema
