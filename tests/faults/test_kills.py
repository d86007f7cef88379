"""A load killed at any moment leaves nothing that the next load does not make good."""

import random
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.faults.driver import STAGES
from tests.faults.kills import (
    FAULTS,
    SEED_VARIABLE,
    SLICED,
    Scenario,
    kill,
    market_tables,
    scenario,
    seed,
)
from tests.faults.scene import BIN, Scene, assert_same, ended

PER_STAGE = 4  # kills of each stage in each scenario of the full matrix


@pytest.fixture(scope="module")
def first_load(
    open_scene: Callable[..., Scene], tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    """The very first load of an empty warehouse."""
    report = tmp_path_factory.mktemp("first") / "report"
    return scenario("first load", lambda: open_scene(faults=FAULTS, **SLICED), report)


@pytest.fixture(scope="module")
def second_day(
    open_scene: Callable[..., Scene],
    new_database: Callable[[], str],
    server_url: str,
    days: list[date],
    tmp_path_factory: pytest.TempPathFactory,
) -> Scenario:
    """The load of one new day, in a copy of a warehouse that has all the days before."""
    first = open_scene(clock=days[-2], faults=FAULTS, **SLICED)
    assert first.run().code == 0
    template = conninfo_to_dict(first.dsn or "")["dbname"]

    def open_() -> Scene:
        dsn = new_database()
        name = conninfo_to_dict(dsn)["dbname"]
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(f"drop database {name}".encode())
            conn.execute(f"create database {name} template {template}".encode())
        return open_scene(clock=days[-1], faults=FAULTS, dsn=dsn, **SLICED)

    report = tmp_path_factory.mktemp("second") / "report"
    return scenario("second day", open_, report)


def test_one_kill_in_each_stage_of_a_load_costs_nothing_but_time(
    first_load: Scenario, second_day: Scenario, tmp_path: Path
) -> None:
    number = seed(20)
    print(f"{SEED_VARIABLE}={number}")
    rng = random.Random(number)
    for stage in STAGES:
        what, _ = kill(rng.choice([first_load, second_day]), stage, rng, tmp_path / "report")
        print(what)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["first_load", "second_day"])
def test_kills_all_over_a_load_cost_nothing_but_time(
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    disturbed: Scenario = request.getfixturevalue(name)
    number = seed(secrets.randbelow(1_000_000))
    print(f"{SEED_VARIABLE}={number}")
    rng = random.Random(number)
    kills: Counter[str] = Counter()
    moments: set[str] = set()
    scenes = []
    for stage in STAGES:
        for _ in range(PER_STAGE):
            what, scene = kill(disturbed, stage, rng, tmp_path / "report")
            print(what)
            kills[stage] += 1
            moments.add(what)
            scenes.append(scene)
    tables = []
    for scene in (disturbed.undisturbed, rng.choice(scenes)):
        built = ended(scene.start(BIN / "quotemill", "build"))
        assert built.code == 0, built.said
        tables.append(market_tables(scene.dsn or ""))
    assert_same(tables[1], tables[0])
    record_property(
        "figures",
        f"{disturbed.name}: {kills.total()} kills ({SEED_VARIABLE}={number}), "
        f"{len(moments)} different; every table, cursor and job record as undisturbed, "
        f"{len(tables[0])} market tables after a build too\n    "
        + ", ".join(f"{stage} {count}" for stage, count in kills.items()),
    )
