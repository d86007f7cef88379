"""A worse capture never replaces a better one, in any order."""

from datetime import timedelta
from itertools import pairwise, permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loaders.ib.capture.better_row import is_better, rank
from tests.unit.ib.gateways import TEN

Row = dict[str, Any]
WINDOW = 900


def row(**values: Any) -> Row:
    good = {"snapshot_error": False, "market_data_type": 1, "bid": 1, "ask": 2, "last": 1}
    good |= {"error_type": None, "capture_lag_s": 5}
    return good | {"iv": 0.2, "delta": 0.5, "data_quality_flag": "", "asof_at": TEN} | values


rows = st.fixed_dictionaries(
    {
        "snapshot_error": st.booleans(),
        "error_type": st.sampled_from([None, "no_answer", "not_asked"]),
        "capture_lag_s": st.sampled_from([WINDOW, WINDOW + 1]),
        "market_data_type": st.sampled_from([None, 1, 2, 3, 4]),
        "bid": st.sampled_from([None, 1]),
        "ask": st.sampled_from([None, 2]),
        "last": st.sampled_from([None, 1]),
        "iv": st.sampled_from([None, 0.2]),
        "delta": st.sampled_from([None, 0.5]),
        "data_quality_flag": st.sampled_from(["", "late_capture", "crossed_quote,late_capture"]),
        "asof_at": st.sampled_from([None, TEN, TEN + timedelta(seconds=9)]),
    }
)


def landed(captures: tuple[Row, ...]) -> Row:
    stored: Row | None = None
    for capture in captures:
        if is_better(capture, stored, WINDOW):
            stored = capture
    assert stored is not None
    return stored


@given(st.lists(rows, min_size=1, max_size=4))
def test_every_order_leaves_a_row_of_the_same_rank(captures: list[Row]) -> None:
    ranks = {rank(landed(order), WINDOW) for order in permutations(captures)}
    assert ranks == {max(rank(capture, WINDOW) for capture in captures)}


def test_each_reason_counts_before_the_next() -> None:
    later = TEN + timedelta(minutes=5)
    error: Row = dict.fromkeys(("market_data_type", "bid", "ask", "iv", "asof_at"))
    error["snapshot_error"] = True
    ladder = [
        row(**error, error_type="not_asked", capture_lag_s=WINDOW + 1),
        row(**error, error_type="no_answer"),
        # whole and live, and of another time
        row(capture_lag_s=WINDOW + 1, data_quality_flag="late_capture", asof_at=later),
        row(market_data_type=3, asof_at=later),
        row(bid=None, iv=None, delta=None),
        row(iv=None, delta=None, asof_at=later),
        row(data_quality_flag="late_capture", asof_at=later),
        row(),
        row(asof_at=later, market_data_type=2),
    ]
    for worse, better in pairwise(ladder):
        assert is_better(better, worse, WINDOW)
        assert not is_better(worse, better, WINDOW)


def test_an_equally_good_capture_replaces_nothing() -> None:
    assert not is_better(row(), row(bid=7), WINDOW)
    assert is_better(row(), None, WINDOW)
