"""The whole way on each edition, by what the tests of its parts use."""

from tests.integration.dbt.conftest import dbt  # noqa: F401
from tests.integration.dbt.editions.conftest import warehouse  # noqa: F401
from tests.integration.tdx_load.conftest import small_market  # noqa: F401
