"""A load is called a load in messages and help; a job is one of the schedule."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = [
    *(ROOT / "loaders" / "engine").glob("*.py"),
    *(ROOT / "loaders" / "cli").glob("*.py"),
    ROOT / "loaders" / "warehouse" / "lock.py",
    ROOT / "orchestration" / "cli" / "loads.py",
    ROOT / "orchestration" / "cli" / "load.py",
]
# tables, columns and keys are known by these names, and so is a command
KNOWN = re.compile(r"(?:quotemill|GET /api/)/?\s*jobs|ops\.\w+|%\(job\)s|\bjob_id\b")


def find_texts(source: str) -> list[str]:
    """Texts of more than a word that are no SQL, and what a command says of itself."""
    tree = ast.parse(source)
    own = [
        ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_command")
    ]
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]
    is_sql = re.compile(r"\b(?:select|where|from|update|join|order by|order|as)\b")
    return own + [text for text in texts if " " in text and not is_sql.search(text)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_calls_a_load_a_job(path: Path) -> None:
    texts = find_texts(path.read_text("utf-8"))
    assert [text for text in texts if re.search(r"\bjobs?\b", KNOWN.sub("", text))] == []
