"""What both sandboxes' books of faults do alike."""

from collections.abc import Callable
from typing import Any

import pytest

from loaders.sandbox.tdx.faults import FaultBook
from loaders.sandbox.tq.faults import FaultPlan
from loaders.sandbox.world.rulebook import RuleBook

BOOKS = [
    (FaultBook, "reset:first=1", lambda book: bool(book.hits("quote", ("sh600000",)))),
    (FaultBook, "rate-limit:per_second=1", lambda book: not book.hits("quote", ("sh600000",))),
    (FaultPlan, "auth:times=1", lambda book: book.strike("auth") is not None),
]


@pytest.mark.parametrize(("kind", "text", "strikes"), BOOKS)
@pytest.mark.parametrize("clear", [False, True])
def test_a_rule_that_was_taken_away_begins_anew(
    kind: Callable[[list[str]], RuleBook[Any]],
    text: str,
    strikes: Callable[[RuleBook[Any]], bool],
    clear: bool,
) -> None:
    book = kind([text])
    (rule,) = book.rules
    assert [strikes(book), strikes(book)] == [True, False]
    versions = [book.version]
    if clear:
        book.clear()
    else:
        book.remove(rule)
    versions.append(book.version)
    assert book.rules == []
    assert book.add(rule) is rule
    versions.append(book.version)
    assert strikes(book)
    assert len(set(versions)) == 3
