"""Recorded runs: running, ended, killed, or started before their warehouse."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
import typer

from loaders import loads, log
from loaders.engine import metrics
from loaders.engine.jobs import Task
from loaders.engine.metrics import Metric
from loaders.engine.result import LoadResult
from loaders.requests.counts import count
from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import find_warehouse
from orchestration.checks import status
from orchestration.report import runs as shown_runs
from orchestration.report.runs import MOST
from orchestration.run import history
from orchestration.run import metrics as run_metrics
from orchestration.run.build_record import is_loaded
from quotemill.errors import INTERRUPTED, UpstreamError
from tests.bench import settings_at, warehouse_url

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(prepared_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A warehouse of this version without a row."""
    log.stop()  # a command of another test in this process may have begun a run
    for name in (log.RUN_ID, log.SCHEDULE):
        monkeypatch.delenv(name, raising=False)
    return settings_at(prepared_dsn, tmp_path)


def on_record(settings: Settings) -> list[dict[str, Any]]:
    with psycopg.connect(warehouse_url(settings)) as conn:
        return history.recent(conn)


def figures(settings: Settings) -> list[tuple[Any, ...]]:
    with psycopg.connect(warehouse_url(settings)) as conn:
        return conn.execute(
            "select run_id, stage, source, name, value, unit from ops.metrics order by 1, 2, 3, 4"
        ).fetchall()


def test_a_run_is_running_until_it_ends(settings: Settings) -> None:
    with history.recorded(settings, "run tdx") as run:
        [row] = on_record(settings)
        assert (row["run_id"], row["status"], row["command"]) == (run.run_id, "running", "run tdx")
        run.measure([Metric("load", "tdx", "rows_new", 3), Metric("load", "tdx", "seconds", 0.25)])
        assert [f[3:] for f in figures(settings)] == [
            ("rows_new", 3, "rows"),
            ("seconds", pytest.approx(0.25), "s"),
        ]
        run.end(6, "some codes failed")
    [row] = on_record(settings)
    assert (row["status"], row["exit_code"], row["error"]) == ("failed", 6, "some codes failed")
    assert row["finished_at"] > row["started_at"]
    with history.recorded(settings, "run") as run:
        run.end(0)
    assert [row["status"] for row in on_record(settings)] == ["succeeded", "failed"]


def test_runs_and_figures_older_than_two_years_are_deleted(settings: Settings) -> None:
    now = datetime.now(UTC)
    deleted, recent = (now - timedelta(days=days) for days in (740, 720))
    ids = [f"{at:%Y%m%dT%H%M%S}-4f2a" for at in (deleted, recent)]
    with psycopg.connect(warehouse_url(settings)) as conn:
        for run_id, at in zip(ids, (deleted, recent), strict=True):
            conn.execute(
                "insert into ops.runs (run_id, command, host, pid, started_at) "
                "values (%s, 'x', 'x', 1, %s)",
                (run_id, at),
            )
        # the last is of a clock that was wrong: what it measured is new
        for run_id, at in (
            *zip(ids, (deleted, recent), strict=True),
            ("19700101T000000-0000", now),
        ):
            metrics.write(conn, run_id, [Metric("load", "tdx", "rows_new", 3)])
            conn.execute("update ops.metrics set measured_at = %s where run_id = %s", (at, run_id))
    with history.recorded(settings, "run tdx") as run:
        run.end(0)
    assert {row["run_id"] for row in on_record(settings)} == {run.run_id, ids[1]}
    assert [f[0] for f in figures(settings)] == ["19700101T000000-0000", ids[1]]
    metrics.record(settings, [Metric("build", "", "seconds", 1)])  # of a command that is no run
    assert len(figures(settings)) == 3


def test_a_run_that_raises_fails_with_the_error(settings: Settings) -> None:
    with pytest.raises(UpstreamError), history.recorded(settings, "run"):
        raise UpstreamError("nobody answers at http://u:pass-word@h:1")
    [row] = on_record(settings)
    assert (row["exit_code"], row["status"]) == (4, "failed")
    assert "nobody answers" in row["error"]
    assert "pass-word" not in row["error"]


