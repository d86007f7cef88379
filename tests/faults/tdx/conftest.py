"""The small market of the tests of loads, whose service is not well here."""

from tests.integration.tdx_load.conftest import (  # noqa: F401
    days,
    loaded_bench,
    market_bench,
    open_bench,
    open_loaded,
    small_market,
)
