"""What stands for "no value" is None, and what is a value keeps it."""

import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.ib.client import clean
from loaders.ib.client.events import mask

LARGEST = 1.7976931348623157e308
INTEGERS = (2**31 - 1, 2**63 - 1, 2**127 - 1)
UNSET = (None, math.nan, math.inf, -math.inf, LARGEST, -LARGEST, *INTEGERS, *map(float, INTEGERS))
FUNCTIONS = (
    clean.price,
    clean.traded_price,
    clean.volatility,
    clean.greek,
    clean.count,
    clean.strike,
)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("value", UNSET)
def test_a_value_that_was_not_received_is_null(function: object, value: float | None) -> None:
    assert callable(function)
    assert function(value) is None


def test_minus_one_and_zero_depend_on_the_field() -> None:
    for function in (clean.price, clean.traded_price, clean.volatility, clean.count):
        assert function(-1.0) is None
    assert (clean.price(0.0), clean.count(0.0)) == (Decimal(0), 0)
    assert (clean.traded_price(0.0), clean.volatility(0.0)) == (None, None)
    assert (clean.greek(5e-324), clean.greek(-1e-310), clean.volatility(5e-324)) == (0.0, 0.0, None)
    assert (clean.greek(-2.0), clean.greek(0.0), clean.greek(-0.4)) == (None, 0.0, -0.4)


def test_prices_are_decimals_without_the_noise_of_doubles() -> None:
    assert clean.price(0.1 + 0.2) == Decimal("0.3")
    assert str(clean.price(100.0)) == "100"
    assert clean.price(0.00000004) == 0
    assert clean.strike(172.5) == Decimal("172.5")


@given(st.decimals(min_value=0, max_value=10**7, places=4))
def test_a_price_of_four_places_survives_the_double(value: Decimal) -> None:
    assert clean.price(float(value)) == value


@given(st.floats())
def test_no_function_lets_a_sentinel_through(value: float) -> None:
    for function in FUNCTIONS:
        number = function(value)
        if number is not None:
            assert math.isfinite(number)
            assert abs(number) <= 1e300
            assert number not in (-2, 2147483647)


def test_account_numbers_are_masked_and_ordinary_words_are_not() -> None:
    text = mask("No data for account U1234567,\n DU7654321 (F123456) or Joint-9", ["Joint-9"])
    assert text == "No data for account <account>, <account> (<account>) or <account>"
    ordinary = "Can't find EId with tickerId:1234567 of AAPL  261218C00175000, farm usopt"
    assert mask(ordinary) == " ".join(ordinary.split())


def test_a_time_with_a_zone_is_a_day_of_new_york_and_a_month_is_none() -> None:
    for text in ("20261218", "20261218 15:00:00 US/Central", "20261219 05:00:00 Asia/Shanghai"):
        assert clean.day(text) == date(2026, 12, 18)
    assert clean.day("20261218-16:00:00-America/Port-au-Prince") == date(2026, 12, 18)
    unknown = ("202612", "2026121", "", "20261301", "20261219 05:00:00", "20261219 05:00:00 XYZ")
    assert [clean.day(text) for text in unknown] == [None] * 6
    # of these no session before or after can be computed
    beyond = ("99991231", "00010101 05:00:00 Asia/Shanghai")
    assert [clean.day(text) for text in beyond] == [None] * 2