@pytest.mark.parametrize(
    ("status", "error", "is_ready"),
    [("partial", "the disk is full", False), ("failed", None, False), ("partial", None, True)],
)
def test_a_first_build_waits_for_a_load_that_no_error_ended(
    settings: Settings, status: str, error: str | None, *, is_ready: bool
) -> None:
    with psycopg.connect(warehouse_url(settings)) as conn:
        assert not is_loaded(conn, needs_end=True)
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, error) values ('tdx', 'tdx', 'init', %s, 'me', '{}', now(), %s)",
            (status, error),
        )
        conn.execute(
            "insert into ops.ingestion_state (source, dataset, key, last_success_at) "
            "values ('tdx', 'codes', 'all', now())"
        )
        assert is_loaded(conn, needs_end=True) == is_ready
        assert is_loaded(conn, needs_end=False)  # somebody may build what there is
        conn.execute("insert into ops.change_cursors values ('us', pg_current_snapshot())")
        assert is_loaded(conn, needs_end=True)
        conn.rollback()


def test_a_run_that_was_stopped_reads_as_cancelled(settings: Settings) -> None:
    with pytest.raises(KeyboardInterrupt), history.recorded(settings, "run tdx"):
        raise KeyboardInterrupt
    [row] = on_record(settings)
    assert (row["status"], row["exit_code"]) == ("cancelled", INTERRUPTED)


def test_a_run_that_was_killed_reads_as_interrupted(settings: Settings) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom loaders.settings import load_settings\n"
        "from orchestration.run import history\n"
        "with history.recorded(load_settings(), 'run tdx'):\n"
        "    print('begun', flush=True)\n    sys.stdin.read()\n"
    )
    environ = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(settings),
        "QUOTEMILL_HOME": str(settings.home),
        "DBT_PROFILES_DIR": str(settings.home / "dbt_profiles"),
        log.SCHEDULE: "tdx_daily",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE},
        env=environ,
        cwd=ROOT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert [(r["status"], r["pid"]) for r in on_record(settings)] == [("running", process.pid)]
    finally:
        process.kill()
        process.communicate()
    row = _until(lambda: on_record(settings)[0], lambda row: row["status"] != "running")
    assert (row["status"], row["schedule"]) == ("interrupted", "tdx_daily")


def _until(read: Callable[[], Any], is_done: Callable[[Any], bool]) -> Any:
    """Read until done: a server notices a lost client a little later."""
    for _ in range(10_000):
        if is_done(value := read()):
            return value
    raise AssertionError(value)


def test_a_command_that_a_run_starts_is_a_part_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with history.recorded(settings, "run tdx", schedule="tdx_daily") as outer:
        for name, value in history.environment(outer.run_id, "tdx_daily").items():
            monkeypatch.setenv(name, value)
        log.start(settings.home / "logs")
        with history.recorded(settings, "run tdx") as inner:
            inner.measure([Metric("build", "", "models", 7)])
            inner.end(5)
        log.stop()
        assert [r["status"] for r in on_record(settings)] == ["running"]
        outer.end(0)
    [row] = on_record(settings)
    assert (inner.run_id, row["schedule"], row["exit_code"]) == (outer.run_id, "tdx_daily", 0)
    assert figures(settings) == [(outer.run_id, "build", "", "models", 7, "models")]


def test_a_run_is_recorded_once_the_warehouse_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(
            loads,
            "prepare_warehouse",
            Mock(side_effect=UpstreamError("the warehouse cannot be reached")),
        )
        with history.recorded(settings, "run") as run:
            run.measure([Metric("load", "tdx", "rows_new", 3)])
            assert on_record(settings) == []
            away.undo()
            run.end(0)
    assert [r["run_id"] for r in on_record(settings)] == [run.run_id]
    assert len(figures(settings)) == 1


def test_a_run_without_its_warehouse_goes_on_and_is_logged(tmp_path: Path) -> None:
    dead = f"postgresql://u:pass-word@127.0.0.1:9/d?host={tmp_path}"
    settings = settings_at(dead, tmp_path)
    log.start(tmp_path / "logs", log.collect_secrets(settings))
    with history.recorded(settings, "run") as run:
        run.end(0)
    log.stop()
    [path] = (tmp_path / "logs").iterdir()
    assert "cannot be recorded" in path.read_text()
    assert "pass-word" not in path.read_text()


