"""Loads of option chains that are killed at any point: running them again makes the same tables."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.ib_driver import MOMENTS
from tests.integration.ib.bench import QUICK, Bench, bench

ROOT = Path(__file__).parents[2]
DICE = random.Random(20261119)
# each task with its moment, the datasets that it lands, and the tasks that must have been before
TASKS = {
    "discover": ("2026-11-19T09:25:00", ("session", "underlying", "contract", "session_contract")),
    "snapshot": ("2026-11-19T10:00:05", ("session", "chain_snapshot", "slot_run", "gateway_event")),
    "close": ("2026-11-19T17:00:00", ("session", "chain_close", "slot_run", "gateway_event")),
    "enrich": ("2026-11-20T07:30:00", ("open_interest",)),
}
TABLES = (
    *("session", "underlying", "contract", "session_contract", "negative_contract", "recapture"),
    *("chain_snapshot", "chain_close", "slot_run", "open_interest", "enrichment"),
)


TOLD = ("after its rows", "after the package")
# such that a task has messages of the gateway to tell
TALKATIVE = ("permission:symbol=MSFT:code=354",)


class Point(NamedTuple):
    task: str
    dataset: str
    moment: str

    def __str__(self) -> str:
        return f"{self.task}: {self.dataset}, {self.moment}"


POINTS = [
    Point(task, dataset, moment)
    for task, (_, datasets) in TASKS.items()
    for dataset in datasets
    for moment in MOMENTS
]
FEW = [
    Point("discover", "session_contract", DICE.choice(MOMENTS[1:])),
    Point("snapshot", "chain_snapshot", DICE.choice(MOMENTS[1:])),
    Point("enrich", "open_interest", DICE.choice(MOMENTS[1:])),
]


@pytest.mark.parametrize(
    "point",
    [*FEW, *(pytest.param(p, marks=pytest.mark.soak) for p in POINTS if p not in FEW)],
    ids=str,
)
def test_what_a_kill_left_undone_the_same_load_does(
    point: Point, filled_database: Callable[..., str], tmp_path: Path
) -> None:
    """One copy of a database is loaded undisturbed, another is killed and loaded again."""
    clock, _ = TASKS[point.task]
    faults = TALKATIVE if point.dataset == "gateway_event" else ()
    # the load in a process of its own takes no more, and rows tell the settings of their load
    like_it: dict[str, Any] = {"clock": clock, "faults": faults, "messages_per_second": 40}

    def fill(dsn: str) -> None:
        with bench(dsn, tmp_path / "before") as first:
            if point.task != "discover":
                assert first.load("discover").exit_code == 0

    kind = "ib_nothing" if point.task == "discover" else "ib_contracts"
    with bench(filled_database(kind, fill), tmp_path / "whole", **like_it) as whole:
        assert whole.load(point.task, **_options(point.task)).exit_code == 0
        expected = tables(whole)
        said = events(whole)
        assert (said != set()) == bool(faults)
    with bench(filled_database(kind, fill), tmp_path / "killed", **like_it) as killed:
        ended = die_at(killed, point)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        again = killed.load(point.task, **_options(point.task))
        assert again.exit_code == 0, again
        assert tables(killed) == expected
        # what the gateway said is known to the load that heard it, and lost with it until it is told
        assert events(killed) <= said
        assert point.moment not in TOLD or events(killed) == said
        assert killed.rows("select count(*) from ops.ingestion_jobs where status = 'running'") == [
            (0,)
        ]


def tables(made: Bench) -> dict[str, list[dict[str, Any]]]:
    """All that landed. An attempt at open interest tells what it found there: what the killed one has
    filled is the same to the next."""
    found = {table: made.table(table) for table in TABLES}
    for row in found["enrichment"]:
        row["same"] += row.pop("filled")
    return found


def events(made: Bench) -> set[tuple[Any, ...]]:
    """What the gateway said, however often."""
    return set(made.rows("select error_code, action, text from raw_ib.gateway_event"))


def _options(task: str) -> dict[str, str]:
    return {"slot": "now"} if task == "snapshot" else {}


def die_at(killed: Bench, point: Point) -> "subprocess.CompletedProcess[bytes]":
    """The load in a process of its own."""
    assert killed.settings.warehouse_url is not None
    given: dict[str, Any] = killed.sandbox.settings() | QUICK
    rates = given.pop("rate_limits")
    own = {f"QUOTEMILL_IB__{name.upper()}": str(value) for name, value in given.items()}
    for name, rate in rates.items():
        variable = f"QUOTEMILL_IB__RATE_LIMITS__{name.upper()}__PER_MINUTE"
        own[variable] = str(rate["per_minute"])
    place = {
        "QUOTEMILL_WAREHOUSE_URL": killed.settings.warehouse_url.get_secret_value(),
        "QUOTEMILL_HOME": str(killed.settings.home),
        "DBT_PROFILES_DIR": str(killed.settings.home),
    }
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.ib_driver", point.dataset, point.moment, point.task],
        cwd=ROOT,
        env=os.environ | own | place,
        capture_output=True,
        timeout=240,
    )
