"""A load of ticks that is killed, or whose client is: the next one makes the same tables and hashes."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loaders.progress import Silent
from loaders.tq.verify import verify
from loaders.warehouse.postgres import open_warehouse
from tests.integration.tq.bench import Bench
from tests.integration.tq.conftest import mapped, schedule_dsn  # noqa: F401
from tests.integration.tq.worlds import DAYS, INDEX

ROOT = Path(__file__).parents[2]
STAGES = ("client", "answer", "written", "indexed", "landing")
DICE = random.Random(20251014)
# in each stage four of the points that it has: every day is one, in landing there are four
POINTS = [
    (stage, number)
    for stage in STAGES
    for number in (
        sorted(DICE.sample(range(1, DAYS + 1), 4)) if stage != "landing" else range(1, 5)
    )
]
FEW = [("client", 3), ("written", 4), ("landing", 2)]


@pytest.fixture(scope="session")
def undisturbed() -> list[object]:
    """The index as a load leaves it that nothing befell; filled by the first test."""
    return []


def environ(made: Bench) -> dict[str, str]:
    assert made.settings.warehouse_url is not None
    given = made.sandbox.settings() | {"pace": 0, "backoff": 0, "concurrency": 1}
    given["varieties"] = ",".join(given["varieties"])
    own = {f"QUOTEMILL_TQ__{name.upper()}": str(value) for name, value in given.items()}
    return os.environ | own | {
        "QUOTEMILL_WAREHOUSE_URL": made.settings.warehouse_url.get_secret_value(),
        "QUOTEMILL_HOME": str(made.settings.home),
        "DBT_PROFILES_DIR": str(made.settings.home),
    }  # fmt: skip


def killed_and_made_up_for(made: Bench, undisturbed: list[object], stage: str, number: int) -> None:
    if not undisturbed:
        made.load("ticks")
        undisturbed.extend(made.rows(INDEX))
        made.execute("drop schema ticks cascade; truncate raw_tq.symbol_day")
    command = [sys.executable, "-m", "tests.faults.tq_driver", stage, str(number)]
    ended = subprocess.run(
        [*command, made.sandbox.clock.isoformat()],
        cwd=ROOT,
        env=environ(made),
        capture_output=True,
        timeout=240,
    )
    expected = 0 if stage == "client" else -signal.SIGKILL
    assert ended.returncode == expected, ended.stderr.decode()
    result = made.load("ticks")
    assert result.status == "succeeded", result
    assert made.rows(INDEX) == undisturbed
    found = verify(made.settings, open_warehouse(made.settings), Silent())
    assert (found.days, found.differences) == (DAYS, ())


@pytest.mark.parametrize(("stage", "number"), FEW)
def test_what_a_kill_left_undone_the_next_load_does(
    mapped: Bench,  # noqa: F811
    undisturbed: list[object],
    stage: str,
    number: int,
) -> None:
    killed_and_made_up_for(mapped, undisturbed, stage, number)


@pytest.mark.soak
@pytest.mark.parametrize(("stage", "number"), POINTS)
def test_twenty_kills_in_every_stage_leave_the_same_tables(
    mapped: Bench,  # noqa: F811
    undisturbed: list[object],
    stage: str,
    number: int,
) -> None:
    killed_and_made_up_for(mapped, undisturbed, stage, number)
