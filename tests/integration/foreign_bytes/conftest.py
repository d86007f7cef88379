"""The market whose good answers and files are damaged."""

from datetime import date

import pytest

from loaders.sandbox.world.market import SyntheticMarket

LAST = date(2025, 6, 30)


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(codes=6, days=60, seed=3, end=LAST)
