"""Loads by the console: processes of their own, which outlive the server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.commands import Place, printed_sandbox
from tests.e2e.console.conftest import Server
from tests.faults.scene import wait_until

Start = Callable[..., Server]
AS_OF = "2025-06-30T18:00"


@pytest.fixture(scope="module")
def service() -> Iterator[dict[str, str]]:
    with printed_sandbox("tdx", 0, "--codes", "8", "--days", "40") as (_, printed):
        printed["url"] = printed["line"].split("http://")[1].split()[0]
        yield printed


@pytest.fixture
def place(tmp_path: Path, service: dict[str, str], warehouse_dsn: str) -> Iterator[Place]:
    settings = {
        "QUOTEMILL_TDX__BASE_URL": f"http://{service['url']}",
        "QUOTEMILL_WAREHOUSE_URL": warehouse_dsn,
        "DBT_PROFILES_DIR": str(tmp_path),
    }
    yield Place(tmp_path, tmp_path / "home", settings)
    httpx.delete(f"{service['control']}/faults")


class Script:
    """A script at a console: it has the token."""

    def __init__(self, place: Place, server: Server) -> None:
        token = place("quotemill", "console", "--token").stdout.strip()
        bearer = {"authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=server.url, headers=bearer, timeout=60)

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def refusal(self, path: str, **body: Any) -> tuple[int, int, str]:
        answer = self.client.post(path, json=body)
        document = answer.json()
        return answer.status_code, document["exit_code"], document["error"]

    def await_end(self, job_id: int) -> Any:
        def ended() -> Any:
            job = self.get(f"/api/jobs/{job_id}")
            return job if job["status"] != "running" else None

        return wait_until("the load has ended", ended)


@pytest.mark.long
def test_a_load_is_started_watched_cancelled_and_retried(
    place: Place, start_console: Start, service: dict[str, str]
) -> None:
    script = Script(place, start_console(place, "--port", "0", "--as-of", AS_OF))
    started = script.post(
        "/api/ingestion/start",
        source="tdx",
        datasets=["kline_daily"],
        exchange="sh",
        concurrency=2,
        batch_size=2,
        build=False,
    )
    assert started["job_id"] == 1
    assert started["command"].startswith("loaders run tdx --mode=incremental --exchange=sh ")
    job = script.await_end(1)
    assert (job["status"], job["failures"]) == ("succeeded", [])
    days = [task for task in job["tasks"] if task["dataset"] == "kline_daily"]
    assert {task["keys"] for task in days} <= {1, 2}  # of batches of two
    assert len(days) > 1
    wait_until("its process ends", lambda: not running(script))

    # a task's cancel lets it finish, and starts no other
    fault = {"fault": "latency:kline-all:seconds=0.4"}
    httpx.post(f"{service['control']}/faults", json=fault)
    slow = {"datasets": ["kline_daily"], "concurrency": 1, "batch_size": 3, "mode": "init"}
    started = script.post("/api/ingestion/start", source="tdx", build=False, **slow)
    assert started["job_id"] == 2
    first = wait_until("a task of days runs", lambda: find_task(script, 2))
    asked = script.post(f"/api/tasks/{first['id']}/cancel")
    assert asked == {"job_id": 2}
    assert script.get("/api/jobs/2")["cancel_after_task"] == first["task_no"]
    job = script.await_end(2)
    assert job["status"] == "cancelled"
    by_number = {task["task_no"]: task for task in job["tasks"]}
    assert by_number[first["task_no"]]["status"] == "succeeded"
    later = [t["status"] for no, t in by_number.items() if no > first["task_no"]]
    assert set(later) == {"cancelled"}
    wait_until("its process ends", lambda: not running(script))

    # a retry, and its cancel at once
    started = script.post("/api/ingestion/retry", job_id=2)
    assert started["job_id"] == 3
    assert script.post("/api/ingestion/cancel") == {"job_id": 3}
    assert script.await_end(3)["status"] == "cancelled"
    assert script.refusal("/api/ingestion/cancel", job_id=3)[:2] == (422, 2)
    assert script.refusal(f"/api/tasks/{first['id']}/cancel")[:2] == (422, 2)
    assert script.refusal("/api/tasks/2-99/cancel")[:2] == (422, 2)
    listed = script.get("/api/commands")["commands"]
    assert [row["origin"] for row in listed][:2] == [
        "POST /api/ingestion/retry",
        "POST /api/ingestion/start",
    ]


def running(script: Script) -> list[Any]:
    return [row for row in script.get("/api/commands")["commands"] if row["is_running"]]


def find_task(script: Script, job_id: int) -> Any:
    tasks = script.get(f"/api/jobs/{job_id}")["tasks"]
    return next(
        (t for t in tasks if t["dataset"] == "kline_daily" and t["status"] == "running"), None
    )


@pytest.mark.long
def test_a_server_that_is_killed_costs_no_load_and_the_next_one_shows_it(
    place: Place, start_console: Start, service: dict[str, str]
) -> None:
    httpx.post(f"{service['control']}/faults", json={"fault": "latency:kline-all:seconds=3"})
    server = start_console(place, "--port", "0", "--as-of", AS_OF)
    script = Script(place, server)
    body = {"datasets": ["kline_daily"], "concurrency": 1, "build": False}
    started = script.post("/api/ingestion/start", source="tdx", **body)
    # the same start is the one that runs; another is refused, as the lane is held
    same = script.post("/api/ingestion/start", source="tdx", **body)
    assert same["run_id"] == started["run_id"]
    other = body | {"concurrency": 2}
    status, code, error = script.refusal("/api/ingestion/start", source="tdx", **other)
    assert (status, code) == (409, 75)
    assert ": load 1" in error
    server.process.kill()
    server.process.wait(60)

    later = Script(place, start_console(place, "--port", "0", "--as-of", AS_OF))
    assert later.get("/api/jobs/1")["status"] == "running"
    httpx.delete(f"{service['control']}/faults")
    [command] = [c for c in later.get("/api/commands")["commands"] if c["is_running"]]
    assert command["run_id"] == started["run_id"]
    events = later.client.get("/api/jobs/1/events").text
    assert "event: end" in events
    job = later.await_end(1)
    assert job["status"] == "succeeded"
    assert job["progress"]["keys"] == job["progress"]["reached"] > 8
    wait_until("its process ends", lambda: not running(later))
    ended = later.get(f"/api/commands/{started['run_id']}")
    assert (ended["exit_code"], ended["error"]) == (0, None)
    assert "load 1 succeeded" in later.client.get(f"/api/commands/{started['run_id']}/output").text
