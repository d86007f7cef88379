"""Each command and option that a code block of a page shows exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import write_reference

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("README*.md")),
    ROOT / "docs" / "quickstart.md",
    ROOT / "docs" / "tutorial.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
]
COMMANDS = dict(write_reference.commands(hidden=True))


def calls(text: str) -> Iterator[list[str]]:
    """The words of each call of our command lines in the blocks.

    In a block of text a call stands at the start of a line, and what it does behind two spaces.
    """
    for block in re.findall(r"^ *```text\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        for line in re.findall(r"^ *((?:quotemill|loaders) [a-z].*)", block, re.MULTILINE):
            yield re.split(r"\s{2,}", line)[0].split()
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        plain = re.sub(r"(^|\s)#.*$", "", block.replace("\\\n", " "), flags=re.MULTILINE)
        lexer = shlex.shlex(plain, posix=True, punctuation_chars="();&|\n")
        lexer.whitespace, lexer.commenters = " \t\r", ""
        words: list[str] = []
        for word in [*lexer, "\n"]:
            if set(word) <= set("();&|\n"):
                while words and re.match(r"\w+=", words[0]):
                    words.pop(0)
                if words and words[0] in ("quotemill", "loaders"):
                    yield words
                words = []
            else:
                words.append(word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_code_blocks_exist(page: Path) -> None:
    for words in calls(page.read_text("utf-8")):
        name, *rest = words
        while rest and f"{name} {rest[0]}" in COMMANDS:
            name = f"{name} {rest.pop(0)}"
        if name == "quotemill export" and rest and rest[0] != "--help":
            name += " rows"  # which may be left out
        command: Any = COMMANDS[name]
        known = {option for p in command.params for option in [*p.opts, *p.secondary_opts]}
        if getattr(command, "commands", None) and rest:
            assert rest[0].startswith("-"), f"no such command: {' '.join(words)}"
        if command.context_settings.get("ignore_unknown_options"):
            continue  # dbt and psql read their own
        used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert used <= known | {"--help", "-h"}, " ".join(words)


def test_calls_are_read_from_blocks_with_all_their_options() -> None:
    text = """
```sh
A=1 loaders run tdx --codes x   # a comment
cd x && quotemill build && (loaders run \\
  tdx --since 2024-01-02)
```
```text
loaders run tq --mode mapping   only main contracts
```
"""
    assert list(calls(text)) == [
        ["loaders", "run", "tq", "--mode", "mapping"],
        ["loaders", "run", "tdx", "--codes", "x"],
        ["quotemill", "build"],
        ["loaders", "run", "tdx", "--since", "2024-01-02"],
    ]


def messages(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node.value


def test_nothing_names_an_unpublished_package_or_a_page_that_wheels_lack() -> None:
    modules = [p for top in ("loaders", "orchestration") for p in (ROOT / top).rglob("*.py")]
    texts = {path: "\n".join(messages(path)) for path in modules}
    assert len(texts) > 300
    pages = {page: page.read_text("utf-8") for page in [*PAGES, *(ROOT / "docs").glob("*.md")]}
    by_name = re.compile(r"pip install ['\"]?quotemill\b")  # not by the path of a wheel
    assert [path for path, text in (texts | pages).items() if by_name.search(text)] == []
    assert [path for path, text in texts.items() if re.search(r"\bdocs/[a-z-]+[./]", text)] == []
