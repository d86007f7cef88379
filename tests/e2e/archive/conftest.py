"""A home over a warehouse of closed option days, and a database for each test."""

from tests.integration.dbt.archive.conftest import days, folder, settings  # noqa: F401
from tests.integration.dbt.conftest import (  # noqa: F401
    _option_days,
    dbt,
    dbt_on,
    models,
    option_days,
    warehouse,
    warehouse_dsn,
)
