"""A landing path of its own, as in the tests of what is well."""

from tests.integration.landing.test_dlt_hooks import fail_in_job, shore  # noqa: F401
