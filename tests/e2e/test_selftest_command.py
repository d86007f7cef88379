"""`loaders selftest` and `loaders verify` as a person or cron starts them."""
# ruff: noqa: F811

import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from loaders.sandbox.tdx.service import TdxSandbox
from tests.e2e.commands import Place
from tests.faults.scene import wait_until
from tests.integration.test_selftest import market, sandbox, service  # noqa: F401

CLOSE = "2025-06-30T18:00"  # where the sandbox's clock stands


@pytest.fixture
def place(sandbox: TdxSandbox, warehouse_dsn: str, tmp_path: Path) -> Place:
    folder = tmp_path / "work"
    folder.mkdir()
    settings = {
        "QUOTEMILL_TDX__BASE_URL": sandbox.url,
        "QUOTEMILL_TDX__BACKOFF": "0",
        "QUOTEMILL_WAREHOUSE_URL": warehouse_dsn,
    }
    return Place(folder, tmp_path / "home", settings)


def results(place: Place) -> dict[str, Any]:
    text = (place.home / "selftest" / "tdx_api_test_results.json").read_text("utf-8")
    return dict(json.loads(text))


def test_a_healthy_service_ends_with_0_and_leaves_two_files(place: Place) -> None:
    done = place("loaders", "selftest", "tdx", "--verbose", "--as-of", CLOSE)
    assert done.returncode == 0, done.stderr
    assert "31 passed, 0 failed, 0 skipped" in done.stdout
    assert "recorded as run 1 of ops.testing_runs" in done.stderr
    assert sum(line.startswith("ok ") for line in done.stderr.splitlines()) == 31
    assert results(place)["summary"]["passed"] == 31
    page = place.home / "selftest" / "tdx_api_failure_report.md"
    assert "No check failed." in page.read_text("utf-8")
    assert list(place.folder.iterdir()) == []


def test_a_failed_check_ends_with_5_and_is_in_the_given_files(
    place: Place, sandbox: TdxSandbox
) -> None:
    sandbox.faults.add("half-init")
    files = ("--output", "out/a.json", "--report", "page.md", "--bulk-timeout", "7")
    done = place.inside("loaders", "selftest", "tdx", "--json", *files)
    assert done.returncode == 5
    assert "fix: Read page.md" in done.stderr
    shown = json.loads(done.stdout)
    assert shown == json.loads((place.folder / "out" / "a.json").read_text("utf-8"))
    assert [row["no"] for row in shown["results"] if row["status"] == "failed"] == [20, 21]
    assert shown["options"]["bulk_timeout_s"] == 7
    page = (place.folder / "page.md").read_text("utf-8")
    assert "## 20 stock_codes" in page
    assert "股票代码缓存未初始化" in page
    assert not place.home.joinpath("selftest").exists()


def test_an_absent_service_ends_with_4_files_and_a_record(place: Place, warehouse_dsn: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        done = place.inside("loaders", "selftest", QUOTEMILL_TDX__BASE_URL=url)
    assert done.returncode == 4, done.stderr
    assert "tdx.base_url" in done.stderr
    assert results(place)["status"] == "error"
    with psycopg.connect(warehouse_dsn) as conn:
        assert conn.execute("select status, failed from ops.testing_runs").fetchall() == [
            ("error", 2)
        ]


def test_signal_handlers_are_restored_after_a_self_test(place: Place) -> None:
    before = [signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)]
    assert place.inside("loaders", "selftest", "tdx", QUOTEMILL_TDX__BASE_URL="").returncode == 3
    assert [signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)] == before


def _start_and_hang(place: Place, sandbox: TdxSandbox, route: str) -> subprocess.Popen[str]:
    """A self-test that waits for the answer of `route`."""
    before = sandbox.faults.struck["hang"]
    sandbox.faults.add(f"hang:{route}")
    process = place.start("loaders", "selftest", "tdx")
    wait_until(f"{route} hangs", lambda: sandbox.faults.struck["hang"] > before)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_cancels_the_tasks_it_started(
    place: Place, sandbox: TdxSandbox, sent: signal.Signals
) -> None:
    # at check 30: the self-test has the numbers of both tasks
    process = _start_and_hang(place, sandbox, "tasks")
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert [line.rpartition(": ")[2] for line in said.splitlines()] == ["cancelled", "cancelled"]
    sandbox.faults.clear()
    tasks = httpx.get(f"{sandbox.url}/api/tasks").json()["data"]
    assert [task["status"] for task in tasks] == ["cancelled", "cancelled"]


def test_a_stop_lists_a_task_whose_start_got_no_answer(place: Place, sandbox: TdxSandbox) -> None:
    process = _start_and_hang(place, sandbox, "tasks/pull-kline")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.count("may still be running")) == (130, 1), said


@pytest.mark.parametrize(
    ("command", "says", "code"),
    [
        (("selftest", "ib"), "tdx", 2),
        (("selftest", "tdx", "--bulk-timeout", "0"), "--bulk-timeout", 2),
        (("selftest", "tdx", "--output", "/proc/none/a.json"), "--output", 3),
        (("verify", "ib"), "tdx", 2),
        (("verify", "tdx", "--sample", "0"), "--sample", 2),
        (("verify", "tdx"), "loaders run tdx --mode init", 2),
    ],
)
def test_a_wrong_call_gets_a_hint_to_the_right_one(
    place: Place, command: tuple[str, ...], says: str, code: int
) -> None:
    done = place.inside("loaders", *command)
    assert done.returncode == code, done.stderr
    assert says in done.stderr


def test_verify_passes_after_a_load_and_finds_a_changed_bar(
    place: Place, warehouse_dsn: str
) -> None:
    few = ("--dataset", "kline_daily", "--codes", "sh600000,sz000001,sz000002")
    loaded = place.inside("loaders", "run", "tdx", *few, "--as-of", CLOSE)
    assert loaded.returncode == 0, loaded.stderr
    command = ("loaders", "verify", "tdx", "--sample", "2", "--as-of", CLOSE)
    done = place.inside(*command, "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 7 drew ")
    assert "not built yet" in done.stdout
    assert " tables take " in done.stdout
    with psycopg.connect(warehouse_dsn) as conn:
        conn.execute("update raw_tdx.kline_daily set volume = volume + 1")
    wrong = place.inside(*command, "--json")
    shown = json.loads(wrong.stdout)
    assert wrong.returncode == 5
    assert (shown["summary"]["failed"], len(shown["sample"])) == (2, 2)
    with psycopg.connect(warehouse_dsn) as conn:
        runs = conn.execute(
            "select kind, status, (options ->> 'seed')::int from ops.testing_runs order by run_id"
        ).fetchall()
    assert runs == [("verify", "passed", 7), ("verify", "failed", shown["seed"])]
