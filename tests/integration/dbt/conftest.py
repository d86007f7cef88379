"""A prepared warehouse and dbt on it, in this process."""

import dataclasses
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
from tests.conftest import DBT_DATABASE
from tests.dbt_parse import call_in_thread
from tests.integration.dbt.option_days import TABLES as OPTION_TABLES
from tests.integration.dbt.option_days import land_days as land_option_days
from tests.integration.dbt.price_market import fill_market as fill_price_market
from tests.integration.dbt.raw import land, land_real_market, security
from tests.integration.dbt.two_codes import CODES, DAYS, land_days

PROJECT = Path(__file__).parents[3] / "dbt_project"
# what to build where neither findings nor dbt's own tests matter
NO_TESTS = ("--exclude", "resource_type:unit_test", "resource_type:test")
MARTS = (*NO_TESTS, "path:models/qa+")
# from the day bars to those of weeks and months, and the findings about them
BARS = (
    "--select",
    "+kline_weekly_qfq",
    "+kline_monthly_qfq",
    "+int_bars__findings",
    "corporate_actions",
    "+symbol_dim",
    "+changes",
    # a seed that no bar needs, but `dbt run` of all that follows
    "us_corporate_actions",
    *NO_TESTS,
)
# the tables among them, where the views stand already
BARS_AGAIN = ("run", "--select", *(f"{part},config.materialized:followed" for part in BARS[1:6]))
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
DbtOn = Callable[[Warehouse], Dbt]


@pytest.fixture
def warehouse_dsn(request: pytest.FixtureRequest) -> str:
    """The URL of a database named as the parsed project: empty, or of another fixture."""
    for filled in ("price_market", "option_days", "models", "built_dsn", "real_market_dsn"):
        if filled in request.fixturenames:
            return str(request.getfixturevalue(filled))
    if "edition" in request.fixturenames:
        edition = request.getfixturevalue("edition")
        return str(request.getfixturevalue("database_of")(edition, DBT_DATABASE))
    return str(request.getfixturevalue("new_database")(DBT_DATABASE))


def prepared(dsn: str, home: Path) -> Warehouse:
    """A warehouse with empty landed tables and schema ops, as at the start of a load."""
    made = Warehouse(dsn, "test", False, "market", None, "test", home)
    prepare(made, landed_tables())
    return made


@pytest.fixture
def warehouse(warehouse_dsn: str, tmp_path: Path) -> Warehouse:
    return prepared(warehouse_dsn, tmp_path)


@pytest.fixture
def dbt_on(
    tmp_path: Path,
    parsed_project: tuple[Path, Any],
    manifests: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> DbtOn:
    """The commands of fixture `dbt` for another warehouse."""
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "profiles"))
    monkeypatch.setenv("DBT_LOG_PATH", str(tmp_path / "dbt_logs"))

    def on(warehouse: Warehouse) -> Dbt:
        name, parsed = warehouse.params()["dbname"], parsed_project[0]
        target = parsed if name == DBT_DATABASE else parsed.with_name(f"{parsed.name}_{name}")
        monkeypatch.setenv("DBT_TARGET_PATH", str(target))
        write_profile(warehouse, tmp_path / "profiles")
        return lambda *args: run_dbt(manifests, *args)

    return on


@pytest.fixture
def dbt(warehouse: Warehouse, dbt_on: DbtOn) -> Dbt:
    """Run a dbt command as a person in dbt_project/ would."""
    return dbt_on(warehouse)


@pytest.fixture
def models(filled_database: Callable[..., str], dbt_on: DbtOn, tmp_path: Path) -> str:
    """The URL of a warehouse without a row, all of it built."""

    def fill(dsn: str) -> None:
        outcome = dbt_on(prepared(dsn, tmp_path))("build", *NO_TESTS)
        assert outcome.success, outcome.error

    return filled_database("models", fill, DBT_DATABASE)


@pytest.fixture(scope="session")
def _option_days() -> dict[str, str]:
    return {}


