"""What both command lines have in common: version, near names, panels and names, help."""

import inspect
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import loaders.cli
import orchestration.cli
from tests import write_reference

APPS = pytest.mark.parametrize("app", [loaders.cli.app, orchestration.cli.app])
RUNNER = CliRunner(env={"COLUMNS": "80", "NO_COLOR": "1", "TERMINAL_WIDTH": "80"})


@APPS
def test_the_version_is_printed(app: typer.Typer) -> None:
    done = RUNNER.invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"quotemill {version('quotemill')}\n")


@APPS
def test_a_mistyped_command_names_the_nearest(app: typer.Typer) -> None:
    done = RUNNER.invoke(app, ["statsu"])
    assert done.exit_code == 2
    assert "'status'" in done.output


@APPS
def test_each_command_has_a_panel_and_a_line_of_80_columns(app: typer.Typer) -> None:
    group: Any = typer.main.get_command(app)
    listed = {name: child for name, child in group.commands.items() if not child.hidden}
    text = RUNNER.invoke(app, ["--help"]).output
    panels = re.findall(r"╭─ ([\w ]+) ─+╮\n(.*?)╰", text, re.DOTALL)[1:]
    rows = [
        (re.findall(r"│ (.{2,}?)  ", line)[0].strip(), title)
        for title, lines in panels
        for line in lines.splitlines()
    ]
    assert rows == [(name, child.rich_help_panel) for name, child in listed.items()]
    assert panels[0][0] == "Common"
    assert len(panels[0][1].splitlines()) <= 10


def test_another_name_of_a_command_is_the_same_function_and_its_help_says_so() -> None:
    commands = dict(write_reference.commands(hidden=True))
    named = {
        name: same_as[1]
        for name, command in commands.items()
        if (same_as := re.search(r"The same as `(.+?)`\.", command.help or ""))
    }
    assert (named["quotemill jobs"], commands["quotemill jobs"].hidden) == ("quotemill loads", True)
    for name, other in named.items():
        functions = {inspect.unwrap(commands[each].callback) for each in (name, other)}
        assert len(functions) == 1, name


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("quotemill cancel", "loaders cancel"),
        ("quotemill options gate list", "quotemill gate list"),
        ("loaders retry", "quotemill retry"),
    ],
)
def test_a_hidden_command_still_runs_and_another_is_shown(hidden: str, shown: str) -> None:
    assert shown in dict(write_reference.commands())
    assert hidden not in dict(write_reference.commands())
    app = {"loaders": loaders.cli.app, "quotemill": orchestration.cli.app}
    program, *words = hidden.split()
    done = RUNNER.invoke(app[program], [*words, "--help"])
    assert (done.exit_code, f"Usage: root {' '.join(words)}" in done.output) == (0, True)


@pytest.mark.parametrize("name", ["archive", "restore"])
def test_the_last_of_some_days_is_a_day_in_the_help(name: str) -> None:
    text = RUNNER.invoke(orchestration.cli.app, [name, "--help"]).output
    option = text.partition("--until")[2].partition("--symbols")[0].replace("│", " ")
    assert "including this " in " ".join(option.split())


def test_help_of_80_columns_is_wrapped_once() -> None:
    done = RUNNER.invoke(orchestration.cli.app, ["schedule", "run", "--help"])
    text = done.output.partition("Arguments")[0]
    paragraph = next(p for p in text.split("\n \n") if "Call it from cron" in p)
    lines = [line.strip() for line in paragraph.strip().splitlines() if line.strip()]
    start = next(n for n, line in enumerate(lines) if line.startswith("Call it from cron"))
    end = next(n for n, line in enumerate(lines) if line.startswith("Example"))
    # every line but the last is filled: the next word would not have fitted
    filled = zip(lines[start : end - 1], lines[start + 1 : end], strict=True)
    assert all(len(line) + 1 + len(below.split()[0]) > 78 for line, below in filled)


def list_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name in getattr(command, "commands", {}):
        if name != "dbt":  # passes on what is typed
            yield from list_commands(command.commands[name], (*path, name))


@APPS
def test_no_help_of_80_columns_cuts_a_word_or_breaks_an_example_of_it(app: typer.Typer) -> None:
    for path in list_commands(typer.main.get_command(app)):
        text = RUNNER.invoke(app, [*path, "--help"]).output
        assert [line for line in text.splitlines() if re.search(r"\w…", line)] == [], path
        example = text.partition("\n Example:")[2].partition("╭")[0]
        assert len([line for line in example.splitlines() if line.strip()]) <= 1, path
