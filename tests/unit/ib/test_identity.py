"""One number, one contract: which of several keeps it, and which terms are former ones."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from loaders.ib.contracts.identity import drop_shared_numbers, find_former
from loaders.ib.queries.landed import TERMS
from tests.unit.ib.gateways import contract

OLD, OTHER = contract(1), contract(2)
NEW = replace(OLD, strike=Decimal(50), local_symbol="AAPL  261218C00050000")
EX = date(2026, 11, 20)


def test_the_gateway_says_whose_a_shared_number_is() -> None:
    def drop(owner: Any, *, known: Any = (), new: Any = (), taken: Any = None) -> Any:
        left, added, bad = drop_shared_numbers(known, new, taken or {}, lambda _: owner)
        return left, added, [(row.candidate.strike, row.rule) for row in bad]

    name = f"must not be the number of {NEW.local_symbol}"
    assert drop(None, known=[OLD], new=[OTHER]) == ([OLD], [OTHER], [])
    # a known contract whose number has other terms now has left, and is not bad
    assert drop(NEW, known=[OLD, OTHER], new=[NEW]) == ([OTHER], [NEW], [])
    assert drop(NEW, new=[OLD, NEW]) == ([], [NEW], [(Decimal(200), name)])
    # nothing tells them apart
    left, added, bad = drop(None, new=[OLD, NEW])
    assert (left, added, len(bad)) == ([], [], 2)
    assert drop(None, known=[OLD], new=[NEW])[:2] == ([OLD], [])
    left, added, [(strike, rule)] = drop(None, new=[OLD, OTHER], taken={1: "MSFT"})
    assert (left, added, strike, "MSFT" in rule) == ([], [OTHER], Decimal(200), True)


def test_terms_that_change_are_kept_with_their_days() -> None:
    now = vars(OLD) | {"option_right": OLD.right}
    landed = {name: now[name] for name in ("conid", "symbol", *TERMS)} | {"last_changed": None}
    assert find_former([OLD, OTHER], {1: landed}, EX) == []
    [row] = find_former([NEW], {1: landed}, EX)
    assert (row["strike"], row["valid_to"]) == (Decimal(200), EX)
    # the second change of a day does not replace the terms of the day before
    assert find_former([NEW], {1: landed | {"last_changed": EX}}, EX) == []
