"""Both command lines on a small simulated market, in the order in which a person meets them."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.settings import load_settings
from tests.checkout import own_checkout
from tests.dbt_parse import Parsed
from tests.e2e.commands import Place, sandbox
from tests.homes import new_home

HEAVY = ("dlt", "dbt", "tqsdk", "ib_insync", "ib_async", "pandas")
CLOSE = "2025-06-30T18:00"  # where the sandbox's clock stands


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service with 6 codes and 40 days, a home with an embedded server, a project of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    own_checkout(folder)
    actions = folder / "actions.csv"
    size = ("--codes", "6", "--days", "40", "--write-actions", str(actions))
    with new_home() as home, sandbox(*size) as url:
        settings = {"BASE_URL": url, "CORPORATE_ACTIONS": str(actions)}
        settings |= {"MINUTE_DAYS": "3", "TICK_DAYS": "2"}
        settings = {f"QUOTEMILL_TDX__{name}": value for name, value in settings.items()}
        yield Place(folder, home, settings | {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"})


@pytest.fixture(scope="module")
def loaded(place: Place) -> dict[str, Any]:
    """What `loaders run tdx --json` says on a fresh home."""
    done = place("loaders", "run", "tdx", "--as-of", CLOSE, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warehouse: embedded PostgreSQL")
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def built(place: Place, loaded: dict[str, Any], parsed: Parsed) -> dict[str, Any]:
    """What the first `quotemill run --json` after that load says."""
    parsed.give(load_settings(place.environment(), place.folder))
    done = place.forked("quotemill", "run", "--as-of", CLOSE, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_load_prints_its_result_as_json(loaded: dict[str, Any]) -> None:
    assert (loaded["status"], loaded["exit_code"]) == ("succeeded", 0)
    new = {task["dataset"]: task["rows_new"] for task in loaded["tasks"] if task["rows_new"]}
    assert set(new) == {
        "codes",
        "trading_calendar",
        "kline_daily",
        "index_kline",
        "minute_1m",
        "tick_trade",
        "corporate_actions",
    }
    assert new["index_kline"] > 3 * 40  # days, and weeks, months and minutes beside them


def test_the_load_is_in_the_status(place: Place, loaded: dict[str, Any]) -> None:
    shown = json.loads(place.inside("loaders", "status", "--json").stdout)
    assert shown["jobs"][-1]["job_id"] == loaded["job_id"]
    assert shown["failures"] == {}
    assert {row["dataset"] for row in shown["datasets"]} >= {"kline_daily", "corporate_actions"}
    assert "succeeded" in place.inside("loaders", "status").stdout


def test_status_imports_nothing_heavy(place: Place, loaded: dict[str, Any]) -> None:
    for module in ("loaders", "orchestration"):
        code = (
            f"import sys\nfrom {module}.cli import app\napp(['status'], standalone_mode=False)\n"
            f"print('heavy:', [m for m in {HEAVY} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=place.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.endswith("heavy: []\n"), done.stdout + done.stderr


def test_the_connection_is_checked(place: Place) -> None:
    done = place("loaders", "check")
    assert done.returncode == 0, done.stderr
    assert "calendar from" in done.stdout


def test_the_first_run_builds_everything(built: dict[str, Any]) -> None:
    assert built["exit_code"] == 0
    assert built["build"]["succeeded"] is True
    assert built["build"]["tests_failed"] == 0
    assert built["build"]["models_built"] > 20


def test_a_second_run_writes_nothing_and_says_so(place: Place, built: dict[str, Any]) -> None:
    done = place.inside("quotemill", "run", "--as-of", CLOSE, "--json")
    assert done.returncode == 0, done.stderr
    assert "nothing new: no rows were written" in done.stderr
    again = json.loads(done.stdout)
    assert again["build"] is None
    assert "nothing has changed since the last build" in done.stderr
    assert all(t["rows_new"] + t["rows_changed"] == 0 for t in again["loads"][0]["tasks"])


def test_status_shows_how_fresh_the_data_are(place: Place, built: dict[str, Any]) -> None:
    shown = json.loads(place.inside("quotemill", "status", "--as-of", CLOSE, "--json").stdout)
    assert shown["builds"][0]["status"] == "succeeded"
    assert {row["dataset"]: row["is_stale"] for row in shown["freshness"]}["kline_daily"] is False
    assert "kline_daily" in place.inside("quotemill", "status", "--as-of", CLOSE).stdout


def test_doctor_finds_everything_in_place(place: Place, built: dict[str, Any]) -> None:
    done = place.inside("quotemill", "doctor", "--json")
    checks = {check["name"]: check["status"] for check in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert set(checks) >= {"settings", "warehouse", "privileges", "clock", "service", "disk"}
    assert "fail" not in checks.values()


def test_dbt_commands_are_passed_through(place: Place, built: dict[str, Any]) -> None:
    done = place("quotemill", "dbt", "ls", "--select", "kline_daily_qfq", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "quotemill.marts.market.kline_daily_qfq" in done.stdout.splitlines()
    assert place.inside("quotemill", "dbt").returncode == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("parse", "--target", "nosuch"), "does not have a target named 'nosuch'"),
        (("show", "--inline", "select 1"), "no warehouse yet"),
    ],
)
def test_an_error_of_dbt_without_a_warehouse_names_no_log(
    place: Place, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = Place(place.folder, tmp_path / "home")("quotemill", "dbt", *words)
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "dbt.log" not in done.stderr
    assert not (tmp_path / "home").exists()


def test_the_docs_site_is_one_file(place: Place, built: dict[str, Any], tmp_path: Path) -> None:
    output = tmp_path / "site" / "index.html"
    done = place.inside("quotemill", "docs", "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(output)
    assert "kline_daily_qfq" in output.read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("loaders", "run", "tdx", "--dataset", "ticks"), "kline_daily"),
        (("loaders", "run", "tdx", "--codes", "000001"), "sz000001"),
        (("loaders", "run", "tdx", "--mode", "fast"), "incremental"),
        (("loaders", "run", "tdx", "--since", "June"), "2024-06-28"),
        (("loaders", "run", "nasdaq"), "tdx"),
        (("loaders", "run", "--frobnicate"), "--frobnicate"),
        (("loaders", "retry", "999"), "quotemill loads"),
        (("loaders", "cancel"), "quotemill loads"),
        (("loaders", "status", "--limit", "-1"), "--limit"),
        (("loaders", "sandbox", "tdx", "--port", "70000"), "--port"),
        (("quotemill", "build", "--select", "no_such_model"), "no_such_model"),
        (("quotemill", "frobnicate"), "frobnicate"),
    ],
)
def test_a_wrong_call_gets_a_hint_to_the_right_one(
    place: Place, loaded: dict[str, Any], command: tuple[str, ...], says: str
) -> None:
    done = place.inside(*command)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr


@pytest.mark.parametrize(
    "command", [("loaders", "run", "tdx"), ("loaders", "run"), ("quotemill", "run")]
)
def test_without_settings_the_missing_one_is_named(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    done = Place(tmp_path, tmp_path)(*command)
    assert done.returncode == 3
    assert "QUOTEMILL_TDX__BASE_URL" in done.stderr
    assert "fix: " in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "command", "reason"),
    [
        (2, ("loaders", "run", "nasdaq"), "nasdaq"),
        (2, ("loaders", "run", "tdx", "--codes", "000001"), "000001"),
        (2, ("loaders", "retry", "999"), "load 999"),
        (2, ("quotemill", "status", "--frobnicate"), "--frobnicate"),
        (2, ("quotemill", "build", "--select", "no_such_model"), "no_such_model"),
        (3, ("loaders", "status"), "QUOTEMILL_HOMER"),
        (3, ("quotemill", "doctor"), "QUOTEMILL_HOMER"),
        (4, ("loaders", "check"), "127.0.0.1:9"),
        (4, ("loaders", "run", "tdx"), "127.0.0.1:9"),
        (4, ("quotemill", "run"), "127.0.0.1:9"),
        (75, ("quotemill", "build"), "another build"),
    ],
)
def test_json_has_the_reason_on_every_exit(
    place: Place, loaded: dict[str, Any], code: int, command: tuple[str, ...], reason: str
) -> None:
    settings = {}
    if code == 3:
        settings["QUOTEMILL_HOMER"] = "1"
    if code == 4:  # port 9 is discard: nobody listens
        settings["QUOTEMILL_TDX__BASE_URL"] = "http://127.0.0.1:9"
        settings["QUOTEMILL_TDX__RETRIES"] = "0"
    with contextlib.ExitStack() as stack:
        if code == 75:
            conn = stack.enter_context(
                psycopg.connect(place.inside("quotemill", "warehouse", "url").stdout.strip())
            )
            conn.execute("select pg_advisory_lock(hashtextextended('quotemill:build', 0))")
        done = place.inside(*command, "--json", **settings)
    answered = json.loads(done.stdout)
    assert done.returncode == code, done.stderr
    assert answered["exit_code"] == code
    assert reason in done.stdout


def test_a_service_that_is_down_is_named_with_a_fix(place: Place, built: dict[str, Any]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        impatient = {
            "QUOTEMILL_TDX__BASE_URL": f"http://127.0.0.1:{held.getsockname()[1]}",
            "QUOTEMILL_TDX__RETRIES": "0",
        }
        for command in (("loaders", "run", "tdx"), ("loaders", "check"), ("quotemill", "run")):
            done = place.inside(*command, **impatient)
            assert done.returncode == 4, (command, done.stderr)
            said = done.stdout if command[1] == "check" else done.stderr
            assert "fix: " in said
            assert "loaders check tdx" in said or "tdx.base_url" in said
        assert place.inside("quotemill", "doctor", **impatient).returncode == 4
