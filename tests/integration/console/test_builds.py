"""A build that began in a terminal, by a schedule or in a console shows alike how far it is."""

from pathlib import Path

import psycopg
import pytest
from dbt.events.types import LogStartLine, NodeFinished
from dbt_common.events.base_types import msg_from_base_event

from loaders.engine.progress import Silent
from loaders.settings import load_settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.run import build_progress
from orchestration.run.build_progress import NodeProgress, recorded
from orchestration.run.build_record import recorded_build
from tests.bench import put_build
from tests.faults.scene import wait_until
from tests.integration.console.conftest import NOW, Open

NODES = [
    {"unique_id": name, "node_name": name, "materialized": "table"}
    for name in ("trading_days", "kline_daily")
]


def test_a_running_build_shows_what_is_done_and_what_runs(
    prepared_dsn: str, open_console: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_progress, "EVERY", 0.01)
    environ = {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn, "QUOTEMILL_HOME": str(tmp_path / "home")}
    caller, settings = open_console(environ), load_settings(environ, cwd=tmp_path)
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, started_at, finished_at) "
            "values ('tdx', 'tdx', 'init', 'succeeded', 'me', '{}', now(), %s, %s)",
            (NOW, NOW),
        )
    progress = NodeProgress(Silent())
    with recorded_build(settings, open_warehouse(settings)) as record:
        record.begin("build")
        with recorded(progress, record):
            for node in NODES:
                start = LogStartLine(description="", index=1, total=1_200, node_info=node)
                progress(msg_from_base_event(start))
            progress(msg_from_base_event(NodeFinished(node_info=NODES[0], run_result={})))
            wait_until("it is on record", lambda: "kline_daily" in caller.get("/builds/1").text)
        for path in ("/builds/1", "/"):
            assert "1 / 1,200 · <code>kline_daily</code>" in caller.get(path).text
        record.end(True, figures={"models_built": 1_200})
    assert "1 / 1,200" not in caller.get("/builds/1").text + caller.get("/").text


def test_a_failed_build_names_each_failure_and_is_built_again(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    error = (
        "unique_a_b: Got 1 result, configured to fail if != 0; kline_daily_qfq: Database Error in "
        "model kline_daily_qfq: Failing row contains (sh600000, t, f). compiled code; at a.sql"
    )
    with psycopg.connect(prepared_dsn) as conn:
        figures = {"models_built": 233, "rows_written": 329, "tests_failed": 1}
        put_build(conn, "build", exit_code=1, error=error, figures=figures)
    page = caller.get("/builds/1").text
    assert "<li><code>unique_a_b</code>: Got 1 result, configured to fail if != 0</li>" in page
    assert page.count("<li><code>kline_daily_qfq</code>: Database Error") == 1
    assert 'name="command" value="quotemill build"><button>Build again</button>' in page
    chinese = caller.get("/builds/1?lang=zh").text
    assert "<li><code>unique_a_b</code>: “Got 1 result, configured to fail if != 0”</li>" in chinese
    assert "重新构建" in chinese
    history = caller.get("/history?lang=en").text
    assert ": <code>unique_a_b</code>, <code>kline_daily_qfq</code></td>" in history
    for path in ("/", "/history", "/report"):
        assert caller.get(path, params={"lang": "zh"}).status_code == 200
