"""Printer of checks for both command lines."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from loaders.check import Check
from loaders.cli import shell


def print_checks(checks: Iterable[Check], json: bool = False) -> None:
    """Print a line per check with its fix below, or a list for programs.

    Checks one after another with the same fix have it below the last.
    """
    if json:
        rows = ((c.as_json(), {"status": c.verdict, "seen": c.sentence}) for c in checks)
        shell.print_json([row | older for row, older in rows])
    else:
        shell.print_table([*_list_rows([*checks])])


def _list_rows(checks: Sequence[Check]) -> Iterable[tuple[str, str, str]]:
    for check, below in zip_longest(checks, checks[1:]):
        # where all is well there is nothing to fix: it is what somebody may want
        is_note = check.verdict == "ok" and check.fix
        yield "note" if is_note else check.verdict, check.name, check.text
        if check.fix and (below is None or (below.name, below.fix) != (check.name, check.fix)):
            yield "", "", f"fix: {check.fix}"
