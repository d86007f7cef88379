"""Old open interest is recognised by the values of a whole chain."""

from datetime import date

import pytest

from loaders.ib.capture.open_interest_date import Comparison, compare_sessions

DAY, BEFORE, EARLIER = date(2026, 11, 19), date(2026, 11, 18), date(2026, 11, 17)
CHAIN = {n: 10 * n for n in range(1, 201)}


def compare(
    changed: int, traded: int | None, *, stored: date = BEFORE, count: int = 200
) -> Comparison:
    """A chain where `changed` values differ and the first `traded` contracts were traded."""
    values = {n: v for n, v in CHAIN.items() if n <= count}
    known = {n: {stored: v + (n <= changed)} for n, v in values.items()}
    conids = None if traded is None else range(1, traded + 1)
    return compare_sessions(values, known, by_clock=DAY, traded=lambda _: conids)


@pytest.mark.parametrize(
    ("changed", "traded", "is_older"),
    [
        (0, 200, True),
        (0, None, True),
        (0, 0, False),
        (2, 200, True),
        (2, None, False),
        (3, 200, False),
        (199, 200, False),
    ],
)
def test_an_unchanged_chain_is_old(changed: int, traded: int | None, is_older: bool) -> None:
    assert (compare(changed, traded).older is not None) is is_older


@pytest.mark.parametrize(
    ("changed", "traded", "is_older"), [(0, 4, False), (0, 9, False), (0, 10, True), (1, 20, False)]
)
def test_in_a_hardly_traded_chain_the_traded_contracts_decide(
    changed: int, traded: int, is_older: bool
) -> None:
    assert (compare(changed, traded).older is not None) is is_older


@pytest.mark.parametrize(
    ("changed", "traded", "doubtful"),
    [
        (2, 100, 98),
        (40, 100, 60),
        (75, 100, 25),
        (76, 100, 0),
        (0, 4, 0),
        (0, 9, 9),
        (3, 5, 2),
        (2, None, 0),
    ],
)
def test_a_quarter_of_the_traded_contracts_is_too_much_to_be_unchanged(
    changed: int, traded: int | None, doubtful: int
) -> None:
    comparison = compare(changed, traded)
    assert (comparison.older, len(comparison.doubtful)) == (None, doubtful)


def test_what_ended_in_doubt_is_no_witness_of_the_next_morning() -> None:
    """Of 100 traded contracts 60 got no final value; of the other 40 a half is unchanged."""
    values = dict.fromkeys(range(100), 7)
    known = {n: {EARLIER: 5} if n < 60 else {EARLIER: 5, BEFORE: 6} for n in values}
    half = {n: {**days, BEFORE: 7} if n >= 80 else days for n, days in known.items()}

    def compare_all(stored: dict[int, dict[date, int]]) -> Comparison:
        return compare_sessions(values, stored, by_clock=DAY, traded=lambda _: values)

    assert compare_all(known) == Comparison()
    assert compare_all(half).doubtful == {*range(60), *range(80, 100)}


def test_a_value_may_be_older_than_the_session_before() -> None:
    """Nothing was confirmed the day before: the chain is still that of the day before it."""
    assert compare(0, 200, stored=EARLIER).older == EARLIER


def test_neither_one_contract_nor_the_day_itself_proves_anything() -> None:
    assert compare(0, None, count=1) == Comparison()
    assert compare(0, 200, stored=DAY) == Comparison()