def test_the_figures_of_a_source_are_those_recorded_its_loads() -> None:
    task = Task(1, "kline_daily", keys=("a", "b", "c"), done=1, failures={"b": "no answer"})
    task.rows_read, task.rows_new = 5, 2

    def loaded(source: str, code: int, **counts: int) -> LoadResult:
        return LoadResult(1, source, "partial", code, (task,), (), None, "", 1.5, counts)

    measured = loads.measure_loads(
        [loaded("tdx", 4, retries=2), loaded("tdx", 6, retries=1, bytes=9)]
    )
    by_name = {m.name: m.value for m in measured}
    assert {m.source for m in measured} == {"tdx"}
    assert by_name["seconds"] == 3.0
    assert (by_name["rows_new"], by_name["failed_keys"], by_name["exit_code"]) == (4, 2, 4)
    assert (by_name["retries"], by_name["bytes"], by_name["fallbacks"]) == (3, 9, 0)
    units = {m.name: m.unit for m in measured}
    assert (units["rows_new"], units["failed_keys"], units["bytes"]) == ("rows", "keys", "B")


def test_what_was_not_counted_has_no_figure() -> None:
    result = LoadResult(1, "tq", "succeeded", 0, (), (), None, "", 1.5, {"requests": 3})
    by_name = {m.name: m.value for m in loads.measure_loads([result])}
    assert (by_name["requests"], by_name["retries"], "bytes" in by_name) == (3, 0, False)


def test_a_command_records_its_figures_however_it_ends(settings: Settings) -> None:
    with run_metrics.measure_command(settings, "backup") as added:
        count("requests", 2)
        added |= {"bytes": 7}
    log.start(settings.home / "logs")
    with pytest.raises(UpstreamError), run_metrics.measure_command(settings, "archive", "ib"):
        raise UpstreamError("away")
    ended = contextlib.suppress(typer.Exit)
    with ended, run_metrics.measure_command(settings, "retention", "ib") as added:
        added["rows_dropped"] = 3
        raise typer.Exit(6)
    recorded = {
        (stage, source, name): (value, unit)
        for _, stage, source, name, value, unit in figures(settings)
    }
    assert recorded.pop(("backup", "", "seconds"))[1] == "s"
    assert {key: value for key, value in recorded.items() if key[2] != "seconds"} == {
        ("backup", "", "exit_code"): (0, "code"),
        ("backup", "", "requests"): (2, "requests"),
        ("backup", "", "bytes"): (7, "B"),
        ("archive", "ib", "exit_code"): (4, "code"),
        ("retention", "ib", "exit_code"): (6, "code"),
        ("retention", "ib", "rows_dropped"): (3, "rows"),
    }


def test_a_command_without_a_log_adds_its_figures_to_its_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(log.RUN_ID, "20261121T093000-4f2a")
    with run_metrics.measure_command(settings, "logscan"):
        pass
    assert {run_id for run_id, *_ in figures(settings)} == {"20261121T093000-4f2a"}


def test_a_command_succeeds_though_its_figures_are_lost(tmp_path: Path) -> None:
    log.start(tmp_path / "logs")
    gone = load_settings({"QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path)
    with run_metrics.measure_command(gone, "logscan"):
        pass
    log.stop()
    assert {path.name for path in tmp_path.iterdir()} == {"logs"}
    [path] = (tmp_path / "logs").iterdir()
    assert "cannot record metrics" in path.read_text()


def test_a_job_of_every_five_minutes_hides_no_other_job(settings: Settings) -> None:
    with psycopg.connect(warehouse_url(settings)) as conn:
        begun = datetime(2026, 11, 20, 12, tzinfo=UTC)
        load = (
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, started_at) values (%s, %s, 'incremental', %s, 'test', '{}', %s, %s)"
        )
        run = (
            "insert into ops.runs (run_id, schedule, command, host, pid, started_at) "
            "values (%s, %s, 'x', 'h', 1, %s)"
        )
        conn.execute(load, ("tdx", "tdx", "failed", begun, begun))
        conn.execute(run, ("daily", "tdx_daily", begun))
        for n in range(1, 2 * MOST):
            at = begun + timedelta(minutes=5 * n)
            conn.execute(load, ("ib", "ib_remainder", "succeeded", at, at))
            conn.execute(run, (f"remainder-{n}", "ib_remainder", at))
        shown = shown_runs.read_runs(conn, begun, begun + timedelta(days=9))
        assert [job["source"] for job in shown.loads] == ["ib"] * MOST + ["tdx"]
        assert [r["run_id"] for r in shown.runs][MOST - 1 :] == [f"remainder-{MOST}", "daily"]
        early = shown_runs.read_runs(conn, begun, begun + timedelta(minutes=5))
        assert (len(early.loads), len(early.runs)) == (2, 2)
        conn.commit()
    problems = status.read_status(settings, find_warehouse(settings)).problems
    assert ("load", "quotemill retry 1") in [(c.name, c.fix) for c in problems]
