"""Fixtures of every test: its surroundings, real data, dbt's project."""

import asyncio
import atexit
import functools
import gc
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from loaders.cli import shell
from loaders.settings import Settings
from loaders.ticks.questdb import server as questdb
from loaders.warehouse import profiles
from loaders.warehouse.embedded import sizes
from loaders.warehouse.embedded.machine import Machine
from loaders.warehouse.profiles import write_profile
from orchestration.archive import old_days
from orchestration.run import build, build_record
from orchestration.timescale import upgrade
from quotemill.warehouse.dbt_project import Project, find_project
from quotemill.warehouse.postgres import Warehouse
from tests.checkout import list_foreign_models, own_checkout
from tests.dbt_parse import Parsed
from tests.faults import tally
from tests.forks import fork_clients
from tests.homes import scratch
from tests.planted import find_secrets
from tests.requirements import ADDED_BY, require

pytest_plugins = ["tests.databases", "tests.wheels"]
ROOT = Path(__file__).parent.parent
DBT_DATABASE = Parsed.DATABASE
OF_MODELS = "tests/integration/dbt/"
LEFT = pytest.StashKey[int]()
# for pytest's folders, for ours, and for those of the processes that tests start
for name in ("PYTEST_DEBUG_TEMPROOT", "TMPDIR"):
    os.environ.setdefault(name, str(scratch()))
