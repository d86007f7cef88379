"""A prepared warehouse and dbt on it, in this process."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import quotemill
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from loaders.warehouse.profiles import write_profile
from orchestration.run.quick_dbt import quick_dbt
from quotemill.warehouse.postgres import Warehouse
from tests import dbt_parse
from tests.conftest import DBT_DATABASE
from tests.databases import make_database
from tests.dbt_parse import Parsed, call_in_thread

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


@dataclass(frozen=True)
class Outcome:
    """What one dbt command did: `written` is rows by model, `statuses` one text per node."""

    success: bool
    error: str
    statuses: dict[str, str]
    written: dict[str, int]

    def refuses(self, *named: str) -> bool:
        """Whether it failed with an error that names each of these."""
        return not self.success and all(part in self.error for part in named)


Dbt = Callable[..., Outcome]


def build_models(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Build everything, over no row."""
    outcome = dbt("build", *NO_TESTS)
    assert outcome.success, outcome.error


# the steps that fill the warehouse of a test; without a mark it has empty landed tables
EMPTY = pytest.mark.warehouse()
MODELS = pytest.mark.warehouse.with_args(build_models)


def prepared(dsn: str, home: Path) -> Warehouse:
    """A warehouse with empty landed tables and schema ops, as at the start of a load."""
    made = Warehouse(dsn, "test", False, "market", None, "test", home)
    prepare(made, landed_tables())
    return made


@pytest.fixture(scope="session")
def templates() -> dict[tuple[Any, ...], str]:
    """The URL of a database as these steps left it."""
    return {}


@pytest.fixture
def warehouse(
    request: pytest.FixtureRequest,
    server_url: str,
    templates: dict[tuple[Any, ...], str],
    dbt_on: Callable[[Warehouse], Dbt],
    tmp_path: Path,
) -> Warehouse:
    """A warehouse named as the parsed project, as the steps of the mark `warehouse` fill it.

    Each step is taken once in a session; later tests get a copy of what it left.
    """
    mark = request.node.get_closest_marker("warehouse")
    steps = mark.args if mark else ()
    done = len(steps)
    while done and steps[:done] not in templates:
        done -= 1
    made = prepared(make_database(server_url, DBT_DATABASE, templates.get(steps[:done])), tmp_path)
    for count, fill in enumerate(steps[done:], done + 1):
        with made.connect(autocommit=True) as conn:
            fill(conn, dbt_on(made))
        templates[steps[:count]] = make_database(server_url, template=made.url)
    return made


@pytest.fixture
def dbt_on(
    tmp_path: Path,
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Warehouse], Dbt]:
    """The commands of fixture `dbt` for another warehouse."""
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "profiles"))
    monkeypatch.setenv("DBT_LOG_PATH", str(tmp_path / "dbt_logs"))

    def on(warehouse: Warehouse) -> Dbt:
        name, target = warehouse.params()["dbname"], parsed.target
        if name != DBT_DATABASE:
            target = target.with_name(f"{target.name}_{name}")
        monkeypatch.setenv("DBT_TARGET_PATH", str(target))
        write_profile(warehouse, tmp_path / "profiles")
        return lambda *args: run_dbt(parsed, *args)

    return on


@pytest.fixture
def dbt(warehouse: Warehouse, dbt_on: Callable[[Warehouse], Dbt]) -> Dbt:
    """Run a dbt command as a person in dbt_project/ would."""
    return dbt_on(warehouse)


def run_dbt(parsed: Parsed, *args: str) -> Outcome:
    from dbt.cli.main import dbtRunner

    folder = os.environ["DBT_TARGET_PATH"]
    if args[0] in ("run", "seed", "snapshot") or NO_TESTS[-1] in args:
        manifest = parsed.without_tests(folder)
    else:
        manifest = parsed.manifests.get(folder)
    # formatting unseen output takes a tenth of a command's time, writing artifacts half of it
    silent = (
        "--project-dir",
        str(dbt_parse.PROJECT),
        "--quiet",
        "--log-level",
        "none",
        "--no-write-json",
    )
    with quick_dbt():  # as our own commands; plain dbt makes the same (tests/e2e/test_pipeline.py)
        result = call_in_thread(dbtRunner(manifest).invoke, [*args, *silent])
    # an operation has a result without a node
    nodes = [n for n in getattr(result.result, "results", []) if hasattr(n, "node")]
    return Outcome(
        success=result.success,
        error=str(result.exception or "; ".join(n.message or "" for n in nodes)),
        statuses={n.node.name: str(n.status) for n in nodes},
        written={
            n.node.name: n.adapter_response["rows_affected"]
            for n in nodes
            if n.node.resource_type == "model" and "rows_affected" in n.adapter_response
        },
    )


def wait_for_others(conn: psycopg.Connection) -> None:
    """Wait until the sessions of dbt have ended: only then PostgreSQL counts all they did."""
    others = (
        "select 1 from pg_stat_activity where datname = current_database() "
        "and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    while conn.execute(others).fetchone():
        time.sleep(0.01)


@pytest.fixture
def market(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[quotemill.Reader]:
    """The Python reader over the warehouse, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with quotemill.open(url=warehouse.url, home=tmp_path) as reader:
        yield reader
