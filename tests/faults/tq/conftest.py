"""The real futures client, and main contracts that have loaded, as in the tests of what is well."""
# ruff: noqa: F811

from dataclasses import replace

import pytest
from pydantic import SecretStr

from loaders.tq.tick_days.copy import copy_ticks
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench
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


@pytest.fixture(params=["warehouse", "questdb"])
def stored(made: Bench, request: pytest.FixtureRequest) -> Bench:
    """All ticks in PostgreSQL, or in QuestDB alone."""
    if request.param == "warehouse":
        return made
    return _in_questdb(made, request.getfixturevalue("questdb_url"))


@pytest.fixture
def in_questdb(made: Bench, questdb_url: str) -> Bench:
    return _in_questdb(made, questdb_url)


def _in_questdb(made: Bench, url: str) -> Bench:
    settings = made.settings.model_copy(update={"questdb_url": SecretStr(url)})
    copy_ticks(settings, open_warehouse(settings), "questdb", made.heard)
    made.execute("drop schema ticks cascade")
    return replace(made, settings=settings)
