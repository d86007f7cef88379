"""Archive, compaction, retention and restore that are killed at any step: no row twice, none lost, and running
again finishes."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.warehouse.postgres import Warehouse
from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.faults.archive_driver import MOMENTS
from tests.integration.dbt.conftest import Outcome, dbt_on, prepared  # noqa: F401
from tests.integration.dbt.option_days import LANDED, TUESDAY, VIEWS, land_days, read, tables

ROOT = Path(__file__).parents[2]
DICE = random.Random(20261130)
AFTER, LATER = "--as-of=2026-11-30T15:00", "--as-of=2027-01-24T15:00"
COMMANDS = {
    "archive": ("archive", "--no-compact", AFTER),
    "compact": ("archive", "--compact", AFTER),
    "retention": ("retention", LATER),
    "restore": ("restore", "--date=2026-11-24", LATER),
}
BY_COMMAND = {c: [m for m, of in MOMENTS.items() if of.command == c] for c in COMMANDS}
FEW = [DICE.choice(moments) for moments in BY_COMMAND.values()]
KEYS = {
    "chain_intraday": "sample_time",
    "chain_daily_clean": "trade_date",
    "open_interest": "oi_asof_date",
}


@pytest.fixture
def place(
    filled_database: Callable[..., str],
    dbt_on: Callable[[Warehouse], Callable[..., Outcome]],  # noqa: F811
    tmp_path: Path,
) -> Place:
    """Two days of option chains, landed and built as far as the archive needs."""

    def fill(dsn: str) -> None:
        made = prepared(dsn, tmp_path)
        dbt = dbt_on(made)
        chosen = ("+qa_option_day", "chain_intraday", "contracts", "open_interest")
        with made.connect(autocommit=True) as conn:
            land_days(conn)
        built = dbt("run", "-s", *chosen)
        assert built.success, built.error

    dsn = filled_database("archive kills", fill, DBT_DATABASE)
    return Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": dsn})


@pytest.mark.parametrize(
    "moment", [*FEW, *(pytest.param(m, marks=pytest.mark.soak) for m in MOMENTS if m not in FEW)]
)
def test_what_a_kill_left_undone_the_same_command_does(moment: str, place: Place) -> None:
    command = MOMENTS[moment].command
    before = list(COMMANDS)[: list(COMMANDS).index(command)]
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"], autocommit=True) as conn:
        whole, stored = in_warehouse(conn), tables(conn, LANDED)
        for name in before:
            done = place.inside("quotemill", *COMMANDS[name])
            assert done.returncode == 0, done.stdout + done.stderr

        killed = subprocess.run(
            [sys.executable, "-m", "tests.faults.archive_driver", moment, *COMMANDS[command]],
            cwd=ROOT,
            env=place.environment() | {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=120,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        found = in_folder(place)
        # no row twice; all of them but within a swap
        assert all(found[view] <= whole[view] for view in VIEWS)
        if command in ("retention", "restore"):
            assert found == whole
        day = "select count(*) from raw_ib.chain_snapshot where trade_date = %s"
        [(left,)] = conn.execute(day.encode(), (TUESDAY.day,)).fetchall()
        assert left == (0 if command == "restore" else 112)

        again = place.inside("quotemill", *COMMANDS[command])
        assert again.returncode == 0, again.stdout + again.stderr
        assert in_folder(place) == whole
        assert list((place.home / "archive").rglob("*.new")) == []
        assert conn.execute("select count(*) from ops.archive_swaps").fetchone() == (0,)
        if command == "retention":
            assert conn.execute(day.encode(), (TUESDAY.day,)).fetchone() == (0,)
        else:
            assert tables(conn, LANDED) == stored
        check = place.inside("quotemill", "archive", "--check", "--no-compact", LATER)
        assert check.returncode == 0, check.stdout
        assert "0 files, 0 rows" in check.stdout


def in_warehouse(conn: psycopg.Connection) -> dict[str, Counter[Any]]:
    return {
        view: Counter(conn.execute(f"select conid, {key} from options.{view}".encode()).fetchall())
        for view, key in KEYS.items()
    }


def in_folder(place: Place) -> dict[str, Counter[Any]]:
    found = {}
    for view, key in KEYS.items():
        folder = place.home / "archive"
        rows = read(folder, view).to_pylist() if (folder / f"view={view}").is_dir() else []
        found[view] = Counter((row["conid"], row[key]) for row in rows)
    return found
