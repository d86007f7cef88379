"""Archive, compaction, retention and restore killed at any step: run again, they finish."""
# ruff: noqa: F811

import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.faults.points import ARCHIVE
from tests.faults.scene import drive
from tests.integration.dbt.conftest import Dbt, DbtOn, Outcome, dbt_on, prepared  # noqa: F401
from tests.integration.dbt.option_days import LANDED, TUESDAY, VIEWS, land_days, read, tables

DICE = random.Random(20261130)
AFTER, LATER = "--as-of=2026-11-30T15:00", "--as-of=2027-01-24T15:00"
COMMANDS = {
    "archive": ("archive", "--no-compact", AFTER),
    "compact": ("archive", "--compact", AFTER),
    "retention": ("retention", LATER),
    "restore": ("restore", "--date=2026-11-24", LATER),
}
BY_COMMAND = [[name for name, p in ARCHIVE.items() if p.stage == c] for c in COMMANDS]
FEW = [DICE.choice(points) for points in BY_COMMAND]
KEYS = {
    "chain_intraday": "sample_time",
    "chain_daily_clean": "trade_date",
    "open_interest": "oi_asof_date",
}


@pytest.fixture
def place(filled_database: Callable[..., str], dbt_on: DbtOn, tmp_path: Path) -> Place:
    """Two days of option chains, landed and built as far as the archive needs."""

    def fill(dsn: str) -> None:
        made = prepared(dsn, tmp_path)
        dbt = dbt_on(made)
        smiles = "int_option_smiles__interpolated"  # rows go only once they are in it
        chosen = ("+qa_option_day", smiles, "chain_intraday", "contracts", "open_interest")
        with made.connect(autocommit=True) as conn:
            land_days(conn)
        built = dbt("run", "-s", *chosen)
        assert built.success, built.error

    dsn = filled_database("archive kills", fill, DBT_DATABASE)
    return Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": dsn})


@pytest.mark.parametrize(
    "point", [*FEW, *(pytest.param(p, marks=pytest.mark.soak) for p in ARCHIVE if p not in FEW)]
)
def test_what_a_kill_left_undone_the_same_command_does(point: str, place: Place) -> None:
    command = ARCHIVE[point].stage
    before = list(COMMANDS)[: list(COMMANDS).index(command)]
    with psycopg.connect(place.settings["QUOTEMILL_WAREHOUSE_URL"], autocommit=True) as conn:
        whole, stored = in_warehouse(conn), tables(conn, LANDED)
        for name in before:
            done = place.inside("quotemill", *COMMANDS[name])
            assert done.returncode == 0, done.stdout + done.stderr

        arguments = ("quotemill", *COMMANDS[command])
        nth, env = ARCHIVE[point].nth, place.environment()
        killed = drive("archive", point, nth, *arguments, env=env)
        assert killed.code == -signal.SIGKILL, killed.said
        archived = in_folder(place)
        # no row twice; all of them but within a swap
        assert all(archived[view] <= whole[view] for view in VIEWS)
        if command in ("retention", "restore"):
            assert archived == whole
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
    rows_by_view = {}
    for view, key in KEYS.items():
        folder = place.home / "archive"
        rows = read(folder, view).to_pylist() if (folder / f"view={view}").is_dir() else []
        rows_by_view[view] = Counter((row["conid"], row[key]) for row in rows)
    return rows_by_view
