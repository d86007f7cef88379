"""What the runbooks name exists: commands with options, settings, tables, tests.

The page about the older runbooks leaves out nothing that those name.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from loaders import sources
from loaders.ticks import tables as tick_tables
from orchestration.checks import gather
from tests import write_reference
from tests.conftest import ROOT
from tests.requirements import require

PAGE = (ROOT / "docs" / "appendix" / "older-runbooks.md").read_text("utf-8")
# tests/e2e/test_older_commands.py types each line of the second
OLDER, TYPED = PAGE.split("## Commands of options")
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
COMMANDS = dict(write_reference.commands(hidden=True))
SETTINGS = {name for name, _ in write_reference.settings()}
DATASETS = {dataset.name for name in sources.MODULES for dataset in sources.find(name).datasets}


def spans(text: str) -> list[str]:
    """The texts between back-ticks, without blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def our_spans() -> Iterator[tuple[str, str]]:
    """Each name in the middle column of `OLDER`, with the first cell of its row."""
    for line in re.findall(r"^\|(.+)\|$", OLDER, re.MULTILINE):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if cells[0] not in ("older", "---"):
            assert len(cells) == 3, line
            assert spans(cells[1]), f"nothing of ours stands for {cells[0]}"
            yield from ((cells[0], span) for span in spans(cells[1]))


def is_call(span: str) -> bool:
    return span.split()[0] in ("loaders", "quotemill")


def tables() -> set[str]:
    """Everything that users read: landed tables, models, ops, the tick store."""
    names = {table.qualified for table in sources.landed_tables()}
    models = ROOT / "dbt_project" / "models"
    for pattern in ("core/*/*.sql", "marts/*/*.sql", "qa/*.sql"):
        names |= {f"{path.parent.name}.{path.stem}" for path in models.glob(pattern)}
    for path in (ROOT / "loaders" / "warehouse" / "migrations").glob("*.sql"):
        made = r"create (?:or replace )?(?:table|view) (ops\.\w+)"
        names |= set(re.findall(made, path.read_text("utf-8")))
    return names | {table.name for table in tick_tables.QUESTDB_TABLES}


NAMED = list(our_spans())
LINES = "\n".join(line for line in TYPED.splitlines() if line.startswith("|"))
CALLS = {span for page in RUNBOOKS for span in spans(page.read_text("utf-8")) if is_call(span)}
CALLS |= {span for span in spans(LINES) if is_call(span)}


@pytest.mark.parametrize("call", sorted(CALLS | {span for _, span in NAMED if is_call(span)}))
def test_every_command_exists_and_takes_its_options(call: str) -> None:
    name, *rest = shlex.split(call)
    while rest and f"{name} {rest[0]}" in COMMANDS:
        name = f"{name} {rest.pop(0)}"
    command: Any = COMMANDS[name]
    is_group = getattr(command, "commands", None) and not command.invoke_without_command
    assert not is_group, f"{name} is a group: which of its commands?"
    if rest:  # else it is mentioned by its name alone
        taken = command.make_context(name, rest).params  # parses, and runs nothing
        assert set(taken.get("dataset") or ()) <= DATASETS


def test_every_table_and_setting_that_stands_for_an_older_one_exists() -> None:
    targets = {f"make {t}" for t in re.findall(r"^([a-z-]+):", _makefile(), re.MULTILINE)}
    known = tables() | SETTINGS | targets
    assert [(row, span) for row, span in NAMED if not is_call(span) and span not in known] == []


def test_the_page_leaves_no_route_option_file_or_table_of_theirs_out() -> None:
    theirs = ROOT.parent / "shared" / "reference" / "older-runbooks.md"
    require("shared", theirs.is_file(), f"the list of the older runbooks is not at {theirs}")
    assert sorted(_names(theirs.read_text("utf-8")) - _names(PAGE)) == []


FAILURES = "| failure | result | doctor | test |"
GUARDS = "| guard | what trips it | what ends it | meanwhile | test of the end |"


def list_rows(titles: str) -> list[list[str]]:
    """The rows of the runbooks' tables with these titles."""
    head = re.escape(titles) + r"\n\|[-|]+\|\n((?:\|.*\|\n?)+)"
    text = "\n".join(page.read_text("utf-8") for page in RUNBOOKS)
    rows = "".join(re.findall(head, text)).splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_test_that_the_tables_of_failures_and_guards_name_exists() -> None:
    rows, guards = list_rows(FAILURES), list_rows(GUARDS)
    assert (len(rows) > 45, len(guards) > 15) == (True, True)
    # each guard ends by itself, and a test shows its end
    named = [re.fullmatch(r"`(tests/[\w/]+\.py)::(\w+)`", row[-1]) for row in (*rows, *guards)]
    assert all(named)
    tests = [match.groups() for match in named if match]
    assert [(path, name) for path, name in tests if name not in _tests_of(ROOT / path)] == []


def test_each_failure_has_a_check_of_the_doctor_or_says_why_none() -> None:
    cells = [row[2] for row in list_rows(FAILURES)]
    named = [re.fullmatch(r"(`[^`]+`(?:, `[^`]+`)*)(?: \(.+\))?", cell) for cell in cells]
    silent = [cell for cell, match in zip(cells, named, strict=True) if not match]
    assert [cell for cell in silent if not re.match(r"no: \w+ \w+", cell)] == []
    wanted = {name for match in named if match for name in spans(match[1])}
    assert wanted - set(doctors_checks()) == set()


def test_the_runbook_lists_every_check_of_the_doctor() -> None:
    modules = {place.partition(":")[0] for place in gather.CHECKS.values()}
    paths = [ROOT / "orchestration" / "checks" / f"{module}.py" for module in modules]
    paths += [*(ROOT / "loaders").glob("*/doctor.py"), ROOT / "loaders" / "check.py"]
    # these yield parts of a check
    paths += [ROOT / "loaders" / "warehouse" / f"{name}.py" for name in ("disks", "editions")]
    code = "".join(path.read_text("utf-8") for path in paths)
    planned = r'\((?="[a-z ]+", (?:partial|_check))|yield (?="[a-z ]+", text,)'
    made = set(re.findall(rf'(?:Check\(|failed\(|{planned})\s*"([a-z ]+)"', code))
    # one that breaks is a row with its name
    assert made | set(gather.DOCTOR) == set(doctors_checks())


def doctors_checks() -> list[str]:
    """The checks that the runbook lists."""
    page = (ROOT / "docs" / "runbooks" / "loads.md").read_text("utf-8")
    section = page.split("## Checks of the doctor")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[a-z_ ]+`(?:, `[a-z_ ]+`)*) \|", section, re.MULTILINE)
    return [name for row in rows for name in spans(row)]


def _makefile() -> str:
    return (ROOT / "Makefile").read_text("utf-8")


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.parse("")
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _names(text: str) -> set[str]:
    """Routes, options and names with an underscore; `kline_{5,15}m` are two names."""
    spelled = re.sub(r"[\w.-]*(?:\{[^}]*\}[\w.-]*)+", _spell_out, text)
    return set(re.findall(r"/api/[\w/{}-]*\w|--[a-z][\w-]+|\b[A-Za-z]\w*_\w+", spelled))


def _spell_out(match: re.Match[str]) -> str:
    parts = re.split(r"\{([^}]*)\}", match[0])
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return " ".join("".join(choice) for choice in product(*choices))
