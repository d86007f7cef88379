"""How many contracts fit a slot, and who gives way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from loaders.ib.planning.capacity import nearest, refuse, shares, slot_plan
from loaders.ib.settings import IbSettings


def settings(per_minute: int = 30, size: int = 10) -> IbSettings:
    rates = {"snapshot": {"per_minute": per_minute}}
    return IbSettings.model_validate({"max_concurrent_snapshots": size, "rate_limits": rates})


def test_a_plan_tells_batches_and_minutes_by_the_rates() -> None:
    plan = slot_plan(settings(90, 20), {f"S{n}": 8 for n in range(50)}, hold_s=0.1)
    assert (plan.total, plan.batches) == (400, 20)
    # 450 messages take longer than the tokens
    assert plan.seconds == pytest.approx(450 / 40)
    assert plan.fits
    assert str(plan).startswith("400 contracts of 50 symbols: 20 batches of 20, 0.2 of 28 minutes")
    slow = slot_plan(settings(30, 20), {f"S{n}": 8 for n in range(50)}, hold_s=0.1)
    assert slow.seconds == pytest.approx(15 * 60 / 30)


def test_lines_that_are_held_long_are_the_limit() -> None:
    quick, slow = (slot_plan(settings(), {"AAPL": 3000}, hold) for hold in (1.0, 11.0))
    assert quick.capacity == (5 + 28 * 30) * 10
    assert slow.capacity == int(28 * 60 / 11) * 10
    assert (quick.fits, slow.fits) == (True, False)
    # a session of few answers tells of no longer wait than there is
    assert slot_plan(settings(), {"AAPL": 3000}, 960.0).hold_s == 12.0
    wire = slot_plan(settings(6000, 80), {"AAPL": 3000}, 0.01)
    assert wire.capacity == 28 * 60 * 40 - 1
    assert "do not fit a slot" in str(refuse(slow))


@hypothesis_settings(deadline=None)
@given(
    st.dictionaries(st.text("ABC", min_size=1), st.integers(0, 500), min_size=1),
    st.integers(0, 2000),
)
def test_shares_fit_and_leave_nothing_that_somebody_wants(
    wanted: dict[str, int], capacity: int
) -> None:
    found = shares(wanted, capacity)
    assert found.keys() == wanted.keys()
    assert all(0 <= found[s] <= wanted[s] for s in wanted)
    assert sum(found.values()) <= capacity
    if sum(wanted.values()) <= capacity:
        assert found == wanted
    else:
        short = [s for s in wanted if found[s] < wanted[s]]
        # who gets less than wanted gets as much as anybody, but for a rest of one
        assert all(found[s] >= max(found.values()) - 1 for s in short)


def test_the_nearest_to_the_money_stay_in_their_order() -> None:
    names = ["far", "near", "at", "off"]
    distance = dict(zip(names, map(Decimal, (30, 5, 0, 12)), strict=True))
    assert nearest(names, distance, 2) == ["near", "at"]
    assert nearest(names, distance, 4) == names
