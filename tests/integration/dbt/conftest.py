"""A prepared warehouse and dbt on it, in this process."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import quotemill
from quotemill.warehouse.postgres import Warehouse
from tests.checkout import own_checkout
from tests.databases import make_database
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.copier import Copier

# what to build where neither findings nor dbt's own tests matter
NO_TESTS = ("--exclude", "resource_type:unit_test", "resource_type:test")
MARTS = (*NO_TESTS, "path:models/qa+")
# where all is built, over no row yet: what is no view
UPDATE = (
    "run",
    "--select",
    "config.materialized:followed",
    "config.materialized:continuous_aggregate",
)
REBUILD = (*UPDATE, "--full-refresh")


# the steps that fill the warehouse of a test; without a mark it has empty landed tables
EMPTY = pytest.mark.warehouse()
MODELS = pytest.mark.warehouse.with_args(Parsed.build_models)


@pytest.fixture
def warehouse(
    request: pytest.FixtureRequest,
    server_url: str,
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Warehouse:
    """A warehouse named as the parsed project, as the steps of the mark `warehouse` fill it.

    Each step is taken once in a session; later tests get a copy of what it left.
    """
    mark = request.node.get_closest_marker("warehouse")
    steps = mark.args if mark else ()
    done = len(steps)
    while done and steps[:done] not in parsed.filled:
        done -= 1
    template = parsed.filled.get(steps[:done])
    url = make_database(server_url, Parsed.DATABASE, template)
    made = parsed.prepared(url, tmp_path, is_copy=template is not None)
    for count, fill in enumerate(steps[done:], done + 1):
        with made.connect(autocommit=True) as conn:
            fill(conn, parsed.commands(made, monkeypatch))
        parsed.filled[steps[:count]] = make_database(server_url, template=made.url)
    return made


@pytest.fixture
def dbt(warehouse: Warehouse, parsed: Parsed, monkeypatch: pytest.MonkeyPatch) -> Dbt:
    """Run a dbt command as a person in dbt_project/ would."""
    return parsed.commands(warehouse, monkeypatch)


@pytest.fixture
def project(dbt: Dbt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the project, with a folder models/mine, which dbt builds from now on."""
    made, target = own_checkout(tmp_path / "checkout"), tmp_path / "target"
    (made / "models" / "mine").mkdir()
    shutil.copytree(os.environ["DBT_TARGET_PATH"], target)
    monkeypatch.setenv("DBT_TARGET_PATH", str(target))
    monkeypatch.setattr(Parsed, "PROJECT", made)
    return made


def wait_for_others(conn: psycopg.Connection) -> None:
    """Wait until the sessions of dbt have ended: only then PostgreSQL counts all they did."""
    others = (
        "select 1 from pg_stat_activity where datname = current_database() "
        "and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    while conn.execute(others).fetchone():
        time.sleep(0.01)


@pytest.fixture
def copy(warehouse: Warehouse, tmp_path: Path) -> Copier:
    return Copier(warehouse, tmp_path / "exports")


@pytest.fixture
def market(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[quotemill.Reader]:
    """The Python reader over the warehouse, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with quotemill.open(url=warehouse.url, home=tmp_path) as reader:
        yield reader
