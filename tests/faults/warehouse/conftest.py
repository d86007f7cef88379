"""Homes with embedded servers of their own, as in the tests of what is well."""

from tests.integration.warehouse.conftest import empty_home, make_home, open_at  # noqa: F401
