"""A home over a warehouse of closed option days, and a database for each test."""

from tests.integration.dbt.archive.conftest import folder, settings  # noqa: F401
from tests.integration.dbt.conftest import (  # noqa: F401
    dbt,
    warehouse,
)
