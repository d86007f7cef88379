"""Our code imports, and asks modules for, what Windows has; a few parts that need POSIX do not."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.without_posix.windows_lacks import MODULES, NAMES

# imported on every system, and used after `require_posix` or where `IS_POSIX`
PARTS = (
    "loaders/engine/jobs.py",
    "loaders/files/lock.py",
    "loaders/files/process.py",
    "loaders/files/whole_file.py",
    "loaders/ticks/questdb/partitions.py",
    "loaders/ticks/questdb/server.py",
    "loaders/tq/client/program/__main__.py",
    "loaders/warehouse/embedded/",
    "orchestration/cli/schedule/install.py",
    "orchestration/console/processes.py",
    "quotemill/settings/files.py",
    "quotemill/systems.py",
)
LACKING = {f"{module}.{name}" for module, names in NAMES.items() for name in names.split()}


def list_posix_uses(tree: ast.AST, *, in_functions: bool) -> Iterator[str]:
    """What Windows lacks, with its line: in all of a module, or only what its import runs."""
    for node in ast.iter_child_nodes(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names if name.name in MODULES]
        elif isinstance(node, ast.ImportFrom):
            members = (f"{node.module}.{name.name}" for name in node.names)
            names = [name for name in members if name in LACKING or node.module in MODULES]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = [name for name in [f"{node.value.id}.{node.attr}"] if name in LACKING]
        yield from (f"{node.lineno}: {name}" for name in names)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if in_functions or not is_function:
            yield from list_posix_uses(node, in_functions=in_functions)


def list_modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("loaders", "orchestration", "quotemill"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def test_importing_a_module_takes_nothing_that_windows_lacks() -> None:
    taken = [
        f"{path}:{use}"
        for path, tree in list_modules()
        for use in list_posix_uses(tree, in_functions=False)
    ]
    assert taken == []


def test_only_the_named_parts_use_what_windows_lacks() -> None:
    users = {path for path, tree in list_modules() if [*list_posix_uses(tree, in_functions=True)]}
    assert {path for path in users if not path.startswith(PARTS)} == set()
    assert [part for part in PARTS if not any(path.startswith(part) for path in users)] == []


@pytest.mark.parametrize(
    "text",
    ["import fcntl", "from os import fork", "import signal\nEND = (signal.SIGKILL, None)"],
)
def test_the_check_sees_what_an_import_runs(text: str, tmp_path: Path) -> None:
    assert [*list_posix_uses(ast.parse(text), in_functions=False)]
    inside = "def act():\n" + "".join(f"    {line}\n" for line in text.splitlines())
    assert not [*list_posix_uses(ast.parse(inside), in_functions=False)]
