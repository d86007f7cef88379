"""Self-tests by the console: started as processes, read from their record."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.check import Check
from loaders.engine import check_runs
from orchestration.console.limits import Limits
from tests.integration.console.conftest import NOW, Caller, Open

RUNS = "/api/testing/runs"
CHECKS = [
    Check("codes", "ok", elapsed_ms=12, figures={"method": "GET", "path": "/api/codes"}),
    Check(
        "kline",
        "fail",
        "no list",
        elapsed_ms=1034,
        figures={
            "method": "GET",
            "path": "/api/kline",
            "params": {"code": "sh600000"},
            "http_status": 500,
            "error": {"kind": "http", "detail": "status 500"},
            "evidence": {"body_start": "oops ``` oops"},
        },
    ),
    Check("minutes", "unknown", "no trading day", figures={"path": "/api/minute"}),
]


@pytest.fixture
def caller(open_console: Open, prepared_dsn: str) -> Caller:
    return open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})


def save(dsn: str, kind: str, checks: list[Check]) -> int:
    record = check_runs.Record(
        "tdx",
        kind,
        "failed",
        NOW,
        NOW + timedelta(seconds=2),
        "http://tdx:8080",
        checks,
        {},
        {"reference_trading_day": "2026-11-19", "tasks": []},
    )
    with psycopg.connect(dsn) as conn:
        return check_runs.save(conn, record)


def test_a_recorded_run_is_read_whole(caller: Caller, prepared_dsn: str) -> None:
    assert caller.json(RUNS) == {"runs": []}
    run_id = save(prepared_dsn, "selftest", CHECKS)
    [run] = caller.json(RUNS)["runs"]
    assert (run["passed"], run["failed"], run["skipped"]) == (1, 1, 1)
    results = caller.json(f"{RUNS}/{run_id}/results")
    assert [check["status"] for check in results["checks"]] == ["passed", "failed", "skipped"]
    assert results["checks"][1]["evidence"]["http_status"] == 500
    report = caller.get(f"{RUNS}/{run_id}/report").text
    assert report.startswith("# TDX self-test: ")
    assert "- request: `GET /api/kline?code=sh600000`" in report
    assert "````\noops ``` oops\n````" in report
    assert "- 3 minutes: no trading day" in report
    lines = caller.get(f"{RUNS}/{run_id}/log").text.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["codes", "kline", "minutes"]


def test_a_verification_has_its_figures_in_the_report(caller: Caller, prepared_dsn: str) -> None:
    checks = [Check("codes sh", "fail", "2 are missing", figures={"missing": ["sh600000"]})]
    run_id = save(prepared_dsn, "verify", checks)
    report = caller.get(f"{RUNS}/{run_id}/report").text
    assert report.startswith("# TDX verification: ")
    assert "- message: 2 are missing" in report
    assert '{"missing": ["sh600000"]}' in report


def test_a_run_that_is_not_there_is_404(caller: Caller, open_console: Open) -> None:
    for part in ("results", "report", "log"):
        assert caller.get(f"{RUNS}/7/{part}").status_code == 404
        for number in ("0", "x", str(2**63), "1%20or%201=1"):
            assert caller.get(f"{RUNS}/{number}/{part}").status_code == 422
    assert caller.get(f"{RUNS}?limit=0").status_code == 422
    assert open_console().json(RUNS) == {"runs": []}  # without a warehouse


def test_a_test_is_started_as_its_command(open_console: Open) -> None:
    started = []

    def spawn(words: Any, environ: Any, folder: Path, files: Any) -> int:
        started.append(" ".join(words))
        return 1

    caller = open_console(spawn=spawn, limits=Limits(changes=100))
    run = "/api/testing/run"
    assert caller.call(run, {"source": "tdx"}).status_code == 202
    body = {"source": "tdx", "kind": "verify", "sample": 5}
    assert caller.call(run, body).status_code == 202
    assert caller.call(run, {"source": "tdx", "bulk_timeout": 60}).status_code == 202
    assert started == [
        "loaders selftest tdx --json",
        "loaders verify tdx --sample=5 --json",
        "loaders selftest tdx --bulk-timeout=60.0 --json",
    ]
    for wrong in (
        {},
        {"source": "nothing"},
        {"source": "tdx", "kind": "run"},
        {"source": "tdx", "sample": 3},
        {"source": "tdx", "kind": "verify", "sample": 0},
        {"source": "tdx", "bulk_timeout": "1 --output /etc/passwd"},
        {"source": "tdx --output=/x"},
        {"source": "tdx", "output": "/etc/passwd"},
    ):
        assert caller.call(run, wrong).status_code == 422, wrong
    assert len(started) == 3
