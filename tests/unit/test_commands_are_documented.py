"""The generated reference covers every command, exit code, setting and column."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from loaders.settings import load_settings
from loaders.sources import landed_tables
from quotemill import errors
from quotemill.errors import INTERRUPTED
from tests import reference_columns, write_reference

COMMANDS = dict(write_reference.commands())
SAME_AS = re.compile(r"The same as `(.+?)`\.")
CALLED = {name: c for name, c in COMMANDS.items() if not getattr(c, "commands", None)}


def test_the_example_file_is_what_the_code_says() -> None:
    text = write_reference.EXAMPLE.read_text("utf-8")
    assert text == write_reference.example_file(), "stale: python -m tests.write_reference"


@pytest.mark.parametrize("path", write_reference.PAGES, ids=lambda path: path.name)
def test_a_generated_page_is_ignored_by_git_and_has_a_title(path: Path) -> None:
    assert write_reference.PAGES[path]().startswith("# ")
    ignored = (write_reference.ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert path.relative_to(write_reference.ROOT).as_posix() in ignored


def test_every_command_has_help_that_shows_an_example_of_itself() -> None:
    examples = {
        same_as[1] if (same_as := SAME_AS.search(command.help)) else name: command
        for name, command in CALLED.items()
    }
    calls = {name: write_reference.example(command) or "" for name, command in examples.items()}
    assert {name: call for name, call in calls.items() if name not in call} == {}


def test_every_command_is_on_the_page_of_commands() -> None:
    titles = re.findall(r"^#+ (.+)$", write_reference.commands_page(), re.MULTILINE)
    assert set(COMMANDS) <= set(titles)


def test_every_setting_is_on_the_page_of_settings() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", write_reference.settings_page(), re.MULTILINE)
    assert rows == [name for name, _ in write_reference.settings()]


def test_every_column_is_on_the_page_of_columns() -> None:
    models, raw = write_reference.columns_page().split("## Raw tables")
    for page, columns in (
        (models, reference_columns.model_columns()),
        (raw, reference_columns.raw_columns()),
    ):
        rows = re.findall(r"^\| `(\w+)` \| .* \| (.+) \|$", page, re.MULTILINE)
        shown = {(table, column) for column, tables in rows for table in tables.split(", ")}
        assert shown == {(f"`{table}`", column) for table, column, _, _ in columns}


def test_sources_of_dbt_describe_exactly_the_own_columns_of_landed_tables() -> None:
    lineage = set(reference_columns.LINEAGE)
    own = {table.qualified: {*table.stored.names} - lineage for table in landed_tables()}
    described = reference_columns.described_tables()
    named = {table: {*columns} - {"is_final"} for table, columns in described.items()}
    assert len(named) > 40
    assert named == {table: own.get(table) for table in named}


def test_every_parameter_says_what_it_is_for() -> None:
    params: list[tuple[str, Any]] = [
        (n, p) for n, command in CALLED.items() for p in command.params
    ]
    without = [(n, p.name) for n, p in params if p.name != "help" and not getattr(p, "help", None)]
    assert without == []


def test_every_error_class_has_its_exit_code_documented() -> None:
    classes = {
        name: error.exit_code
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.QuotemillError)
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
