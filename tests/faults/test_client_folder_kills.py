"""An import of the desktop client's folder that is killed at any moment is completed by the next load."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client_folder import write_folder
from tests.faults.driver import MOMENTS, STRAIGHT
from tests.faults.kills import SEED_VARIABLE, Scenario, kill, scenario, seed
from tests.faults.scene import Scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many bars in a package as go straight into the table."""
    client = tmp_path_factory.mktemp("client")
    write_folder(client, codes=12, days=4_000)
    return client


@pytest.fixture(scope="module")
def first_import(
    folder: Path, open_scene: Callable[..., Scene], tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    env = {
        "QUOTEMILL_TDX__BASE_URL": "",
        "QUOTEMILL_TDX__CORPORATE_ACTIONS": "",
        "QUOTEMILL_TDX__CLIENT": str(folder),
        "QUOTEMILL_TDX__SLICE_SIZE": "6",
    }
    report = tmp_path_factory.mktemp("first") / "report"
    bars = ("codes", "trading_calendar", "kline_daily", "index_kline")
    datasets = [f"--dataset={name}" for name in bars]
    return scenario("import of a folder", lambda: open_scene(**env), report, *datasets)


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_kills_of_an_import_cost_nothing_but_time(
    first_import: Scenario, tmp_path: Path, kills: int
) -> None:
    number = seed(13)
    print(f"{SEED_VARIABLE}={number}")
    rng = random.Random(number)
    assert first_import.counts[STRAIGHT]
    others = [m for m in MOMENTS if first_import.counts.get(m) and m != STRAIGHT]
    for moment in [STRAIGHT, *rng.sample(others, kills - 1)]:
        what, _ = kill(first_import, moment, rng, tmp_path / "report")
        print(what)