tempfile.tempdir = None
# a busy machine makes an example slow, and no test wrong
hypothesis.settings.register_profile(
    "few", max_examples=20, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(  # `make soak`
    "many", parent=hypothesis.settings.get_profile("few"), max_examples=400
)
hypothesis.settings.load_profile("few")
# each full collection walks all that dlt and dbt hold: by default a sixth of the suite's time
gc.set_threshold(500_000, 20, 20)
resident = [0]  # after the last


def pytest_configure(config: pytest.Config) -> None:
    steps = "warehouse(*steps): what fills the warehouse of a test before it, one after another"
    config.addinivalue_line("markers", steps)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first: at the end one worker would run them alone."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "e2e"):
            item.add_marker(pytest.mark.e2e)
    items.sort(
        key=lambda item: (
            item.get_closest_marker("long") is None,
            not item.nodeid.startswith(OF_MODELS),
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile` one worker has all tests of models.

    Each other one would parse the project and fill the same databases again.
    """
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    config.option.loadscopereorder = False
    scheduler = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope
    scheduler._split_scope = lambda nodeid: (
        OF_MODELS if nodeid.startswith(OF_MODELS) else by_file(nodeid)
    )
    return scheduler


def pytest_runtest_teardown() -> None:
    """Free what builds left, some 50 MB each, before a worker has taken gigabytes."""
    if psutil.Process().memory_info().rss > resident[0] + 300_000_000:
        gc.collect()
        resident[0] = psutil.Process().memory_info().rss


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the long tests that a run leaves to `make test-e2e`."""
    for item in items:
        is_left = "not long" in item.config.option.markexpr and item.get_closest_marker("long")
        if is_left and not item.get_closest_marker("soak"):
            item.config.stash[LEFT] = item.config.stash.get(LEFT, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give the count of a worker, each of which collects all tests, to the process of the run.

    No QuestDB outlives the folder of its home. What commands registered in this process for its end
    would make DuckDB list its objects there.
    """
    atexit.unregister(gc.freeze)
    if servers := sys.modules.get("tests.integration.ticks.servers"):
        servers.AT_END.close()
    folder = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    for depth in ("*", "*/*", "*/*/*"):
        for lock in folder.glob(f"{depth}/questdb/server.lock"):
            questdb.remove(lock.parent)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = session.config.stash.get(LEFT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT] = getattr(node, "workeroutput", {}).get("left", 0)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many faults of which kind were struck, and how many rows differ."""
    ended = chain.from_iterable(terminalreporter.stats.values())
    calls = (report for report in ended if getattr(report, "when", "") == "call")
    for line in tally.table(calls):
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print as the last line how many tests were left out, and what adds them."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    names = Counter({"long (make test-e2e)": config.stash.get(LEFT, 0)})
    for reason, count in reasons.items():
        name = reason.partition(":")[0]
        names[ADDED_BY.get(name, reason)] += count
    if total := names.total():
        parts = ", ".join(f"{count} {name}" for name, count in names.most_common() if count)
        reporter.write_line(f"left out {total} tests: {parts}")


@pytest.fixture(scope="session", autouse=True)
def _settings_come_from_tests_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the machine, and no profile written into the checkout; for the fixtures of a
    module or session too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if (
                name.startswith(("QUOTEMILL_", "TDX_", "DB_", "IB_", "DBT_", "PG"))
                and name != "QUOTEMILL_REQUIRE"
            ):
                patch.delenv(name)
        patch.setenv("DBT_PROFILES_DIR", str(tmp_path_factory.mktemp("dbt_profiles")))
        # artifacts and a log that no test reads: a quarter of a command's time
        patch.setenv("DBT_WRITE_JSON", "false")
        patch.setenv("DBT_LOG_LEVEL_FILE", "none")
        # a thread more is a connection more with cold caches: a quarter of a build's time. Commands
        # that are processes of their own build with all of them
        patch.setattr(profiles, "THREADS", 1)
        # servers of tests stay small, and alike on every machine
        patch.setattr(sizes, "machine", lambda: Machine(2**30, 2))
        # a server that lives for minutes gains nothing from the slow compiler
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        # each client would read all certificates for a twentieth of a second
        trusted = functools.cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", trusted)
        fork_clients(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_event_loop_waits_for_the_database() -> Iterator[None]:
    """Queries of the warehouse on an event loop with requests in flight fail."""

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def ask(*args: Any, **options: Any) -> Any:
            assert asyncio._get_running_loop() is None, "the warehouse is asked on an event loop"
            return method(*args, **options)

        return ask

    with pytest.MonkeyPatch.context() as patch:
        for name in ("ask", "connect"):
            patch.setattr(Warehouse, name, guarded(getattr(Warehouse, name)))
        yield


@pytest.fixture(autouse=True)
def _own_profile_and_silent_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shell.route_logs(lambda text: None)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "dbt_profiles"))


@pytest.fixture(autouse=True)
def _no_secret_is_written(tmp_path: Path) -> Iterator[None]:
    """No output of a command contains the secrets that tests put into settings."""
    yield
    assert find_secrets(tmp_path) == []


def shared_folder(name: str) -> Path:
    """A folder of the market data beside the project; the README in it says what they are."""
    folder = ROOT.parent / "shared" / "data" / name
    require("shared", folder.is_dir(), f"no market data at {folder}")
    return folder


@pytest.fixture(scope="session")
def real_tdx_data() -> Path:
    """Real bars, actions and expected adjusted prices."""
    return shared_folder("tdx")


@pytest.fixture(scope="session")
def real_tq_data() -> Path:
    """Recorded ticks and bars of futures of 2018 to 2020."""
    return shared_folder("tq")


@pytest.fixture(scope="session")
def real_client() -> Path:
    """A desktop client's folder with real files, which cannot be written to."""
    return shared_folder("client")


@pytest.fixture(scope="session", autouse=True)
def _no_foreign_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let tests build a copy of the project if somebody added models to it.

    Commands find it as the checkout around their folder, which is one of pytest's.
    """
    if not list_foreign_models():
        yield
        return
    copy = own_checkout(tmp_path_factory.getbasetemp())

    def find_copy() -> Project:
        nearest = find_project()
        return Project(copy.parent) if nearest.root == ROOT else nearest

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Parsed, "PROJECT", copy)
        for reader in (build, build_record, old_days):
            patch.setattr(reader, "find_project", find_copy)
        yield


@pytest.fixture(scope="session")
def parsed(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """The project parsed for databases named Parsed.DATABASE; for others dbt parses everything."""
    folder = tmp_path_factory.mktemp("dbt")
    url = make_conninfo(server_url, dbname=Parsed.DATABASE)
    write_profile(Warehouse(url, "test", False, "market", None, "test", folder), folder)
    return Parsed(folder, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def quick_builds(parsed: Parsed) -> Iterator[None]:
    """Builds by our own commands, too, parse nothing again for a database named Parsed.DATABASE."""
    own, invoke = build.dbt_target, build.invoke

    def shared(settings: Settings, warehouse: Warehouse) -> Path:
        named = warehouse.params()["dbname"], warehouse.market_schema
        return parsed.target if named == (Parsed.DATABASE, "market") else own(settings, warehouse)

    @functools.wraps(invoke)
    def invoke_parsed(settings: Settings, warehouse: Warehouse, *args: Any, **options: Any) -> Any:
        manifest = parsed.manifests.get(str(build.dbt_target(settings, warehouse)))
        return parsed.call_in_thread(
            invoke, settings, warehouse, *args, manifest=manifest, **options
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "dbt_target", shared)
        for module in (build, old_days, upgrade):
            patch.setattr(module, "invoke", invoke_parsed)
        yield


@pytest.fixture
def models_alone(quick_builds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds by our own commands leave out all of dbt's tests."""
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "unit_test test")


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """A connection to the `warehouse` of a test, which commits each statement."""
    with warehouse.connect(autocommit=True) as connection:
        yield connection
