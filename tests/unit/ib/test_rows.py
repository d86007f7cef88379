"""What a row says of its capture: flags of the closed list, cleaned values, errors."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from loaders.ib.capture.batches import QUEUED
from loaders.ib.capture.flags import CAPTURE_FLAGS
from loaders.ib.capture.rows import CLOSE, INTRADAY, Run, Tally, row_of
from loaders.ib.client.gateway import Failure, Quote
from loaders.ib.slots import session_on, slot_of
from loaders.ib.tables import CHAIN_SNAPSHOT
from tests.unit.ib.gateways import TEN, contract, failed, quote

RUN = Run("id", "SANDBOX", "hash", "0.1.0", 120)
SLOT = slot_of("2026-11-19T15:00Z")
CALL, PUT = contract(1), contract(2, right="P")


def row(of: Quote, **given: Any) -> dict[str, Any]:
    return row_of(of, SLOT, RUN, INTRADAY, **given)


def flags(of: Quote, **given: Any) -> str:
    text: str = row(of, **given)["data_quality_flag"]
    assert set(filter(None, text.split(","))) <= set(CAPTURE_FLAGS)
    return text


def test_a_good_quote_has_no_flag_and_every_column() -> None:
    found = row(quote(CALL, TEN + timedelta(seconds=4)))
    assert (found["data_quality_flag"], found["snapshot_error"]) == ("", False)
    assert (found["slot_30m"], found["slot_label"], found["capture_lag_s"]) == (1, "10:00", 4)
    standard = {"source_route", "fetched_at", "is_final"}
    assert set(found) == set(CHAIN_SNAPSHOT.schema.names) - standard


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"bid": None}, "missing_price"),
        ({"bid": Decimal(2)}, "crossed_quote"),
        ({"bid": Decimal("1.30")}, "locked_quote"),
        ({"bid": Decimal(0)}, "zero_bid"),
        ({"served": 3}, "delayed_fallback"),
        ({"iv": None}, "missing_greeks"),
        ({"iv": 11.0}, "iv_out_of_range,missing_greeks"),
        ({"delta": -0.5}, "delta_out_of_range,missing_greeks"),
        ({"gamma": -0.1}, "gamma_negative"),
        ({"vega": -0.1}, "vega_negative"),
        ({"und_quote_at": TEN - timedelta(seconds=61)}, "underlying_stale"),
    ],
)
def test_what_is_odd_is_flagged(values: dict[str, Any], flag: str) -> None:
    assert flags(quote(CALL, **values)) == flag


def test_values_that_cannot_be_are_taken_out() -> None:
    wrong = row(quote(PUT, delta=0.4))
    assert [wrong[n] for n in ("delta", "gamma", "vega", "theta", "greeks_source")] == [None] * 5
    assert row(quote(CALL, iv=11.0))["iv"] is None
    assert row(quote(CALL, gamma=-0.1))["gamma"] is None
    assert row(quote(CALL, gamma=-1e-12))["gamma"] == -1e-12


def test_a_capture_after_the_grace_is_late_but_for_the_close() -> None:
    late = quote(CALL, TEN + timedelta(seconds=121))
    assert flags(late) == "late_capture"
    session = session_on(date(2026, 11, 19))
    assert session is not None
    evening = quote(CALL, session.close_at + timedelta(hours=1), served=2, requested_type=2)
    found = row_of(evening, session, RUN, CLOSE)
    assert (found["data_quality_flag"], found["slot_30m"], found["slot_label"]) == ("", None, None)
    assert found["sample_time"] == session.close_at


def test_a_failure_is_a_row_with_its_reason() -> None:
    found = row(failed(CALL, "pacing", code=100), flags=frozenset({"slot_retry_exceeded"}))
    assert found["data_quality_flag"] == "slot_retry_exceeded,snapshot_error"
    assert (found["snapshot_error"], found["bid"]) == (True, None)
    assert (found["error_type"], found["error_code"]) == ("pacing", 100)


def test_a_part_that_came_is_no_error_row() -> None:
    part = Failure("partial", 10090, "greeks are not subscribed")
    found = row(quote(CALL, iv=None, delta=None, failure=part))
    assert (found["snapshot_error"], found["data_quality_flag"]) == (False, "missing_greeks")
    assert found["error_code"] == 10090


def test_a_row_without_a_price_is_an_error_that_keeps_what_came() -> None:
    nothing = {"bid": None, "ask": None, "last": None, "iv": None, "delta": None}
    found = row(quote(CALL, **nothing, volume=7, failure=Failure("no_price", None, "no price")))
    assert found["data_quality_flag"] == "missing_greeks,missing_price,snapshot_error"
    assert (found["snapshot_error"], found["error_type"], found["volume"]) == (True, "no_price", 7)
    assert found["error_type"] in QUEUED
    tally = Tally(1)
    tally.count(found | {"market_data_type": 3})
    assert (tally.captured, tally.errors, tally.delayed) == (0, 1, 0)
