"""The real futures client, and main contracts that have loaded, as in the tests of what is well."""

from tests.integration.tq.conftest import made, mapped, schedule_dsn  # noqa: F401
from tests.integration.tq_service.conftest import (  # noqa: F401
    _client_is_there,
    own_harvest,
    world,
)
