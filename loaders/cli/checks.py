"""Printer of checks for both command lines."""

from collections.abc import Iterable, Mapping, Sequence

from loaders.cli import shell
from loaders.engine.check import Check


def print_checks(
    checks: Sequence[Check], words: Mapping[str, str] | None = None, json: bool = False
) -> None:
    """Print a line per check with its fix below, or a list for programs.

    `words` replace the statuses in the lines.
    """
    if json:
        shell.print_json([check.as_json() for check in checks])
    else:
        shell.print_table([row for check in checks for row in _rows(check, words or {})])


def _rows(check: Check, words: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    yield words.get(check.status, check.status), check.name, check.text
    if check.fix:
        yield "", "", f"fix: {check.fix}"
