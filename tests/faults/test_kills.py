"""A load killed at any point leaves nothing that the next load does not complete."""

import json
import secrets
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tests.client_folder import write_folder
from tests.faults.kills import (
    DAY,
    FAULTS,
    FIRST,
    SLICED,
    Scenario,
    dice,
    draw_point,
    kill,
    market_tables,
    scenario,
)
from tests.faults.points import BUILD, DELETED, EARLY, KEY, LANDING, NO_KEY, STAGES, STRAIGHT, TDX
from tests.faults.scene import Finished, Scene, assert_same, drive


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


def make_folder(factory: pytest.TempPathFactory, *, codes: int) -> dict[str, str]:
    """The settings of a desktop client's folder with so many codes, which is all that is read."""
    folder = factory.mktemp("client")
    write_folder(folder, codes=codes, days=4_000)
    return {
        "QUOTEMILL_TDX__BASE_URL": "",
        "QUOTEMILL_TDX__CORPORATE_ACTIONS": "",
        "QUOTEMILL_TDX__CLIENT": str(folder),
    }


@pytest.fixture(scope="module")
def folder_import(
    open_scene: Callable[..., Scene], tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    """A desktop client's folder, with so many bars in a package that they go straight in."""
    env = make_folder(tmp_path_factory, codes=12) | {"QUOTEMILL_TDX__SLICE_SIZE": "6"}
    report = tmp_path_factory.mktemp("import") / "report"
    bars = ("codes", "trading_calendar", "kline_daily", "index_kline")
    datasets = [f"--dataset={name}" for name in bars]
    return scenario("import of a folder", lambda: open_scene(**env), report, *datasets)


@pytest.fixture(scope="module")
def first_import(
    open_scene: Callable[..., Scene], tmp_path_factory: pytest.TempPathFactory
) -> Scenario:
    """A desktop client's folder, with so many bars that they are copied while they are read."""
    env = make_folder(tmp_path_factory, codes=51)
    report = tmp_path_factory.mktemp("import") / "report"
    return scenario("first import", lambda: open_scene(**env), report, "--dataset=kline_daily")


@pytest.mark.long
def test_one_kill_in_each_stage_of_a_load_costs_nothing_but_time(
    first_load: Scenario, second_day: Scenario, tmp_path: Path
) -> None:
    rng = dice(20)
    for stage in STAGES:
        disturbed = rng.choice([first_load, second_day])
        point = draw_point(disturbed, stage, rng)
        if stage == LANDING:  # the new day's load replaces the ticks of the day before
            disturbed, point = second_day, DELETED
        what, _ = kill(disturbed, point, rng, tmp_path / "report")
        print(what)


def test_kills_of_an_import_cost_nothing_but_time(folder_import: Scenario, tmp_path: Path) -> None:
    rng = dice(13)
    straight = [NO_KEY, KEY, STRAIGHT]
    assert all(folder_import.counts[point] for point in straight)
    others = [name for name in TDX if folder_import.counts.get(name) and name not in straight]
    for point in [*straight, *rng.sample(others, 2)]:
        what, _ = kill(folder_import, point, rng, tmp_path / "report")
        print(what)


def test_kills_of_rows_that_are_copied_early_cost_nothing_but_time(
    first_import: Scenario, tmp_path: Path
) -> None:
    rng = dice(17)
    for point in [*EARLY, KEY]:
        what, _ = kill(first_import, point, rng, tmp_path / "report")
        print(what)


@pytest.mark.soak
def test_kills_of_a_build_cost_nothing_but_time(
    open_scene: Callable[..., Scene],
    new_database: Callable[..., str],
    days: list[date],
    tmp_path: Path,
) -> None:
    """The build of a new day: one ends between its commands, one in the midst of statements."""
    landed = open_scene(clock=days[-2], DBT_EXCLUDE_RESOURCE_TYPES="unit_test test")
    for command in (landed.run, partial(landed.inside, "quotemill", "build")):
        assert (done := command()).code == 0, done.said
    landed.sandbox.set_clock(days[-1], restart=True)
    assert landed.run().code == 0
    rng, report = dice(31), tmp_path / "report"
    # one home and one name, for which the project is parsed once
    scene = replace(landed, dsn=None)

    def build(point: str, nth: int) -> Finished:
        scene.dsn = new_database("killed", template=landed.dsn)
        env = scene.environ() | {"FAULTS_REPORT": str(report)}
        return drive("build", point, nth, "quotemill", "build", env=env, cwd=scene.home)

    assert (whole := build("none", 0)).code == 0, whole.said
    expected, counts = market_tables(scene.dsn or ""), json.loads(report.read_text())["counts"]
    *between, statement = BUILD
    for point in (rng.choice(between), statement):
        nth = rng.randint(1, counts[point])
        killed = build(point, nth)
        assert killed.code == -signal.SIGKILL, f"{point}, {nth}: {killed.said}"
        again = scene.inside("quotemill", "build")
        assert again.code == 0, f"{point}, {nth}: {again.said}"
        assert_same(market_tables(scene.dsn or ""), expected)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["first_load", "second_day", "folder_import"])
def test_kills_all_over_a_load_cost_nothing_but_time(
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    disturbed: Scenario = request.getfixturevalue(name)
    rng = dice(secrets.randbelow(1_000_000))
    scenes = []
    for point in [name for name in TDX if disturbed.counts.get(name)]:
        what, scene = kill(disturbed, point, rng, tmp_path / "report")
        print(what)
        scenes.append(scene)
    tables = []
    for scene in (disturbed.undisturbed, rng.choice(scenes)):
        built = scene.inside("quotemill", "build")
        assert built.code == 0, built.said
        tables.append(market_tables(scene.dsn or ""))
    assert_same(tables[1], tables[0])
