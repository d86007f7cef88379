"""A whole load and a build, then those of a day more, of each source on a cluster with Citus."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from loaders.engine.progress import Silent
from loaders.sandbox.tq.world import World
from loaders.settings import Settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.run.build import build
from tests.bench import WarehouseQueries, settings_at
from tests.client_folder import RECORD
from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.e2e.editions.built_rows import assert_same_rows, list_built_rows
from tests.e2e.editions.test_builds import Rows
from tests.e2e.tq.test_whole_way import run
from tests.integration.ib import bench as ib
from tests.integration.tq import bench as tq

NO_TESTS = ("--exclude", "resource_type:unit_test", "resource_type:test")
LATER = 30  # days of each file of the client that a second load brings
Played = Callable[[str, Path], list[Rows]]


@pytest.fixture
def assert_alike(
    new_database: Callable[..., str],
    new_citus_database: Callable[..., str],
    quick_builds: None,
    models_alone: None,
    tmp_path: Path,
) -> Callable[[Played], list[Rows]]:
    """Play on a cluster and on plain PostgreSQL; the rows after each step are the same."""

    def compare(play: Played) -> list[Rows]:
        theirs = play(new_citus_database(DBT_DATABASE), tmp_path / "citus")
        plain = play(new_database(DBT_DATABASE), tmp_path / "plain")
        for mine, ours in zip(theirs, plain, strict=True):
            assert_same_rows(mine, ours)
        return plain

    return compare


def test_real_files_make_the_rows_of_one_server(
    real_client: Path, assert_alike: Callable[[Played], list[Rows]]
) -> None:
    def play(url: str, folder: Path) -> list[Rows]:
        client = folder / "client"
        shutil.copytree(real_client, client, copy_function=shutil.copyfile)
        settings = {"QUOTEMILL_WAREHOUSE_URL": url, "QUOTEMILL_TDX__CLIENT": str(client)}
        place = Place(folder, folder / "home", settings)
        made = Queries(settings_at(url, folder))
        after = []
        for cut in (LATER * RECORD.itemsize, None):
            for file in real_client.glob("vipdoc/*/lday/*.day"):
                target = client / file.relative_to(real_client)
                target.write_bytes(file.read_bytes()[: -cut if cut else None])
            done = place.forked("quotemill", "run")
            assert done.returncode == 0, done.stderr
            after.append(list_built_rows(made))
        return after

    first, second = assert_alike(play)
    bars = [len(rows["market.kline_daily_qfq"]) for rows in (first, second)]
    assert bars[1] > bars[0] > 150_000


def test_option_chains_make_the_rows_of_one_server(
    assert_alike: Callable[[Played], list[Rows]],
) -> None:
    def play(url: str, folder: Path) -> list[Rows]:
        after = []
        with ib.bench(url, folder) as made:
            for day, next_day in (("2026-11-19", "2026-11-20"), ("2026-11-20", "2026-11-23")):
                for task, at in (
                    ("discover", f"{day}T09:25:00"),
                    ("snapshot", f"{day}T09:30:05"),
                    ("snapshot", f"{day}T10:00:05"),
                    ("close", f"{day}T17:00:00"),
                    ("enrich", f"{next_day}T07:30:00"),
                ):
                    assert made.at(at).load(task).exit_code == 0
                build_all(made)
                after.append(list_built_rows(made))
        return after

    for rows in assert_alike(play):
        assert rows["options.chain_daily_clean"]
        assert rows["options.chain_intraday"]


def test_main_contracts_make_the_rows_of_one_server(
    assert_alike: Callable[[Played], list[Rows]],
) -> None:
    served = World(
        ("SHFE.cu",), first=date(2025, 10, 14), end=date(2025, 10, 22), ticks_per_day=150
    )

    def play(url: str, folder: Path) -> list[Rows]:
        after = []
        with tq.bench(served, url, folder) as made:
            following = next(d for d in served.days if d > made.sandbox.clock.date())
            for day in (None, following):
                if day:
                    made.sandbox.set_clock(day)
                assert run(made).exit_code in (0, 5)  # findings of synthetic bars
                after.append(list_built_rows(made))
        return after

    for rows in assert_alike(play):
        assert rows["futures.main_schedule"]
        assert rows["futures.symbol_day_index"]


@dataclass
class Queries(WarehouseQueries):
    """Queries of a warehouse that commands fill."""

    settings: Settings


def build_all(made: WarehouseQueries) -> None:
    warehouse = open_warehouse(made.settings)
    result = build(made.settings, warehouse, Silent, arguments=NO_TESTS)
    assert result is not None
    assert result.succeeded, result.failures
