"""The real client against the sandbox, as in the tests of what is well."""

from tests.integration.ib_service.conftest import (  # noqa: F401
    _client_is_there,
    opened,
    sandbox,
    shared,
    tidy,
    world,
)
