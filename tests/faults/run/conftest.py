"""A small market that was loaded and built, as in the tests of what is well."""

from tests.e2e.test_pipeline import first_run, market_bench, warehouse_dsn  # noqa: F401
