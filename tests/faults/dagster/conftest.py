"""A small market after its first night, and what its second night leaves undisturbed."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from loaders.settings import load_settings
from orchestration.run import build_record
from tests.conftest import DBT_DATABASE
from tests.dbt_parse import Parsed
from tests.e2e.commands import Place
from tests.faults.dagster.cluster import Cluster, open_cluster
from tests.faults.kills import market_tables
from tests.faults.scene import assert_same, facts, wait_until
from tests.homes import new_home
from tests.requirements import require_dagster

MARKET = SyntheticMarket(codes=12, days=40, seed=5)
DAYS = [day for day in MARKET.days if day <= MARKET.end.date()]


@dataclass
class Night:
    """The night after the first one, by Dagster, in a new warehouse for each test."""

    cluster: Cluster
    undisturbed: Mapping[str, Any]

    def assert_undisturbed(self) -> None:
        """Compare all tables, row by row; nobody holds a lock or a pool any more."""
        assert_same(read_all(self.cluster.dsn), self.undisturbed)
        for pool in ("source_tdx", "warehouse_build"):
            wait_until(f"{pool} is free", lambda name=pool: self.cluster.free_slots(name) == 1)
        with psycopg.connect(self.cluster.dsn) as conn:
            held = conn.execute("select pid from pg_locks where locktype = 'advisory'").fetchall()
            unended = "select status from ops.ingestion_jobs where status = 'running'"
            assert (held, conn.execute(unended).fetchall()) == ([], [])

    def list_builds(self) -> list[str]:
        """The status of each recorded build, oldest first."""
        with psycopg.connect(self.cluster.dsn) as conn:
            return [row["status"] for row in reversed(build_record.recent(conn, 9))]


def read_all(dsn: str) -> dict[str, Any]:
    """Landed rows, cursors and built tables, without the times of loads."""
    built = market_tables(dsn, apart=("fetched_at",))
    return {**facts(dsn, times=False), **{f"market.{name}": rows for name, rows in built.items()}}


@pytest.fixture(scope="module")
def place(server_url: str) -> Iterator[tuple[Place, TdxSandbox]]:
    """Commands and the service that they load from."""
    require_dagster()
    options = Options(timeout_delay=0.0)
    with new_home() as folder, TdxSandbox(MARKET, clock=DAYS[-2], options=options) as sandbox:
        actions = folder / "actions.csv"
        actions.write_text(actions_csv(MARKET.all_actions()), "utf-8")
        settings = {
            "QUOTEMILL_FINDING_LIMIT": "1000",
            "QUOTEMILL_TDX__BASE_URL": sandbox.url,
            "QUOTEMILL_TDX__INDICES": "sh000001",
            "QUOTEMILL_TDX__MINUTE_DAYS": "1",
            "QUOTEMILL_TDX__TICK_DAYS": "1",
            "QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions),
            "DBT_PROFILES_DIR": str(folder / "profiles"),
            "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test",
            "DBT_WRITE_JSON": "false",
            "DBT_LOG_LEVEL_FILE": "none",
        }
        yield Place(folder, folder / "home", settings), sandbox


@pytest.fixture(scope="module")
def first_night(
    place: tuple[Place, TdxSandbox],
    filled_database: Callable[..., str],
    quick_builds: None,
) -> Callable[[], str]:
    """Make the warehouse after the first night, and return its URL, which is always the same."""
    commands, _ = place

    def fill(dsn: str) -> None:
        done = commands.inside("quotemill", "run", "tdx", QUOTEMILL_WAREHOUSE_URL=dsn)
        assert done.returncode == 0, done.stderr

    return lambda: filled_database("before a night by Dagster", fill, DBT_DATABASE)


@pytest.fixture(scope="module")
def undisturbed(
    place: tuple[Place, TdxSandbox], first_night: Callable[[], str]
) -> Mapping[str, Any]:
    """What `quotemill run` leaves of the second night."""
    (commands, sandbox), dsn = place, first_night()
    sandbox.set_clock(DAYS[-1], restart=True)
    # at a weekend its calendar would find that all of today was loaded by the first
    stages = ("--only", "load", "--only", "build", "--only", "qa")
    done = commands.inside("quotemill", "run", "tdx", *stages, QUOTEMILL_WAREHOUSE_URL=dsn)
    assert done.returncode == 0, done.stderr
    return read_all(dsn)


@pytest.fixture(scope="module")
def cluster(
    place: tuple[Place, TdxSandbox],
    parsed: Parsed,
    undisturbed: Mapping[str, Any],
    first_night: Callable[[], str],
    new_database: Callable[..., str],
) -> Iterator[Cluster]:
    """Dagster beside a home whose project is parsed: reading it is half of the first build."""
    from orchestration.dagster.models import read_models

    commands, _ = place
    env = {**commands.environment(), "QUOTEMILL_WAREHOUSE_URL": first_night()}
    settings = load_settings(env, cwd=commands.folder)
    read_models(settings)
    parsed.give(settings)
    folder = commands.folder / "dagster"
    folder.mkdir()
    with open_cluster(folder, new_database("dagster"), env) as opened:
        yield opened


@pytest.fixture
def night(
    cluster: Cluster, undisturbed: Mapping[str, Any], first_night: Callable[[], str]
) -> Iterator[Night]:
    """The second night, which has not begun."""
    first_night()
    shutil.rmtree(Path(cluster.env["QUOTEMILL_HOME"]) / "pipelines")
    yield Night(cluster, undisturbed)
    cluster.end_runs()  # of a test that failed
    for program, start in {
        "dagster": cluster.start_code_server,
        "dagster-daemon": cluster.start_daemon,
    }.items():
        if program not in cluster.processes:
            start()
