"""Each line of the table of older option commands, typed at its time on a day of the sandbox."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from loaders.sandbox.ib.service import IbSandbox
from loaders.sandbox.ib.world import World
from tests.conftest import DBT_DATABASE
from tests.e2e.commands import ROOT, Place
from tests.requirements import require_ib

SMOKE = ROOT / "docs" / "how-to" / "ib-smoke.toml"
DAY, NEXT = "2026-11-19", "2026-11-20"
DAILY = ("snapshot", "enrichment", "rollup", "qa", "logscan", "schedule --simulate")
ROW = re.compile(r"^\| (\d\d:\d\d) \| `([^`]+)` \| `([^`]+)` \| (\d+) \|", re.MULTILINE)
TABLE = (
    (ROOT / "docs" / "appendix" / "older-runbooks.md")
    .read_text("utf-8")
    .split("## Commands of options")[1]
)


@pytest.fixture(scope="module")
def gateway() -> Iterator[IbSandbox]:
    require_ib()
    with IbSandbox(World(["AAPL"]), clock=f"{DAY}T09:25:00") as sandbox:
        yield sandbox


def clocks(lines: list[tuple[str, str, str, str]]) -> Iterator[str]:
    """The day and time of each line: at the first earlier time the next day begins."""
    day, before = DAY, ""
    for clock, *_ in lines:
        if clock < before:
            day = NEXT
        before = clock
        yield f"{day}T{clock}:05"


@pytest.mark.soak
def test_each_line_of_the_table_ends_as_it_says(
    gateway: IbSandbox, new_database: Callable[[str], str], tmp_path: Path, quick_builds: None
) -> None:
    given = {f"QUOTEMILL_IB__{k.upper()}": str(v) for k, v in gateway.settings().items()}
    given |= {"QUOTEMILL_CONFIG": str(SMOKE), "QUOTEMILL_WAREHOUSE_URL": new_database(DBT_DATABASE)}
    given |= {"QUOTEMILL_IB__SETTLE": "0.05", "QUOTEMILL_IB__CONNECT_TIMEOUT": "2"}
    given |= {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test"}  # others make all of them
    place = Place(tmp_path, tmp_path / "home", given)
    lines = ROW.findall(TABLE)
    assert len(lines) == TABLE.count("\n| ") - 1 > 15
    assert place.inside("loaders", "run", "ib", "--task", "discover").returncode == 0
    ended = []
    for clock, (_, typed, calls, code) in zip(clocks(lines), lines, strict=True):
        gateway.set_clock(clock)
        if typed.startswith("make"):
            assert_target_calls(typed, calls)
        if "make" not in calls:
            words = shlex.split(calls if typed.startswith("make") else typed)
            done = place.inside(*words)
            ended.append((clock, typed, code, f"{done.returncode}", done.stderr))
    assert [line for line in ended if line[2] != line[3]] == []
    with psycopg.connect(given["QUOTEMILL_WAREHOUSE_URL"]) as conn:
        slots = conn.execute("select distinct slot_label from options.chain_intraday order by 1")
        assert slots.fetchall() == [("09:30",), ("10:00",)]
        days = conn.execute(
            "select distinct trade_date::text, rollup_source_slot, rollup_source_view, "
            "open_interest is null from options.chain_daily_clean"
        )
        assert days.fetchall() == [(DAY, 13, "close", False)]
        # a rollup is of its day alone
        reported = conn.execute(
            "select distinct dates::text from ops.changes where table_name = 'raw_ib.chain_close'"
        )
        assert reported.fetchall() == [("{[2026-11-19,2026-11-20)}",)]
    logs = place.home / "logs"
    figures = json.loads((logs / "metrics" / "metrics_20261119.json").read_text())
    assert {(check["name"], check["status"]) for check in figures["checks"]} == {
        (name, "PASS") for name in ("coverage", "delayed", "fallback", "lag", "oi", "integrity")
    }
    checked = json.loads((logs / "selfcheck" / "selfcheck_20261119.json").read_text())
    named = {check["name"] for check in checked["checks"]}
    assert named >= {"open_interest", "exceptions", "disk"}
    [summary] = (logs / "errors").iterdir()
    assert json.loads(summary.read_text())["max_total"] == 0


def assert_target_calls(typed: str, calls: str) -> None:
    """A target of the Makefile is another one, or the command that it is said to be."""
    planned = {
        target: subprocess.run(
            ["make", "--dry-run", "--no-print-directory", *target.split()[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
        ).stdout
        for target in (typed, calls)
        if target.startswith("make")
    }
    if calls in planned:
        assert planned[typed] == planned[calls] != ""
    else:
        assert planned[typed].strip().endswith(calls)


def test_the_settings_file_is_named_after_the_command(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "home")
    done = place.inside("quotemill", "options", "snapshot", "--config", str(SMOKE))
    assert (done.returncode, "IB_HOST is not set" in done.stderr) == (3, True)
    done = place.inside("quotemill", "options", "qa", "--config", "config/opt-data.toml")
    assert (done.returncode, "config/opt-data.toml" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("enrichment --date yesterday --fields open_interest,iv", " --fields: open_interest,iv"),
        ("snapshot --run-day --run-once", " --run-once "),
        ("snapshot --run-day --slot 10:00", " --slot "),
        ("snapshot --date someday", "'someday'"),
        ("retention --view close", "intraday"),
        ("schedule --date today", "--simulate "),
        ("qa --date 2026-11-31", "'2026-11-31'"),
        *((f"{command} --date 2026-11-21", "--date 2026-11-21 ") for command in DAILY),
        ("rollup --date 2026-11-18", " 2026-11-18 "),
    ],
)
def test_a_mistake_has_a_message_and_no_traceback(
    command: str, says: str, gateway: IbSandbox, new_database: Callable[[], str], tmp_path: Path
) -> None:
    given = {f"QUOTEMILL_IB__{k.upper()}": str(v) for k, v in gateway.settings().items()}
    place = Place(tmp_path, tmp_path / "home", given | {"QUOTEMILL_WAREHOUSE_URL": new_database()})
    done = place.inside("quotemill", "options", *command.split())
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_on_a_day_without_a_session_today_is_one_line(
    gateway: IbSandbox, new_database: Callable[[], str], tmp_path: Path
) -> None:
    given = {f"QUOTEMILL_IB__{k.upper()}": str(v) for k, v in gateway.settings().items()}
    place = Place(tmp_path, tmp_path / "home", given | {"QUOTEMILL_WAREHOUSE_URL": new_database()})
    gateway.set_clock("2026-11-21T10:00:00")
    for command in DAILY:
        done = place.inside("quotemill", "options", *command.split(), "--date", "today")
        says = "2026-11-21 is not a trading day of New York" in done.stderr
        assert (done.returncode, says) == (0, True), (command, done.stderr)
