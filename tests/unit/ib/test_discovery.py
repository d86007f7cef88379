"""Which contracts are looked up: the nearest strikes, and the next nearest for those that do not exist."""

from datetime import date
from decimal import Decimal

from loaders.ib.client.gateway import Candidate, ChainParams, Underlying
from loaders.ib.contracts.discovery import Found, Reference, candidates, replacements
from loaders.ib.settings import IbSettings

TODAY, NEAR, FAR = date(2026, 11, 19), date(2026, 12, 18), date(2027, 1, 15)
STOCK = Underlying("AAPL", 1, "SMART", "Apple", "USD")


def found(most: int | None, *strikes: str) -> Found:
    params = [
        ChainParams("AAPL", Decimal(100), (NEAR, FAR), tuple(map(Decimal, sorted(strikes)))),
    ]
    settings = IbSettings(max_strikes_per_expiry=most, max_dte=60)
    about = Reference(Decimal("100.4"), None, "history")
    wanted, further = candidates("AAPL", STOCK, about, params, TODAY, settings)
    return Found("AAPL", STOCK, about, wanted, further)


def strikes(chosen: list[Candidate], expiry: date = NEAR) -> list[str]:
    return [f"{c.strike}{c.right}" for c in chosen if c.expiry == expiry]


def test_the_nearest_strikes_are_wanted_and_the_others_in_the_range_stand_by() -> None:
    one = found(2, "99", "100", "101", "102.5", "60", "131")
    assert strikes(one.candidates) == ["100C", "100P", "101C", "101P"]
    assert strikes(one.further, FAR) == ["99C", "99P", "102.5C", "102.5P"]
    assert found(None, "99", "100").further == []


def test_the_next_nearest_of_the_same_chain_take_the_places_of_what_does_not_exist() -> None:
    one = found(2, "99", "100", "101", "102.5")
    gone = [c for c in one.candidates if c.expiry == NEAR and c.strike == 101]
    more = replacements(one, gone)
    assert (strikes(more), strikes(more, FAR)) == (["99C", "99P"], [])
    one.candidates += more
    # the next one does not exist either, and then none is left
    assert strikes(replacements(one, more)) == ["102.5C", "102.5P"]
    last = [c for c in one.candidates if c.expiry == NEAR and c.strike == 100]
    assert replacements(one, last) == []
    assert strikes(one.further, FAR) == ["99C", "99P", "102.5C", "102.5P"]


def test_a_strike_of_which_the_put_exists_keeps_its_place() -> None:
    one = found(2, "99", "100", "101")
    assert replacements(one, [one.candidates[0]]) == []
    assert replacements(one, []) == []
