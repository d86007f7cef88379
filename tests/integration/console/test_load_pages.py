"""The pages of a load: its tasks, its failures, its command and its build."""
# ruff: noqa: F811

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from loaders.engine import jobs
from orchestration.console import watching
from orchestration.run import build_record
from tests.bench import put_build, warehouse_url
from tests.integration.console.conftest import Open, plant_running_load
from tests.integration.console.pages import open_page
from tests.toy.bench import Toy, bench  # noqa: F401


def test_a_running_load_shows_its_tasks_and_which_is_the_last(
    bench: Toy, open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0.0)
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    caller = open_console(settings)
    with ThreadPoolExecutor() as pool:
        reach = bench.block("dd")
        load = pool.submit(bench.load, keys=("AA", "Bb", "cc", "dd"))
        release = reach()
        try:
            text = open_page(caller, "/jobs/1")
            assert 'data-call="/api/tasks/1-1/cancel"' in text
            assert "loaders cancel 1 --after-task 1" in text
            assert 'id="asked"' not in text
            assert caller.call("/api/tasks/1-1/cancel").json() == {"job_id": 1}
            text = caller.get("/jobs/1/part").text
            assert "will stop after task 1" in text
            assert 'data-call="/api/tasks/' not in text
            assert caller.call("/api/ingestion/cancel", {"job_id": 1}).json() == {"job_id": 1}
            assert "will stop after the current batch" in caller.get("/jobs/1/part").text
        finally:
            release()
        load.result()
    ended = open_page(caller, "/jobs/1")
    assert 'data-call="/api/tasks/' not in ended
    assert "loaders cancel" not in ended


def test_a_load_is_shown_with_its_failures_and_the_retry(bench: Toy, open_console: Open) -> None:
    (bench.folder / "cc.csv").unlink()
    bench.load(keys=("AA", "Bb", "cc", "dd"))
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    caller = open_console(settings)
    text = open_page(caller, "/jobs/1")
    assert "cc.csv is not there" in text
    assert 'data-call="/api/ingestion/retry"' in text
    assert "data-events" not in text  # it has ended
    part = caller.get("/jobs/1/part").text
    assert "<html" not in part
    assert "cc.csv is not there" in part
    assert '<a href="/jobs/1">1</a>' in open_page(caller, "/history")
    findings = open_page(caller, "/findings")
    assert 'value="price cc"' in findings
    assert 'value="price cc"' not in open_page(caller, "/findings?state=new")
    assert 'value="price cc"' not in open_page(caller, "/findings?text=nothing")
    for path in ("/jobs/2", "/jobs/2/part", "/commands/x", "/commands/x/part"):
        assert caller.get(path).status_code == 404
    for path in ("/jobs/0", "/jobs/x"):
        assert caller.get(path).status_code == 422


def test_all_tasks_and_failures_of_a_load_are_one_click_away(
    prepared_dsn: str, open_console: Open
) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, finished_at) values ('tdx', 'tdx', 'init', 'failed', 'me', '{}', now(), now())"
        )
        conn.execute(
            "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status) "
            "select 1, n, 'kline_daily', '{sh600000}', 'pending' from generate_series(1, 50) as n"
        )
        conn.execute(
            "update ops.ingestion_job_tasks set failures = (select jsonb_object_agg(n, 'gone') "
            "from generate_series(1, 300) as n) where task_no = 1"
        )
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    some = open_page(caller, "/jobs/1")
    assert some.count('<th scope="row" class="n">') == 10
    assert '<a href="/jobs/1?tasks=all">and 40 more</a>' in some
    assert '<a href="/jobs/1?tasks=all">and 260 more</a>' in some
    assert some.count('<td class="t">gone</td>') == 40
    every = open_page(caller, "/jobs/1?tasks=all")
    assert every.count('<td class="t">gone</td>') == 300
    assert every.count('<th scope="row" class="n">') == 50
    assert 'data-part="/jobs/1/part?tasks=all"' in every


def test_a_load_leads_to_its_command_which_may_run_longer(
    prepared_dsn: str, open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is this process, which holds its lock as long as `held` is open."""
    monkeypatch.setattr(watching, "FRESH", 0.0)
    held: list[int] = []

    def spawn(_: Any, __: Any, ___: Any, files: Any) -> int:
        held.append(os.dup(files.lock))
        return os.getpid()

    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}, spawn=spawn)
    run_id = caller.call("/api/commands", {"command": "quotemill build"}).json()["run_id"]
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        plant_running_load(conn, "tdx", "tdx", "init", jobs.requester())
        link = f'href="/commands/{run_id}"'
        assert "Its command is still running" not in open_page(caller, "/jobs/1/part")
        assert link in open_page(caller, "/jobs/1")
        assert '<a href="/jobs/1">load 1: tdx init</a>' in open_page(caller, "/load")
        conn.execute("update ops.ingestion_jobs set status = 'succeeded', finished_at = now()")
    page = open_page(caller, "/jobs/1")
    assert page.count(link) == 2
    assert "data-poll" in page
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (build_record.LOCK,))
        figures = {"nodes_done": 12, "nodes": 1340, "node": "kline_daily_qfq"}
        put_build(conn, "build --select source:raw_tdx.kline_daily+", figures=figures)
        page = open_page(caller, "/jobs/1")
        assert "data-poll" in page
        build = page.partition('<p id="build" data-running>')[2].partition("</p>")[0]
        assert '<a href="/builds/1">1</a> <span class="warn">running</span>' in build
        assert "12 / 1,340 · <code>kline_daily_qfq</code>" in build
        assert '<progress max="1340" value="12">' in build
        page = open_page(caller, "/builds/1")
        assert 'data-part="/builds/1/part" data-poll' in page
        state = page.partition('<p id="state" data-running>')[2].partition("</p>")[0]
        assert '<span class="warn">running</span> · ' in state
        assert "12 / 1,340 · <code>kline_daily_qfq</code>" in state
        conn.execute(
            "update ops.runs set finished_at = started_at + interval '90 s', exit_code = 0, "
            'figures = \'{"models_built": 7, "rows_written": 1000}\' where build_id = 1'
        )
    ended = open_page(caller, "/jobs/1").partition('<p id="build">')[2].partition("</p>")[0]
    assert '<span class="good">succeeded</span> · started ' in ended
    assert " Shanghai</time> · 1 min 30 s · 7 models, 1,000 rows" in ended
    page = open_page(caller, "/builds/1")
    assert " UTC</time> · 1 min 30 s · 7 models, 1,000 rows</p>" in page
    assert "<p>the models of kline_daily</p>" in page
    assert "data-poll" not in page
    history = open_page(caller, "/history")
    assert "the models of kline_daily</td>" in history
    assert f'<a href="/commands/{run_id}"><code>quotemill build</code></a>' in history
    assert "<h1><code>quotemill build</code></h1>" in open_page(caller, f"/commands/{run_id}")
    assert "Its command is still running" in open_page(caller, "/jobs/1")
    os.close(held[0])
    page = open_page(caller, "/jobs/1")
    assert page.count(link) == 1
    assert "data-poll" not in page
    assert '<a href="/jobs/1">load 1' not in open_page(caller, "/load")
