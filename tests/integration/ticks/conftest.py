"""The three stores that pass the same tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loaders.ticks.postgres import PostgresStore
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import TickStore
from loaders.ticks.tables import QUESTDB_TABLES
from quotemill.ticks.questdb_http import QuestdbHttp
from quotemill.warehouse.postgres import Warehouse
from tests.integration.ticks.servers import a_server, address_of, open_at


@pytest.fixture(scope="session")
def questdb_folder() -> Iterator[Path]:
    with a_server() as folder:
        yield folder


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


@pytest.fixture(params=["stage", "ilp", "postgres"])
def store(
    request: pytest.FixtureRequest, new_database: Callable[[], str], tmp_path: Path
) -> Iterator[TickStore]:
    """An empty store: QuestDB by each of its ways, and PostgreSQL."""
    made: TickStore
    if request.param == "postgres":
        made = PostgresStore(a_warehouse(new_database(), tmp_path))
    else:
        made = open_at(request.getfixturevalue("empty_questdb"), request.param)
    made.prepare()
    yield made
    made.close()


def a_warehouse(url: str, home: Path) -> Warehouse:
    return Warehouse(url, "test", False, "market", None, "test", home)
