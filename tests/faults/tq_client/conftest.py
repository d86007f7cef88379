"""The real futures client, as in the tests of what it brings back."""

from tests.integration.tq_service.conftest import (  # noqa: F401
    _client_is_there,
    own_harvest,
    world,
)
