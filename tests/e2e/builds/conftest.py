"""Builds of everything one after another, by what the tests of single models use."""

from tests.integration.dbt.conftest import (  # noqa: F401
    dbt,
    warehouse,
)
