"""A real QuestDB, as in the tests of its parts."""

from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.tq.conftest import questdb_url  # noqa: F401
