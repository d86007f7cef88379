"""A home of its own over a warehouse of closed option days, as in the tests of what is well."""

from tests.integration.dbt.archive.conftest import folder, settings  # noqa: F401
from tests.integration.dbt.conftest import (  # noqa: F401
    warehouse,
)
