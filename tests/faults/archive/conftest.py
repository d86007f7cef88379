"""A home of its own over a warehouse of closed option days, as in the tests of what is well."""

from tests.integration.dbt.archive.conftest import days, folder, settings  # noqa: F401
from tests.integration.dbt.conftest import (  # noqa: F401
    _option_days,
    dbt_on,
    models,
    option_days,
    warehouse,
    warehouse_dsn,
)
