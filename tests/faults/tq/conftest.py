"""The real futures client, and main contracts that have loaded, as in the tests of what is well."""

from tests.integration.tq.conftest import (  # noqa: F401
    empty_questdb,
    made,
    mapped,
    questdb_folder,
    questdb_url,
    schedule_dsn,
)
from tests.integration.tq_service.conftest import (  # noqa: F401
    _client_is_there,
    own_harvest,
    world,
)
