"""A small market whose contracts are known, as in the tests of what is well."""

from tests.integration.ib.conftest import discovered_dsn, made  # noqa: F401
