"""Builds of everything one after another, by what the tests of single models use."""

from tests.integration.dbt.conftest import (  # noqa: F401
    _option_days,
    dbt,
    dbt_on,
    models,
    option_days,
    real_market_dsn,
    warehouse,
    warehouse_dsn,
)
