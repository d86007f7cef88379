"""The bucket of tokens, by a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.engine.outcome import Stopped
from loaders.ib.pacing import MachineWaits, TokenBucket, seconds_for
from tests.unit.ib.gateways import Time


@given(st.integers(1, 600), st.lists(st.floats(0, 30), max_size=60))
def test_no_period_sees_more_than_a_burst_and_what_came_in(
    per_minute: int, gaps: list[float]
) -> None:
    time = Time()
    bucket, taken = TokenBucket(per_minute, time), []
    for gap in gaps:
        time.pause(gap)
        bucket.take()
        taken.append(time.monotonic())
    for n, start in enumerate(taken):
        for m in range(n, len(taken)):
            most = bucket.burst + (taken[m] - start) * per_minute / 60
            assert m - n + 1 <= most + 1 + 1e-6


def test_a_full_bucket_gives_a_burst_and_then_an_even_stream() -> None:
    time = Time()
    bucket = TokenBucket(90, time)
    for _ in range(20):
        bucket.take()
    assert time.monotonic() == pytest.approx(seconds_for(20, 90)) == pytest.approx(5 / 1.5)
    assert bucket.waited == pytest.approx(time.monotonic())


def test_a_complaint_empties_the_bucket_and_slows_it() -> None:
    time = Time()
    bucket = TokenBucket(60, time)
    bucket.slow_down()
    bucket.take()
    assert (bucket.per_minute, time.monotonic()) == (48, 1.25)


def test_a_load_that_is_to_stop_ends_its_pause() -> None:
    with pytest.raises(Stopped):
        MachineWaits(lambda: True).pause(3600)
