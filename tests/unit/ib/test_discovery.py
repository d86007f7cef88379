"""Contracts that are looked up: the nearest strikes, and the next for those that do not exist."""

from datetime import date
from decimal import Decimal

from loaders.ib.client.values import Candidate, ChainParams, Underlying
from loaders.ib.contracts.discovery import (
    Discovery,
    Reference,
    choose_candidates,
    take_replacements,
)
from loaders.ib.settings import IbSettings

TODAY, NEAR, FAR = date(2026, 11, 19), date(2026, 12, 18), date(2027, 1, 15)
STOCK = Underlying("AAPL", 1, "SMART", "Apple", "USD")


def discovery(most: int | None, *strikes: str) -> Discovery:
    params = [
        ChainParams("AAPL", Decimal(100), (NEAR, FAR), tuple(map(Decimal, sorted(strikes)))),
    ]
    settings = IbSettings(max_strikes_per_expiry=most, max_dte=60)
    reference = Reference(Decimal("100.4"), None, "history")
    candidates, further = choose_candidates(
        STOCK, reference, params=params, today=TODAY, ib=settings
    )
    return Discovery("AAPL", STOCK, reference, candidates, further)


def strikes(chosen: list[Candidate], expiry: date = NEAR) -> list[str]:
    return [f"{c.strike}{c.right}" for c in chosen if c.expiry == expiry]


def test_the_nearest_strikes_are_candidates_the_others_stand_by() -> None:
    made = discovery(2, "99", "100", "101", "102.5", "60", "131")
    assert strikes(made.candidates) == ["100C", "100P", "101C", "101P"]
    assert strikes(made.further, FAR) == ["99C", "99P", "102.5C", "102.5P"]
    assert discovery(None, "99", "100").further == []


def test_the_next_strikes_of_the_chain_replace_impossible_ones() -> None:
    made = discovery(2, "99", "100", "101", "102.5")
    gone = [c for c in made.candidates if c.expiry == NEAR and c.strike == 101]
    more = take_replacements(made, gone)
    assert (strikes(more), strikes(more, FAR)) == (["99C", "99P"], [])
    made.candidates += more
    # the next one does not exist either, and then none is left
    assert strikes(take_replacements(made, more)) == ["102.5C", "102.5P"]
    last = [c for c in made.candidates if c.expiry == NEAR and c.strike == 100]
    assert take_replacements(made, last) == []
    assert strikes(made.further, FAR) == ["99C", "99P", "102.5C", "102.5P"]


def test_a_strike_with_an_existing_put_keeps_its_place() -> None:
    made = discovery(2, "99", "100", "101")
    assert take_replacements(made, [made.candidates[0]]) == []
    assert take_replacements(made, []) == []
