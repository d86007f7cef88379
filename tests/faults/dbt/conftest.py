"""A prepared warehouse and dbt on it, as in the tests of what is well."""

from tests.integration.dbt.conftest import (  # noqa: F401
    dbt,
    warehouse,
)