@pytest.fixture
def option_days(
    request: pytest.FixtureRequest,
    _option_days: dict[str, str],
    new_database: Callable[..., str],
    dbt_on: DbtOn,
    tmp_path: Path,
) -> str:
    """The URL of a built warehouse with the days of tests.integration.dbt.option_days."""
    if not _option_days:
        models = request.getfixturevalue("models")
        made = prepared(models, tmp_path)
        with made.connect(autocommit=True) as conn:
            land_option_days(conn)
        outcome = dbt_on(made)(*OPTION_TABLES)
        assert outcome.success, outcome.error
        _option_days["dsn"] = new_database(template=models)
    return new_database(DBT_DATABASE, template=_option_days["dsn"])


@pytest.fixture
def price_market(
    request: pytest.FixtureRequest,
    filled_database: Callable[..., str],
    dbt_on: DbtOn,
    tmp_path: Path,
) -> str:
    """The URL of `option_days` with the market of tests.integration.dbt.price_market, built."""

    def fill(dsn: str) -> None:
        assert request.getfixturevalue("option_days") == dsn
        made = prepared(dsn, tmp_path)
        with made.connect(autocommit=True) as conn:
            fill_price_market(conn, dbt_on(made))

    return filled_database("price market", fill, DBT_DATABASE)


@pytest.fixture
def built_dsn(filled_database: Callable[..., str], dbt_on: DbtOn, tmp_path: Path) -> str:
    """The URL of a warehouse with two codes and thirty days, built."""

    def fill(dsn: str) -> None:
        made = prepared(dsn, tmp_path)
        with made.connect(autocommit=True) as conn:
            land(conn, "security", [security(code) for code in CODES])
            land_days(conn, DAYS[:30])
        assert dbt_on(made)("build", *BARS).success

    return filled_database("change feed", fill, DBT_DATABASE)


@pytest.fixture
def built(built_dsn: str, dbt: Dbt) -> Dbt:
    """dbt on the warehouse of `built_dsn`."""
    return dbt


@pytest.fixture
def real_market_dsn(
    filled_database: Callable[..., str], dbt_on: DbtOn, real_tdx_data: Path, tmp_path: Path
) -> str:
    """The URL of a warehouse with the real bars and actions of the shared data, all of it built."""

    def fill(dsn: str) -> None:
        made = prepared(dsn, tmp_path)
        with made.connect() as conn:
            land_real_market(conn, real_tdx_data)
        outcome = dbt_on(made)("build", "--exclude-resource-type", "unit_test")
        assert outcome.success, outcome.error

    return filled_database("real market", fill, DBT_DATABASE)


def leave_out_tests(manifests: dict[str, Any], folder: str) -> Any:
    """The parsed project of a target folder without dbt's tests; None: it is not parsed yet.

    Also a command that runs none of them lists each several times, most of a small one's time.
    """
    bare = f"{folder} without tests"
    if bare not in manifests and (whole := manifests.get(folder)):
        models = {name: n for name, n in whole.nodes.items() if n.resource_type != "test"}
        manifests[bare] = dataclasses.replace(whole, nodes=models, unit_tests={})
        manifests[bare].build_flat_graph()
    return manifests.get(bare)


def run_dbt(manifests: dict[str, Any], *args: str) -> Outcome:
    from dbt.cli.main import dbtRunner

    folder = os.environ["DBT_TARGET_PATH"]
    if args[0] in ("run", "seed", "snapshot") or NO_TESTS[-1] in args:
        manifest = leave_out_tests(manifests, folder)
    else:
        manifest = manifests.get(folder)
    # formatting unseen output takes a tenth of a command's time, writing artifacts half of it
    silent = ("--project-dir", str(PROJECT), "--quiet", "--log-level", "none", "--no-write-json")
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
    price_market: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[quotemill.Reader]:
    """The Python reader over the small market, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with quotemill.open(url=price_market, home=tmp_path) as reader:
        yield reader
