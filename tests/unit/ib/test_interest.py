"""Old open interest is told by its values, and one contract that did not change is no sign of it."""

from datetime import date

import pytest

from loaders.ib.capture.open_interest_date import frozen_since

DAY, BEFORE, EARLIER = date(2026, 11, 19), date(2026, 11, 18), date(2026, 11, 17)
CHAIN = {n: 10 * n for n in range(1, 201)}


def frozen(
    changed: int, traded: int | None, *, stored: date = BEFORE, count: int = 200
) -> date | None:
    """`changed` of the chain's values are others than those that are stored of an earlier day; the first
    `traded` contracts were traded."""
    values = {n: v for n, v in CHAIN.items() if n <= count}
    known = {n: {stored: v + (n <= changed)} for n, v in values.items()}
    found = None if traded is None else range(1, traded + 1)
    return frozen_since(values, known, DAY, lambda _: found)


@pytest.mark.parametrize(
    ("changed", "traded", "is_frozen"),
    [
        *((0, 200, True), (0, None, True), (0, 0, False), (2, 200, True)),
        *((2, None, False), (3, 200, False), (199, 200, False)),
    ],
)
def test_a_whole_chain_that_is_what_it_was_is_old(
    changed: int, traded: int | None, is_frozen: bool
) -> None:
    assert (frozen(changed, traded) is not None) is is_frozen


@pytest.mark.parametrize(
    ("changed", "traded", "is_frozen"), [(0, 4, False), (0, 5, True), (1, 20, False)]
)
def test_of_a_chain_that_is_hardly_traded_what_was_traded_tells(
    changed: int, traded: int, is_frozen: bool
) -> None:
    assert (frozen(changed, traded) is not None) is is_frozen


def test_a_value_may_be_older_than_the_session_before() -> None:
    """Nothing was confirmed of the day before: the chain is still the one of the day before that."""
    assert frozen(0, 200, stored=EARLIER) == EARLIER


def test_one_contract_alone_says_nothing_nor_does_what_is_stored_of_the_day_itself() -> None:
    assert frozen(0, None, count=1) is None
    assert frozen(0, 200, stored=DAY) is None
