"""Contracts that the gateway describes by values that cannot be: each costs itself alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loaders.sandbox.ib.listing import Instrument
from tests.integration.ib.bench import Bench, bench

REJECTED = (
    "select row_key, field, value, rule from raw_ib.rejected_row where is_withdrawn is not true "
    "order by row_key"
)
PLANNED = "select count(*)::int from raw_ib.session_contract"


@pytest.fixture
def undiscovered(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Bench]:
    # so many strikes that those at the money stay when the price moves
    chosen: dict[str, Any] = {"stage": 0, "symbols": ["AAPL"], "max_strikes_per_expiry": 4}
    with bench(new_database(), tmp_path / "home", **chosen) as made:
        yield made


def listed(made: Bench) -> list[Instrument]:
    """Contracts of the first expiry next to the money, of the stock's own class."""
    world, today = made.sandbox.world, made.sandbox.clock.date()
    spot = world.spot("AAPL", made.sandbox.clock)
    rows = [
        row
        for row in world.chain("AAPL", today).values()
        if row.trading_class == "AAPL" and row.expiry_text == "20261218"
    ]
    return sorted(rows, key=lambda row: (abs(row.strike - spot), row.right))


def test_one_bad_contract_is_one_rejected_contract(undiscovered: Bench) -> None:
    zero, odd, twin, original = listed(undiscovered)[:4]
    faults = undiscovered.sandbox.faults
    rules = [
        faults.add(f"conid-zero:conid={zero.conid}"),
        faults.add(f"bad-multiplier:conid={odd.conid}:value=X"),
        faults.add(f"same-conid:conid={twin.conid}:of={original.conid}"),
    ]
    result = undiscovered.load("discover")
    assert (result.status, result.exit_code, result.total("rows_rejected")) == ("succeeded", 0, 3)
    assert any("3 rejected" in line for line in result.summary())

    def name(row: Instrument) -> str:
        return f"AAPL 2026-12-18 {row.strike:g} {row.right} AAPL"

    number = "must be a number above 0"
    shared = f"must not be the number of {original.local_symbol}"
    assert undiscovered.rows(REJECTED) == sorted(
        [
            (name(zero), "conid", "0", number),
            (name(odd), "multiplier", "X", number),
            (name(twin), "conid", f"{original.conid}", shared),
        ]
    )
    [(planned,)] = undiscovered.rows(PLANNED)
    stored = "select count(*)::int from raw_ib.contract where conid = any(%s)"
    conids = [row.conid for row in (zero, odd, twin, original)]
    assert undiscovered.rows(stored, conids) == [(1,)]
    slot = undiscovered.at("2026-11-19T10:00:05").load("snapshot", slot="now")
    assert (slot.status, slot.exit_code, slot.total("rows_new") >= planned) == (
        "succeeded",
        0,
        True,
    )

    for rule in rules:
        faults.remove(rule)
    assert undiscovered.at("2026-11-20T09:25:00").load("discover").exit_code == 0
    assert undiscovered.rows(REJECTED) == []
    assert undiscovered.rows(stored, conids) == [(4,)]
