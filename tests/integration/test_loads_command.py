"""A load as others see it: how far it is, what failed, its log."""
# ruff: noqa: F811

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from loaders.cli import jobs as load_jobs
from loaders.engine import job_status
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import loads as commands
from quotemill.errors import PartialError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.faults.scene import wait_until
from tests.toy.bench import Toy, bench  # noqa: F401

Command = Callable[..., list[str]]


@pytest.fixture
def jobs(
    bench: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`quotemill loads` of the bench: its lines on stdout."""
    for module in (commands, load_jobs):
        monkeypatch.setattr(module, "load_settings", lambda: bench.settings)
    monkeypatch.setattr(commands, "POLL", 0.01)

    def call(job: int | None = None, **options: Any) -> list[str]:
        values = {"follow": False, "log": None, "limit": 20, "json": False} | options
        commands.loads_command(job, **values)
        return capsys.readouterr().out.splitlines()

    return call


def part_with_answers(warehouse: Warehouse, answers: int) -> job_status.Part | None:
    parts = job_status.read_job(warehouse, 1).parts
    return next((part for part in parts if part.reached == answers), None)


def test_a_running_job_is_followed_from_elsewhere_to_its_end(
    bench: Toy, jobs: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, follow, begun = open_warehouse(bench.settings), commands._follow, Event()

    def follow_seen(*arguments: Any) -> Any:
        begun.set()
        return follow(*arguments)

    monkeypatch.setattr(commands, "_follow", follow_seen)
    with ThreadPoolExecutor() as pool:
        reached = bench.block("dd")
        load = pool.submit(bench.load, keys=("AA", "Bb", "cc", "dd"))
        release = reached()
        try:
            # a package of two has landed, the third is fetched and waits for the fourth
            part = wait_until("three answers are shown", lambda: part_with_answers(warehouse, 3))
            [head, line] = jobs(1)
            following = pool.submit(jobs, follow=True)
            assert job_status.find_running_job(warehouse) == 1
            assert begun.wait(60)  # before the load can end
        finally:
            release()
        assert load.result().status == "succeeded"
        assert (part.keys, part.done, part.is_running, part.rows_new) == (4, 2, True, 3)
        assert part.left == pytest.approx(1 / part.rate)
        assert re.match("load 1 +toy +incremental +running .*0:00:", head)
        assert "3 of 4  " in line
        assert " left" in line
        [head, line] = following.result()
    assert "succeeded " in head
    assert "4 of 4" in line
    assert "7 new" in line
    with pytest.raises(UsageError, match="no load is running"):
        jobs(follow=True)


def test_a_failed_key_is_shown_with_its_reason_and_fix(
    bench: Toy, jobs: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.folder / "cc.csv").unlink()
    bench.load(keys=("AA", "Bb", "cc", "dd"))

    [head, part, failed, fix] = jobs(1)
    assert "partial " in head
    assert "1 failed" in part
    assert failed.startswith("  failed: price cc: cc.csv ")
    assert fix == "fix: `quotemill retry 1`"
    with pytest.MonkeyPatch.context() as terminal:
        terminal.setenv("COLUMNS", "50")
        terminal.setattr("sys.stdout.isatty", lambda: True)
        assert max(map(len, jobs(1))) <= 50
    listed = jobs()
    assert listed[1].endswith("1 key failed: price cc: cc.csv is not there")
    assert listed[2].strip() == "fix: quotemill retry 1"
    assert listed[3].startswith("load    1")
    load_jobs.status_command(20, json=False)
    assert listed == capsys.readouterr().out.splitlines()
    answer = json.loads("\n".join(jobs(1, json=True)))
    assert answer["failures"] == [
        {"dataset": "price", "key": "cc", "reason": "cc.csv is not there"}
    ]
    with pytest.raises(PartialError, match="load 1 partial"):
        jobs(1, follow=True)

    jobs(1, log=tmp_path / "1.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "1.jsonl").read_text().splitlines()]
    assert (lines[0]["event"], lines[-1]["event"]) == ("starts", "partial")
    assert {(line["source"], line["job"]) for line in lines} == {("toy", 1)}
    [line] = [line for line in lines if line.get("code")]
    assert (line["code"], line["task"], line["event"]) == ("cc", 1, "cc.csv is not there")
    for wrong in ({"job": 12}, {"log": tmp_path / "none"}):
        with pytest.raises(UsageError):
            jobs(**wrong)

    bench.write_files()
    bench.load(keys=("AA", "Bb", "cc", "dd"))
    assert not any(line.startswith("fix:") for line in jobs(1))


def test_the_log_of_a_load_is_by_time_and_ends_with_its_state(bench: Toy) -> None:
    (bench.folder / "cc.csv").unlink()
    bench.load(keys=("AA", "Bb", "cc", "dd"))
    warehouse = open_warehouse(bench.settings)
    with warehouse.connect() as conn:
        # a message after the end of its task, a task that ended first, one that runs
        conn.execute(
            "insert into ops.ingestion_logs (job_id, level, event, logged_at) select 1, 'info', "
            "'late ' || n, clock_timestamp() + n * interval '1 s' from generate_series(1, 3000) n"
        )
        conn.execute(
            "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status, "
            "failures, started_at, finished_at) select 1, n, 'price', '{ee}', t.state, t.failures, "
            "j.started_at, case when n = 2 then j.started_at + interval '1 us' end from (values "
            "(2, 'succeeded', '{}'::jsonb), (3, 'running', '{\"ee\": \"gone\"}')) "
            "as t (n, state, failures) cross join ops.ingestion_jobs as j where j.job_id = 1"
        )
    lines = list(job_status.read_log(warehouse, 1))
    events = [line["event"] for line in lines]
    assert events[:2] == ["starts", "succeeded"]
    assert events[-5:] == ["late 2999", "late 3000", "gone", "running", "partial"]
    times = [line["at"] for line in lines[:-1]]
    assert times == sorted(times)
    # the end of it, without reading all
    end = [line["event"] for line in job_status.read_log(warehouse, 1, last=2)]
    assert end[0] == "starts"
    assert end[-5:] == events[-5:]
    assert len(end) < 12
