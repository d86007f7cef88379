"""The language check of `make lint` sees what it should, and nothing else."""

from pathlib import Path

import pytest

from tests import lint_language


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("reason = _told(conn)", "word that is not used: told"),
        ("# -- reading " + "-" * 20, "banner comment"),
        ("x = 1  # fmt: skip", "comment that steers the formatter"),
        ("x = '" + "y" * 100 + "'", "106 columns"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(line: str, message: str) -> None:
    assert list(lint_language.line_errors(Path("a.py"), line)) == [(1, message)]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.py", "if x is None: recommend(row['told_at'])"),
        ("a.sql", "{% if x is none %}"),
        ("a.md", "| " + "a long row of a table " * 9 + " |"),
        ("a.md", "<https://example.com/" + "a" * 100 + ">"),
    ],
)
def test_names_that_users_know_tables_and_addresses_are_left_alone(name: str, line: str) -> None:
    assert list(lint_language.line_errors(Path(name), line)) == []


def test_a_starred_literal_is_named_and_an_unpacked_value_is_not() -> None:
    text = "names = [*values,\n    *('a', 'b')]\n"
    assert list(lint_language.syntax_errors(text)) == [
        (2, "starred literal that steers the formatter")
    ]


def test_a_name_that_is_not_used_is_named_where_it_is_defined() -> None:
    text = "def of_code(one):\n    found, kept_rows = look(one)\n    self._told = found\n"
    assert sorted(lint_language.syntax_errors(text)) == [
        (1, "name that is not used: of_code"),
        (1, "name that is not used: one"),
        (2, "name that is not used: found"),
        (3, "name that is not used: _told"),
    ]
