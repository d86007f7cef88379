"""Printer of checks for both command lines."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from loaders.cli import shell
from loaders.engine.check import Check


def print_checks(
    checks: Sequence[Check], words: Mapping[str, str] | None = None, json: bool = False
) -> None:
    """Print a line per check with its fix below, or a list for programs.

    Checks one after another with the same fix have it below the last. `words` replace the statuses
    in the lines.
    """
    if json:
        shell.print_json([check.as_json() for check in checks])
    else:
        shell.print_table(list(_list_rows(checks, words or {})))


def _list_rows(checks: Sequence[Check], words: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    for check, below in zip_longest(checks, checks[1:]):
        # where all is well there is nothing to fix: it is what somebody may want
        wish = f": {check.fix}" if check.status == "ok" and check.fix else ""
        yield words.get(check.status, check.status), check.name, f"{check.text}{wish}"
        if (
            check.fix
            and not wish
            and (below is None or (below.name, below.fix) != (check.name, check.fix))
        ):
            yield "", "", f"fix: {check.fix}"
