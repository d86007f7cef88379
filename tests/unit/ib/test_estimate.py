"""How many contracts fit a slot, and what does not."""

import re

import pytest

from loaders.ib.planning.estimate import (
    describe_lag,
    describe_overflow,
    estimate_slot,
)
from loaders.ib.settings import IbSettings


def settings(per_minute: int = 30, size: int = 10, window: int = 15) -> IbSettings:
    rates = {"snapshot": {"per_minute": per_minute}}
    given = {"max_concurrent_snapshots": size, "slot_window_minutes": window}
    return IbSettings.model_validate(given | {"rate_limits": rates})


def test_the_rates_give_batches_and_minutes() -> None:
    plan = estimate_slot(settings(90, 20), {f"S{n}": 8 for n in range(50)}, hold_s=0.1)
    assert (plan.contracts, plan.batches) == (400, 20)
    # 450 messages take longer than the tokens
    assert plan.seconds == pytest.approx(450 / 40)
    assert plan.fits
    assert str(plan) == (
        "400 contracts of 50 symbols: 20 batches of 20, 90 a minute after 15, 0.2 of 15.0 minutes; "
        "at 0.1 s a batch 27,300 contracts fit"
    )
    assert str(estimate_slot(settings(), {"AAPL": 1})).startswith(
        "1 contract of 1 symbol: 1 batch "
    )
    shorter = settings().model_copy(update={"slot_before_close_enabled": True})
    assert estimate_slot(shorter, {"AAPL": 8}).seconds_allowed == 13 * 60
    slow = estimate_slot(settings(30, 20), {f"S{n}": 8 for n in range(50)}, hold_s=0.1)
    assert slow.seconds == pytest.approx(15 * 60 / 30)


def test_lines_that_are_held_long_limit_the_capacity() -> None:
    quick, slow = (estimate_slot(settings(), {"AAPL": 3000}, hold) for hold in (1.0, 11.0))
    assert quick.capacity == (5 + 15 * 30) * 10
    assert slow.capacity == int(15 * 60 / 11) * 10
    assert (quick.fits, slow.fits) == (True, False)
    # no more than the longest wait counts
    assert estimate_slot(settings(), {"AAPL": 3000}, 960.0).hold_s == 12.0
    wire = estimate_slot(settings(6000, 80), {"AAPL": 3000}, 0.01)
    assert wire.capacity == 15 * 60 * 40 - 1
    # a capture gives way two minutes before the next slot, whatever the window
    whole = estimate_slot(settings(window=30), {"AAPL": 3000}, 1.0)
    assert whole.capacity == (5 + 28 * 30) * 10
    many = f"{3000 - slow.capacity:,} contracts do not fit into a slot"
    assert str(describe_overflow(slow)).startswith(many)
    assert describe_overflow(quick) is None
    full, over = (estimate_slot(settings(), {"AAPL": slow.capacity + n}, 11.0) for n in (0, 1))
    assert (full.fits, over.fits) == (True, False)


def test_a_slot_that_takes_longer_than_the_lag_allows_is_named() -> None:
    slot = estimate_slot(settings(30, 10), {"AAPL": 1000}, hold_s=0.1)  # 95 tokens, 2 s each
    assert slot.seconds == pytest.approx(190)
    assert describe_lag(slot, 181) is None
    late = describe_lag(slot, 120)
    assert re.search("95% .* 180 s, .* ib.max_capture_lag_seconds = 120", late or "")
