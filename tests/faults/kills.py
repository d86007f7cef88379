"""Killing loads: scenarios with their undisturbed outcome, and one kill with its recovery."""

import json
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from loaders.tdx.plan import CLIENT_DATASETS, DEFAULTS, NAMES
from tests.faults import tally
from tests.faults.points import TDX
from tests.faults.scene import Scene, assert_same

# a seed given here replays: FAULTS_SEED=7 pytest tests/faults
SEED_VARIABLE = "FAULTS_SEED"
# several packages for each exchange, and more than one task
SLICED = {"QUOTEMILL_TDX__SLICE_SIZE": "4", "QUOTEMILL_TDX__BATCH_SIZE": "6"}
# one rejected row, so that their table is not empty
FAULTS = ("holiday:kline-all:code=sh600000",)
# what a day loads by default; and all that a first load can, with ticks
DAY = ("--mode=incremental",)
LOADED = {*DEFAULTS["init"], *DEFAULTS["incremental"]} - {*CLIENT_DATASETS, "minute_5m"}
FIRST = ("--mode=init", *(f"--dataset={name}" for name in NAMES if name in LOADED))


def seed(default: int) -> int:
    return int(os.environ.get(SEED_VARIABLE) or default)


def dice(default: int) -> random.Random:
    number = seed(default)
    print(f"{SEED_VARIABLE}={number}")
    tally.note_seed(number)
    return random.Random(number)


@dataclass
class Scenario:
    """A load to be disturbed.

    `open` sets it up each time; `args`: of its command; `expected`: what it leaves undisturbed;
    `counts`: how often it reaches each point.
    """

    name: str
    open: Callable[[], Scene]
    args: tuple[str, ...]
    undisturbed: Scene
    expected: Mapping[str, Any]
    counts: Mapping[str, int]


def scenario(name: str, open_: Callable[[], Scene], report: Path, *args: str) -> Scenario:
    scene = open_()
    done = scene.driven(report, "none", 0, *args)
    assert done.code == 0, done.said
    counts = json.loads(report.read_text())["counts"]
    return Scenario(name, open_, args, scene, scene.facts(), counts)


def draw_point(scenario: Scenario, stage: str, rng: random.Random) -> str:
    """A point of the stage that the load reaches."""
    points = [name for name, point in TDX.items() if point.stage == stage]
    return rng.choice([name for name in points if scenario.counts.get(name)])


def kill(scenario: Scenario, point: str, rng: random.Random, report: Path) -> tuple[str, Scene]:
    """Kill a load at some call of a point, run it again as a user would, and compare.

    Returns what was hit.
    """
    stage, args = TDX[point].stage, scenario.args
    nth = rng.randint(1, scenario.counts[point])
    what = f"{scenario.name}, {stage}: {point}, {nth} of {scenario.counts[point]}"
    scene = scenario.open()
    before = _jobs(scene)

    report.unlink(missing_ok=True)
    killed = scene.driven(report, point, nth, *args)
    assert killed.code == -signal.SIGKILL, f"{what}: {killed.said}"
    assert json.loads(report.read_text())["hit"] == f"{stage}: {point}", what
    # the folder is renewed, and its state packed, before there is a job
    recorded = _jobs(scene)[len(before) :]

    again = scene.run(*args)
    assert again.code == 0, f"{what}: {again.said}"
    try:
        assert_same(scene.facts(), scenario.expected)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
    ended = [*before, "succeeded", *("interrupted" for _ in recorded)]
    assert sorted(scene.jobs()) == sorted(ended), what
    return what, scene


def _jobs(scene: Scene) -> list[str]:
    """The status of each job on record; none before the first load made the table."""
    return scene.jobs() if scene.rows("select to_regclass('ops.ingestion_jobs')")[0][0] else []


def market_tables(dsn: str, apart: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """The tables of a build, without the feed of changes and the columns `apart`."""
    with psycopg.connect(dsn) as conn:
        names = [
            row[0]
            for row in conn.execute(
                "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "where n.nspname = 'market' and c.relkind in ('r', 'v', 'm') "
                "and c.relname <> 'changes' order by 1"
            )
        ]
        assert names
        return {
            name: conn.execute(
                f'select (to_jsonb(t) - %s::text[])::text from market."{name}" t '
                "order by 1".encode(),
                [list(apart)],
            ).fetchall()
            for name in names
        }
