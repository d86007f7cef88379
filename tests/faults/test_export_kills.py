"""Exports killed at any step: what stays is true, and the same command finishes."""
# ruff: noqa: F811

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.faults.points import EXPORT
from tests.faults.scene import drive
from tests.integration.dbt.conftest import BARS, DbtOn, dbt_on, prepared  # noqa: F401
from tests.integration.dbt.raw import bar, land, security, trading_day

CODES = ("sh600000", "sz000002")
# a bar a month, so that the files become whole in two batches
DAYS = [date(2018, 1, 15) + timedelta(days=31 * n) for n in range(80)]
FORMS = {"fresh": "parquet", "followed": "parquet", "dump": "qlib"}
FEW = ("the cursor moved", "files are on disk", "some have their names", "the manifest is written")
# the parts of a dump are codes, which become whole in one batch
KILLS = [
    (scenario, point)
    for scenario in FORMS
    for point in EXPORT
    if scenario != "dump" or point != "the journal names the others"
]


@pytest.fixture
def place(filled_database: Callable[..., str], dbt_on: DbtOn, tmp_path: Path) -> Place:
    """Bars of eighty months, built as far as an export needs."""

    def fill(dsn: str) -> None:
        made = prepared(dsn, tmp_path)
        dbt = dbt_on(made)
        with made.connect(autocommit=True) as conn:
            land(conn, "security", [security(code) for code in CODES])
            land(conn, "trading_day", [trading_day(day) for day in DAYS])
            land(conn, "kline_daily", [bar(code, day, "10") for code in CODES for day in DAYS])
        for words in (("build", *BARS), ("run", "-s", "kline_daily")):
            built = dbt(*words)
            assert built.success, built.error

    dsn = filled_database("export kills", fill, DBT_DATABASE)
    return Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": dsn})


def run(place: Place, *words: str) -> str:
    done = place.inside("quotemill", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("manifest.json", "views.duckdb")
    }


def claims(folder: Path) -> dict[str, str]:
    """What the manifest says of the files."""
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    parts = document["parts"].values()
    return {name: file["sha256"] for part in parts for name, file in part.items()}


@pytest.mark.parametrize(
    ("scenario", "point"),
    [
        pytest.param(s, p, marks=() if s == "followed" and p in FEW else pytest.mark.soak)
        for s, p in KILLS
    ],
)
def test_what_a_killed_export_left_is_true_and_taken_up(
    scenario: str, point: str, place: Place, tmp_path: Path
) -> None:
    folder, fresh = tmp_path / "copy", tmp_path / "fresh"
    words = ["export", "kline_daily", "--to", FORMS[scenario]]
    command = [*words, str(folder)]
    dsn = place.settings["QUOTEMILL_WAREHOUSE_URL"]
    if scenario != "fresh":
        run(place, *command, "--follow", "copy")
        command = ["export", "--follow", "copy"]
        with psycopg.connect(dsn, autocommit=True) as conn:
            # a correction of every month of one code, and its last bar withdrawn
            land(conn, "kline_daily", [bar(CODES[0], day, "11") for day in DAYS])
            conn.execute("delete from raw_tdx.kline_daily where trade_date = %s", (DAYS[-1],))
    killed = drive(
        "export", point, EXPORT[point].nth, "quotemill", *command, env=place.environment()
    )
    assert killed.code == -signal.SIGKILL, killed.said
    if (folder / "manifest.json").exists():
        assert claims(folder).items() <= hashes(folder).items()

    run(place, *command)
    run(place, *words, str(fresh))
    assert hashes(folder) == hashes(fresh) == claims(folder)
    if scenario != "fresh":
        [listed] = json.loads(run(place, "export", "list", "--json"))
        assert (listed["state"], listed["is_behind"]) == ("current", False)
    shutil.rmtree(fresh)
