"""Exports killed at any step: what stays is true, and the same command finishes."""

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
from tests.dbt_parse import Parsed
from tests.e2e.commands import Place
from tests.faults.points import EXPORT
from tests.faults.scene import drive
from tests.integration.dbt.raw import bar, land, security, trading_day
from tests.integration.dbt.two_codes import BARS

CODES = ("sh600000", "sz000002")
# a bar a month, so that there are many files
DAYS = [date(2018, 1, 15) + timedelta(days=31 * n) for n in range(80)]
# a table of the feed, and one that is written as a whole
FORMS = {
    "fresh": ("raw_tdx.kline_daily", "parquet"),
    "followed": ("raw_tdx.kline_daily", "parquet"),
    "dump": ("kline_daily", "qlib"),
}
FEW = ("files are on disk", "some have their names", "old files are gone", "the manifest is back")
KILLS = [
    (scenario, point)
    for scenario in FORMS
    for point in EXPORT
    if scenario != "dump" or point != "the cursor is not committed"
]


@pytest.fixture
def place(
    filled_database: Callable[..., str],
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Place:
    """Bars of eighty months, built as far as an export needs."""

    def fill(dsn: str) -> None:
        made = Parsed.prepared(dsn, tmp_path)
        dbt = parsed.commands(made, monkeypatch)
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
        if path.is_file() and path.name != "manifest.json"
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
    table, form = FORMS[scenario]
    words = ["export", table, "--to", form]
    command = [*words, str(folder)]
    dsn = place.settings["QUOTEMILL_WAREHOUSE_URL"]
    if scenario != "fresh":
        run(place, *command)
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
    again = json.loads(run(place, *command, "--json"))
    assert again["written"] == 0 or scenario == "dump"
    assert hashes(folder) == claims(folder)
    shutil.rmtree(fresh)
