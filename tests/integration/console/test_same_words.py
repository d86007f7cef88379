"""A check has the same name, verdict, sentence and fix wherever it is printed."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

import loaders.cli
import orchestration.cli
from loaders.engine.result import LoadResult
from loaders.settings import load_settings
from orchestration.alerts import causes
from orchestration.alerts import check as alerts
from orchestration.run.stages import RunResult
from tests.integration.console.conftest import Open
from tests.unit.test_reconcile import CLEAN, difference

PLANTED = """
    insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, as_of,
        started_at, finished_at)
    values ('tdx', 'tdx', 'incremental', 'partial', 'me', '{}', now(), now(), now());
    insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status, failed, failures)
    values (1, 1, 'kline_daily', '{sh600004}', 'failed', 1, '{"sh600004": "timeout"}');
    insert into ops.failed_keys (source, dataset, key, reason, first_job_id, job_id)
    values ('tdx', 'kline_daily', 'sh600004', 'timeout', 1, 1);
    insert into ops.testing_runs (source, kind, started_at, status, total, passed, failed, skipped)
    values ('tdx', 'selftest', '2024-06-07 10:00Z', 'failed', 31, 30, 1, 0);
    create schema if not exists qa;
    create table qa.findings as
    select 'no_bar' as check_name, 'error' as severity, 'sh600000' as subject,
        date '2024-06-07' as trade_date, 'no bar of a trading day' as evidence, 'qa_bars' as model;
    create table qa.reconciliation as
    select 7 as run_id, 'warning' as severity, 'sh600000' as code, 'missing_minutes' as likely_cause
"""
Row = tuple[str, str, str, str]


@pytest.fixture
def settings_of_a_failure(
    prepared_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A home with a failed key, a failed self-test, a finding and a difference of bars."""
    environ = {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn, "QUOTEMILL_TDX__BASE_URL": "http://[::1]:9"}
    for name, value in (environ | {"QUOTEMILL_HOME": str(tmp_path / "home")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute(PLANTED)
    return environ


def read(document: Any) -> dict[str, Row]:
    """The rows of a document by their names; the last of several."""
    return {
        row["name"]: (row["name"], row["verdict"], row["sentence"], row["fix"]) for row in document
    }


def test_a_check_has_one_sentence_wherever_it_is_printed(
    settings_of_a_failure: dict[str, str], open_console: Open
) -> None:
    def ask(app: Any, *words: str) -> Any:
        return json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)

    quotemill = orchestration.cli.app
    doctor = read(ask(quotemill, "doctor"))
    assert doctor["load"] == (
        "load",
        "warn",
        "load 1 of tdx partial: 1 key failed: kline_daily sh600004: timeout",
        "quotemill retry 1",
    )
    status = read(ask(quotemill, "status")["problems"])
    for name in ("load", "tests", "reconciliation"):
        assert status[name] == doctor[name]

    [_, *reconciled] = replace(CLEAN, differences=(difference(),)).as_json()["checks"]
    assert read(reconciled)["reconciliation"] == doctor["reconciliation"]

    findings = ask(quotemill, "findings")["checks"]
    assert read(findings)["no_bar"][1:3] == ("fail", "sh600000 2024-06-07: no bar of a trading day")
    shown = CliRunner().invoke(loaders.cli.app, ["status"]).stdout
    assert doctor["load"][2] in shown
    assert f"fix: {doctor['load'][3]}" in shown

    failed = LoadResult(1, "tdx", "partial", 6, (), (), None, "", 0.1)
    settings = load_settings()
    alerts.check_and_notify(settings, causes.check_run(RunResult((failed,), 6), settings))
    rung = {row["cause"]: row for row in ask(quotemill, "alerts", "list")}
    for cause, name in (("load:tdx", "load"), ("selftest:tdx", "tests")):
        [row] = read([rung[cause]]).values()
        assert row == doctor[name]

    caller = open_console(settings_of_a_failure)
    assert read(caller.json("/api/qa")["checks"]) == read(findings)
    by_api = {row["cause"]: row for row in caller.json("/api/alerts")["alerts"]}
    assert {by_api["load:tdx"][name] for name in ("sentence", "message")} == {doctor["load"][2]}
    for page in ("/", "/report", "/findings"):
        text = caller.get(page).text
        rows = [findings[0]["sentence"].partition(": ")[2]]
        if page != "/findings":
            rows = [doctor[name][2] for name in ("load", "tests", "reconciliation")]
        for sentence in rows:
            assert sentence in _read_text(text), (page, sentence)


def _read_text(page: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", "", page)).split())
