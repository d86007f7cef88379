"""The whole way on each edition, by what the tests of its parts use."""

from tests.integration.dbt.conftest import (  # noqa: F401
    dbt,
    dbt_on,
    models,
    warehouse,
    warehouse_dsn,
)
from tests.integration.tdx_load.conftest import small_market  # noqa: F401
