"""The store by both ways of writing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.tables import QUESTDB_TABLES
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.integration.ticks.servers import address_of, open_at, shared_server


@pytest.fixture(scope="session")
def questdb_folder() -> Path:
    return shared_server()


@pytest.fixture
def empty_questdb(questdb_folder: Path) -> Path:
    """The session's server without a table of ours."""
    http = QuestdbHttp(address_of(questdb_folder))
    for table in QUESTDB_TABLES:
        http.rows(f"drop table if exists {table.name}")
    http.close()
    return questdb_folder


@pytest.fixture
def questdb_store(empty_questdb: Path) -> Iterator[QuestdbStore]:
    """By the way that is chosen for a server of this machine."""
    made = open_at(empty_questdb)
    made.prepare()
    yield made
    made.close()


@pytest.fixture(params=["stage", "ilp"])
def store(request: pytest.FixtureRequest, empty_questdb: Path) -> Iterator[QuestdbStore]:
    """An empty store, by each of its ways."""
    made = open_at(empty_questdb, request.param)
    made.prepare()
    yield made
    made.close()
