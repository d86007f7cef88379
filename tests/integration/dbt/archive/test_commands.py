"""`quotemill archive`, `retention` and `restore` as processes: their output and exit codes."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.integration.dbt.option_days import OPTION_DAYS

pytestmark = [OPTION_DAYS, pytest.mark.usefixtures("quick_builds")]

AFTER, LATER = "--as-of=2026-11-30T15:00", "--as-of=2027-01-24T15:00"
Quotemill = Callable[..., subprocess.CompletedProcess[str]]


class Person(io.StringIO):
    """Input of a terminal with a line typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def place(tmp_path: Path, warehouse: Warehouse) -> Place:
    return Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": warehouse.url})


@pytest.fixture
def quotemill(place: Place) -> Quotemill:
    def call(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return place.inside("quotemill", *arguments, **settings)

    return call


@pytest.mark.long
def test_the_life_of_a_day(quotemill: Quotemill, conn: psycopg.Connection) -> None:
    done = quotemill("archive", "--compact", AFTER)
    assert done.returncode == 0, done.stderr
    assert "9 files, 224 rows" in done.stdout
    assert "chain_intraday 2026-11: 3 files" in done.stdout
    assert "below target" in done.stdout
    assert "chain_intraday: 3 of 3" in done.stderr

    done = quotemill("retention", LATER, "--dry-run")
    assert (
        done.returncode,
        "112 rows from 1 days before 2026-11-25 would be deleted" in done.stdout,
    ) == (0, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", Person("n\n"))
        done = quotemill("retention", LATER)
        assert (done.returncode, "archived slots older than 60 days" in done.stderr) == (
            1,
            True,
        )
        patch.setattr(sys, "stdin", Person("n\n"))
        assert "112 rows" in quotemill("retention", LATER, "--dry-run").stdout
    done = quotemill("retention", LATER, "--dry-run", "--older-than", "30", "--json")
    assert json.loads(done.stdout)["before"] == "2026-12-25"
    done = quotemill("retention", LATER, "--json")  # without a terminal
    shown = json.loads(done.stdout)
    assert (shown["rows"], shown["exit_code"], done.returncode) == (112, 0, 0)
    assert shown["remaining"] == []
    assert shown["dropped"] == [{"day": "2026-11-24", "underlyings": 2, "rows": 112}]

    done = quotemill("restore", "--date", "2026-11-24", "--symbols", "brk_b", LATER)
    assert done.returncode == 0, done.stderr
    assert "chain_intraday: 1 partitions, 28 rows restored" in done.stdout
    done = quotemill("restore", "--since", "2026-11-24", LATER, "--json")
    shown = json.loads(done.stdout)
    assert (shown["partitions"], shown["rows"], shown["standing"]) == (1, 84, 2)
    done = quotemill("archive", LATER, "--check", "--json")
    assert (done.returncode, json.loads(done.stdout)["damaged"]) == (0, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", Person("n\n"))
        assert quotemill("retention", LATER, "--yes").returncode == 0


def test_a_view_of_retention_leaves_the_other(quotemill: Quotemill, place: Place) -> None:
    assert quotemill("archive", AFTER).returncode == 0
    old = place.home / "logs" / "run-2026-12-01.jsonl"
    old.parent.mkdir()
    old.touch()  # 54 days before

    def dropped(view: str, days: str) -> tuple[int, list[str]]:
        done = quotemill("retention", LATER, "--view", view, "--older-than", days, "--json")
        shown = json.loads(done.stdout)
        return shown["rows"], shown["logs"]

    assert dropped("errors", "60") == (0, [])
    assert dropped("intraday", "60") == (112, [])
    assert dropped("errors", "53") == (0, [old.name])
    assert not old.exists()


def test_errors_are_named_with_their_exit_code(
    quotemill: Quotemill, place: Place, conn: psycopg.Connection
) -> None:
    done = quotemill("retention", LATER)
    assert (done.returncode, "kept: 2026-11-24 AAPL: not archived" in done.stdout) == (6, True)
    assert quotemill("archive", AFTER, "--no-compact").returncode == 0
    [file] = (place.home / "archive" / "view=chain_intraday").rglob("*BRK*/*/*.parquet")
    conn.execute("delete from raw_ib.chain_snapshot where symbol = 'BRK B'")
    file.unlink()
    done = quotemill("archive", AFTER)
    assert done.returncode == 5
    assert f"damaged: {file}: the file is missing" in done.stdout
    done = quotemill("restore", "--date", "2026-11-24", "--json")
    assert (done.returncode, json.loads(done.stdout)["partitions"]) == (5, 0)
    [log] = (place.home / "logs").glob("run-*.jsonl")
    shown = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(line["level"] == "error" and str(file) in line["event"] for line in shown)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("archive", "--view", "chain"), 2, "view chain is unknown"),
        (("archive", "--symbols", ","), 2, "--symbols "),
        (("archive", "--since", "someday"), 2, "not a date like"),
        (("restore",), 2, "no days given"),
        (("restore", "--date", "2026-11-24", "--since", "2026-11-24"), 2, "no days given"),
        (("restore", "--since", "2026-11-24", "--until", "2026-11-23"), 2, "is before"),
        (("restore", "--date", "2026-11-24"), 2, "no rows of chain_intraday"),
        (("restore", "chain_daily_clean", "--date", "2026-11-24"), 2, "built from the slots"),
    ],
)
def test_bad_input_is_reported(
    arguments: tuple[str, ...], code: int, says: str, quotemill: Quotemill
) -> None:
    done = quotemill(*arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_an_empty_warehouse_is_reported(new_database: Callable[[str], str], tmp_path: Path) -> None:
    place = Place(
        tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": new_database(DBT_DATABASE)}
    )
    for command in (("archive",), ("retention", "--view", "intraday")):
        done = place.inside("quotemill", *command)
        assert (done.returncode, "option chains were never built" in done.stderr) == (2, True)
    done = place.inside("quotemill", "retention", "--yes")  # of the logs, and of other sources
    assert (done.returncode, "error:" in done.stderr) == (0, False)
    bare = Place(tmp_path, tmp_path / "home")
    done = bare.inside("quotemill", "archive")
    assert (done.returncode, "no warehouse yet" in done.stderr) == (3, True)
