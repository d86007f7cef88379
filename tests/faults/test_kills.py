"""A load killed at any moment leaves nothing that the next load does not make good."""

import random
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.faults.driver import DELETED, LANDING, MOMENTS, STAGES
from tests.faults.kills import (
    DAY,
    FAULTS,
    FIRST,
    SEED_VARIABLE,
    SLICED,
    Scenario,
    kill,
    market_tables,
    moment_of,
    scenario,
    seed,
)
from tests.faults.scene import BIN, Scene, assert_same, ended

PER_MOMENT = 1  # kills at each moment of each scenario of the full matrix


@pytest.fixture(scope="module")
def first_load(
    open_scene: Callable[..., Scene], tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    """The very first load of an empty warehouse, ticks and quotes included."""
    report = tmp_path_factory.mktemp("first") / "report"
    return scenario("first load", lambda: open_scene(faults=FAULTS, **SLICED), report, *FIRST)


@pytest.fixture(scope="module")
def second_day(
    open_scene: Callable[..., Scene],
    new_database: Callable[..., str],
    days: list[date],
    tmp_path_factory: pytest.TempPathFactory,
) -> Scenario:
    """The load of one new day, in a copy of a warehouse that has all the days before.

    The ticks of the day before are provisional in it: this load replaces them.
    """
    first = open_scene(clock=days[-2], faults=FAULTS, **SLICED)
    loaded = first.run(*FIRST)
    assert loaded.code == 0, loaded.said

    def open_() -> Scene:
        dsn = new_database(template=first.dsn)
        return open_scene(clock=days[-1], faults=FAULTS, dsn=dsn, **SLICED)

    report = tmp_path_factory.mktemp("second") / "report"
    return scenario("second day", open_, report, *DAY)


def test_one_kill_in_each_stage_of_a_load_costs_nothing_but_time(
    first_load: Scenario, second_day: Scenario, tmp_path: Path
) -> None:
    number = seed(20)
    print(f"{SEED_VARIABLE}={number}")
    rng = random.Random(number)
    for stage in STAGES:
        disturbed = rng.choice([first_load, second_day])
        moment = moment_of(disturbed, stage, rng)
        if stage == LANDING:  # the new day's load replaces the ticks of the day before
            disturbed, moment = second_day, DELETED
        what, _ = kill(disturbed, moment, rng, tmp_path / "report")
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
    for moment in [m for m in MOMENTS if disturbed.counts.get(m)] * PER_MOMENT:
        what, scene = kill(disturbed, moment, rng, tmp_path / "report")
        print(what)
        kills[MOMENTS[moment]] += 1
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
