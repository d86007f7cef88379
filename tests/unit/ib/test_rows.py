"""Rows of captures: flags of the closed list, cleaned values, errors."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from loaders.ib.capture.flags import CAPTURE_FLAGS
from loaders.ib.capture.rounds import LATER
from loaders.ib.capture.rows import CLOSE, INTRADAY, Provenance, Tally, make_row
from loaders.ib.client.values import Failure, Quote
from loaders.ib.slots import parse_slot, require_session
from loaders.ib.tables import CHAIN_SNAPSHOT
from tests.unit.ib.gateways import TEN, contract, failed, quote

PROVENANCE = Provenance("id", "SANDBOX", "hash", "0.1.0", 120)
SLOT = parse_slot("2026-11-19T15:00Z")
CALL, PUT = contract(1), contract(2, right="P")


def row(captured: Quote, known_flags: frozenset[str] = frozenset()) -> dict[str, Any]:
    return make_row(
        captured, SLOT, provenance=PROVENANCE, run_type=INTRADAY, known_flags=known_flags
    )


def flags(captured: Quote) -> str:
    text: str = row(captured)["data_quality_flag"]
    assert set(filter(None, text.split(","))) <= set(CAPTURE_FLAGS)
    return text


def test_a_good_quote_has_no_flag_and_every_column() -> None:
    result = row(quote(CALL, TEN + timedelta(seconds=4)))
    assert (result["data_quality_flag"], result["snapshot_error"]) == ("", False)
    assert (result["slot_30m"], result["slot_label"], result["capture_lag_s"]) == (1, "10:00", 4)
    standard = {"source_route", "fetched_at", "is_final"}
    assert set(result) == set(CHAIN_SNAPSHOT.schema.names) - standard


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
        ({"served": 3, "requested_type": 3}, "delayed_fallback"),
        ({"bid": Decimal(10**8)}, "missing_price,value_out_of_range"),
        ({"volume": 10**13}, "value_out_of_range"),
        ({"vega": 1e10}, "value_out_of_range"),
        ({"und_ask": Decimal(10**8)}, "value_out_of_range"),
        ({"bid": None, "is_incomplete": True}, "incomplete_answer,missing_price"),
    ],
)
def test_an_odd_value_is_flagged(values: dict[str, Any], flag: str) -> None:
    assert flags(quote(CALL, **values)) == flag


def test_impossible_values_are_removed() -> None:
    wrong = row(quote(PUT, delta=0.4))
    assert [wrong[n] for n in ("delta", "gamma", "vega", "theta", "greeks_source")] == [None] * 5
    assert row(quote(CALL, iv=11.0))["iv"] is None
    assert row(quote(CALL, gamma=-0.1))["gamma"] is None
    assert row(quote(CALL, gamma=-1e-12))["gamma"] == -1e-12


def test_a_number_that_no_row_can_have_costs_itself() -> None:
    result = row(quote(CALL, bid=Decimal(10**8)))
    assert (result["bid"], result["ask"], result["snapshot_error"]) == (
        None,
        Decimal("1.30"),
        False,
    )
    alone = {"ask": None, "last": None, "iv": None, "delta": None}
    nothing = row(quote(CALL, bid=Decimal(10**8), **alone))
    assert (nothing["snapshot_error"], nothing["error_type"]) == (True, "no_price")


def test_a_capture_after_the_grace_is_late_except_at_the_close() -> None:
    late = quote(CALL, TEN + timedelta(seconds=121))
    assert flags(late) == "late_capture"
    session = require_session(date(2026, 11, 19))
    evening = quote(CALL, session.close_at + timedelta(hours=1), served=2, requested_type=2)
    result = make_row(evening, session, provenance=PROVENANCE, run_type=CLOSE)
    assert (result["data_quality_flag"], result["slot_30m"], result["slot_label"]) == (
        "",
        None,
        None,
    )
    assert result["sample_time"] == session.close_at


def test_a_failure_is_a_row_with_its_reason() -> None:
    result = row(failed(CALL, "pacing", code=100), frozenset({"slot_retry_exceeded"}))
    assert result["data_quality_flag"] == "slot_retry_exceeded,snapshot_error"
    assert (result["snapshot_error"], result["bid"]) == (True, None)
    assert (result["error_type"], result["error_code"]) == ("pacing", 100)


def test_a_partial_answer_is_no_error_row() -> None:
    part = Failure("partial", 10090, "greeks are not subscribed")
    result = row(quote(CALL, iv=None, delta=None, failure=part))
    assert (result["snapshot_error"], result["data_quality_flag"]) == (False, "missing_greeks")
    assert result["error_code"] == 10090


def test_a_row_without_a_price_is_an_error_with_its_other_values() -> None:
    nothing = {"bid": None, "ask": None, "last": None, "iv": None, "delta": None}
    result = row(quote(CALL, **nothing, volume=7, failure=Failure("no_price", None, "no price")))
    assert result["data_quality_flag"] == "missing_greeks,missing_price,snapshot_error"
    assert (result["snapshot_error"], result["error_type"], result["volume"]) == (
        True,
        "no_price",
        7,
    )
    assert result["error_type"] in LATER
    tally = Tally(1)
    tally.count(result | {"market_data_type": 3})
    assert (tally.captured, tally.errors, tally.delayed) == (0, 1, 0)
