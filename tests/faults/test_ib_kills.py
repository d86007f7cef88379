"""Loads of option chains that are killed at any point: running them again makes the same tables."""

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.points import AROUND_PACKAGE
from tests.faults.scene import drive_load
from tests.integration.ib.bench import QUICK, Bench, bench

DICE = random.Random(20261119)
CLOCKS = {
    "discover": "2026-11-19T09:25:00",
    "snapshot": "2026-11-19T10:00:05",
    "close": "2026-11-19T17:00:00",
    "enrich": "2026-11-20T07:30:00",
}
TABLES = [
    "session",
    "underlying",
    "contract",
    "session_contract",
    "negative_contract",
    "chain_snapshot",
    "chain_close",
    "slot_run",
    "open_interest",
    "enrichment",
]


RECORDED = ("after its rows", "after the package")
# makes the gateway send messages
TALKATIVE = ("permission:symbol=MSFT:code=354",)


class Kill(NamedTuple):
    task: str
    table: str
    where: str

    def __str__(self) -> str:
        return f"{self.task}: {self.table}, {self.where}"


FEW = [  # tests/faults/test_soak.py draws among all
    Kill("discover", "session_contract", DICE.choice(AROUND_PACKAGE)),
    Kill("snapshot", "chain_snapshot", DICE.choice(AROUND_PACKAGE)),
    Kill("enrich", "open_interest", DICE.choice(AROUND_PACKAGE)),
]


@pytest.mark.parametrize("kill", FEW, ids=str)
def test_what_a_kill_left_undone_the_same_load_does(
    kill: Kill, filled_database: Callable[..., str], tmp_path: Path
) -> None:
    """One copy of a database is loaded undisturbed, another is killed and loaded again."""
    faults = TALKATIVE if kill.table == "gateway_event" else ()
    # as the load in the child process: rows carry the settings of their load
    like_it: dict[str, Any] = {"faults": faults, "messages_per_second": 40}
    like_it["clock"] = CLOCKS[kill.task]

    def fill(dsn: str) -> None:
        with bench(dsn, tmp_path / "before") as first:
            if kill.task != "discover":
                assert first.load("discover").exit_code == 0

    kind = "ib_nothing" if kill.task == "discover" else "ib_contracts"
    with bench(filled_database(kind, fill), tmp_path / "whole", **like_it) as whole:
        assert whole.load(kill.task, **_options(kill.task)).exit_code == 0
        expected = tables(whole)
        said = events(whole)
        assert (said != set()) == bool(faults)
    with bench(filled_database(kind, fill), tmp_path / "killed", **like_it) as killed:
        point, task = f"{kill.table}, {kill.where}", ("--task", kill.task)
        ended = drive_load(killed, "ib", point, 1, *task, own=QUICK)
        assert ended.code == -signal.SIGKILL, ended.said
        again = killed.load(kill.task, **_options(kill.task))
        assert again.exit_code == 0, again
        assert tables(killed) == expected
        # the gateway's messages are lost with the load that heard them until they are recorded
        assert events(killed) <= said
        assert kill.where not in RECORDED or events(killed) == said
        assert killed.rows("select count(*) from ops.ingestion_jobs where status = 'running'") == [
            (0,)
        ]


def tables(made: Bench) -> dict[str, list[dict[str, Any]]]:
    """All that landed; rows that the killed attempt at open interest filled count as the same."""
    tables = {table: made.table(table) for table in TABLES}
    for row in tables["enrichment"]:
        row["same"] += row.pop("filled")
    return tables


def events(made: Bench) -> set[tuple[Any, ...]]:
    """The gateway's messages, without how often each came."""
    return set(made.rows("select error_code, action, text from raw_ib.gateway_event"))


def _options(task: str) -> dict[str, str]:
    return {"slot": "now"} if task == "snapshot" else {}
