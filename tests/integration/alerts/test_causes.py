"""What is a cause of its own, when it is told anew, and when it is over."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders import log
from loaders.engine.load import LoadResult
from loaders.engine.metrics import Metric
from loaders.schedule_settings import JobSettings
from loaders.settings import Settings
from orchestration import alerts
from orchestration.alerts import causes
from orchestration.run import history, stages
from orchestration.run.findings import Judgement
from orchestration.run.stages import RunResult
from tests.e2e.commands import Place
from tests.integration.alerts.conftest import NOW, Hook, load, look
from tests.unit.test_place_checks import Usage


def test_jobs_that_were_killed_or_failed_are_told_by_the_next_look(
    settings: Settings, hook: Hook
) -> None:
    with history.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
        run.end(1, "no room")
    with history.recorded(settings, "run tdx", run_id="b", schedule="tdx_daily") as run:
        names = ("exit_code", "untold_messages")  # its own look has told it
        run.measure([Metric("alerts", "", name, 0) for name in names])
        run.end(4, "nobody answers")
    with history.recorded(settings, "run tq", run_id="d", schedule="tq_daily") as run:
        run.end(6)  # its deadline came before its look
    with history.recorded(settings, "run ib", run_id="c", schedule="ib_daily") as run:
        run.end(0)
    assert settings.warehouse_url is not None
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.execute("update ops.runs set finished_at = null where run_id = 'c'")
    now = datetime.now(UTC)
    assert set(alerts.look(settings, {}, now=now).open) == {
        *("job:weekly_backup", "job:ib_daily", "job:tq_daily")
    }
    told = " ".join(message["message"] for message in hook.heard)
    assert "`backup`" in told
    assert "no room" in told
    assert "was cut short" in told
    for name, command in (
        ("weekly_backup", "backup"),
        ("ib_daily", "run ib"),
        ("tq_daily", "run tq"),
    ):
        with history.recorded(settings, command, run_id=f"later {name}", schedule=name) as run:
            run.end(0)
    assert alerts.look(settings, {}, now=now) == alerts.Looked((), 3, 0)


def test_scheduled_jobs_that_nobody_started_are_told_until_they_run(
    settings: Settings, hook: Hook
) -> None:
    assert settings.warehouse_url is not None
    hour, own = timedelta(hours=1), JobSettings(command="status", when="daily 12:00")
    names = ("overdue", "let_go", "made_up_for", "soon", "disabled")
    more = dict.fromkeys(names, own) | {"off": JobSettings(command="status")}
    settings = settings.model_copy(update={"schedule": more})
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.cursor().executemany(
            "insert into ops.schedules (name, is_enabled, last_run_at, missed_at, next_run_at) "
            "values (%s, %s, %s, %s, %s)",
            [
                ("overdue", True, NOW - 24 * hour, None, NOW - 2 * hour),
                ("let_go", True, NOW - 24 * hour, NOW - 3 * hour, NOW + hour),
                ("made_up_for", True, NOW - 2 * hour, NOW - 3 * hour, NOW + hour),
                ("soon", True, NOW - 24 * hour, None, NOW - hour / 2),
                ("disabled", False, None, None, NOW - 24 * hour),
                ("off", True, None, None, NOW - 24 * hour),
                ("not_there_any_more", True, None, None, NOW - 24 * hour),
            ],
        )
    assert set(alerts.look(settings, {}, now=NOW).open) == {"missed:overdue", "missed:let_go"}
    assert sorted(hook.titles) == ["error: missed:let_go", "error: missed:overdue"]
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.execute(
            "update ops.schedules set last_run_at = %s, next_run_at = null where name = 'overdue'",
            (NOW,),
        )
        conn.execute("update ops.schedules set is_enabled = false where name = 'let_go'")
    assert alerts.look(settings, {}, now=NOW) == alerts.Looked((), 2, 0)


def test_a_self_test_that_failed_brings_its_report(settings: Settings, hook: Hook) -> None:
    report = settings.home / "selftest" / "tdx_api_failure_report.md"
    report.parent.mkdir()
    report.write_text("# Check 24 failed\n")
    assert settings.warehouse_url is not None
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.execute(
            "insert into ops.testing_runs (source, kind, started_at, status, total, passed, failed, "
            "skipped) values ('tdx', 'selftest', now(), 'failed', 31, 30, 1, 0)"
        )
        conn.execute(
            "insert into ops.testing_logs (run_id, no, name, status) "
            "values (1, 24, 'count', 'failed')"
        )
    alerts.look(settings, {}, now=NOW)
    [message] = hook.heard
    assert "1 of 31 checks failed (24)" in message["message"]
    assert [a["filename"] for a in message["attachments"]] == ["tdx_api_failure_report.md"]


def test_findings_ring_once_and_are_over_when_no_error_stands(settings: Settings) -> None:
    def judged(ringing: int, standing: int) -> dict[str, Any]:
        found = Judgement({"error": standing}, {}, {}, 7, ringing)
        return causes.of_run(RunResult((), 0, judgement=found), settings)

    assert judged(2, 5)["qa"].command == "quotemill findings --new"
    assert "qa" not in judged(0, 5)
    assert judged(0, 0)["qa"] is None


def test_a_disk_and_a_calendar_that_run_out_are_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of another file system on any machine
    elsewhere = next(
        p
        for p in map(Path, ("/proc", "/dev"))
        if p.is_dir() and p.stat().st_dev != tmp_path.stat().st_dev
    )

    def used(percent: float) -> Any:
        gib = 2**30
        usage = Usage(100 * gib, int(percent * gib), int((100 - percent) * gib))
        empty = Usage(100 * gib, 0, 100 * gib)
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path: usage if Path(path) == filling else empty
        )
        full = settings.model_copy(
            update={
                "alerts": settings.alerts.model_copy(update={"disk_percent": 80.0}),
                "backup_folder": elsewhere,
            }
        )
        return causes.of_machine(full, ["tdx"], NOW)

    filling = tmp_path
    assert "81 %" in used(81)["disk:home"].message
    assert used(81)["disk:backups"] is None
    assert "disk:home" not in used(79)  # neither full nor with room again
    assert used(77)["disk:home"] is None
    filling = elsewhere
    assert str(elsewhere) in used(81)["disk:backups"].message
    assert used(81)["disk:home"] is None
    assert used(77)["calendar"] is None
    late = datetime(2099, 12, 1, tzinfo=UTC)
    assert (
        "pandas-market-calendars" in causes.of_machine(settings, ["tdx"], late)["calendar"].message
    )
    assert "calendar" not in causes.of_machine(settings, ["ib"], late)


def test_a_disk_that_tells_no_size_keeps_nothing_from_being_told(settings: Settings) -> None:
    sizeless = Path("/proc")
    if not sizeless.is_dir() or shutil.disk_usage(sizeless).total:
        pytest.skip("no file system without a size")
    found = causes.of_machine(settings.model_copy(update={"backup_folder": sizeless}), [], NOW)
    assert "disk:backups" not in found


def test_a_lock_is_told_when_it_is_held_twice_in_a_row(settings: Settings, hook: Hook) -> None:
    held = load(75, "another load of tdx holds the lock")
    assert look(settings, held).told == 0
    assert look(settings, held).told == 1
    archive = stages.Stage("archive", 75, 0.1, "failed", "another one archives")
    for told in (0, 1):
        assert look(settings, RunResult((), 75, stages=(archive,))).told == told
    assert hook.titles == ["warning: lock:tdx", "warning: lock:archive"]


def test_a_load_that_stood_back_ends_no_failure_and_counts_as_a_held_lock(
    settings: Settings,
) -> None:
    stood = LoadResult(None, "ib", "skipped", 0, (), ("another load runs",), None, "", 0.0)
    found = causes.of_run(RunResult((stood,), 0), settings)
    assert set(found) == {"lock:ib"}
    assert found["lock:ib"] is not None
    done = LoadResult(1, "ib", "succeeded", 0, (), (), None, "", 0.1)
    found = causes.of_run(RunResult((done,), 0), settings)
    assert found == {"lock:ib": None, "load:ib": None}


def test_a_scheduled_job_that_finds_another_at_work_twice_is_told(settings: Settings) -> None:
    def held(run_id: str, code: int) -> None:
        with history.recorded(settings, "build", run_id=run_id, schedule="ib_rollup") as run:
            run.end(code)

    held("a", 75)
    for _ in range(2):  # looks are no runs
        assert alerts.look(settings, {}).open == ()
    held("b", 75)
    assert alerts.look(settings, {}).open == ("lock:ib_rollup",)
    held("c", 0)
    assert alerts.look(settings, {}).open == ()


def test_a_job_that_fails_otherwise_is_told_anew_and_one_whose_own_look_failed_is_told(
    settings: Settings, hook: Hook
) -> None:
    def ended(run_id: str, code: int, *, has_looked: bool = False) -> None:
        with history.recorded(settings, "run tdx", run_id=run_id, schedule="tdx_daily") as run:
            run.measure([Metric("alerts", "", "exit_code", 0)])
            if has_looked:  # one of two channels did not take it: it is in the book
                run.measure([Metric("alerts", "", "untold_messages", 1)])
            run.end(code)

    ended("a", 4)
    assert alerts.look(settings, {}).told == 1
    ended("b", 4)
    assert alerts.look(settings, {}).told == 0
    ended("c", 6)
    assert alerts.look(settings, {}).told == 1
    assert "exit code 6" in hook.heard[-1]["message"]
    ended("d", 6, has_looked=True)
    assert alerts.look(settings, {}).open == ()


def test_another_error_in_the_log_than_the_nights_before_is_told(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    log.stop()  # of a process of its own
    place = Place(
        tmp_path,
        tmp_path / "scanned",
        {"QUOTEMILL_WAREHOUSE_URL": settings.warehouse_url.get_secret_value()},
    )
    logs = place.home / "logs"
    logs.mkdir(parents=True)
    tomorrow = datetime.now(UTC).replace(hour=12, minute=0) + timedelta(days=1)

    def told(night: int, *events: str) -> int:
        at, run_id = tomorrow + timedelta(days=night), f"scan-{night}"
        fields = {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "source": "ib"}
        found = [fields | {"level": "info", "event": "x"}]
        found += [fields | {"level": "error", "event": event} for event in events]
        text = "".join(json.dumps(line) + "\n" for line in found)
        (logs / f"run-{at:%Y-%m-%d}.jsonl").write_text(text)
        command = ("logscan", "ib", "--since", "last", "--as-of", f"{at:%Y-%m-%d}T18:00Z")
        variables = history.environment(run_id, "ib_logscan")
        with history.recorded(settings, "logscan ib", run_id=run_id, schedule="ib_logscan") as run:
            run.end(place.inside("quotemill", *command, **variables).returncode)
        return alerts.look(settings, {}).told

    assert told(0, "gateway 200: no contract 4711", "job 3 failed: 20 of 80 keys") == 1
    assert told(1, "job 4 failed: 21 of 80 keys") == 0
    assert told(2, "job 5 failed: 2 of 8 keys", "gateway 321: no contract 4711") == 1
    assert told(3, "gateway 200: no contract 4712") == 0
    assert told(4) == 1
    assert told(5, "gateway 200: no contract 4713") == 1
    assert hook.titles == [
        *["error: job:ib_logscan"] * 2,
        *["over: job:ib_logscan", "error: job:ib_logscan"],
    ]


def test_a_run_of_a_clock_that_was_far_ahead_hides_no_later_failure(settings: Settings) -> None:
    assert settings.warehouse_url is not None
    with history.recorded(settings, "backup", run_id="ahead", schedule="backup") as run:
        run.end(0)
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.execute("update ops.runs set started_at = started_at + interval '1 year'")
    with history.recorded(settings, "backup", run_id="now", schedule="backup") as run:
        run.end(1, "no room")
    assert alerts.look(settings, {}).open == ("job:backup",)


def test_a_job_that_has_not_run_for_long_is_no_cause_any_more(settings: Settings) -> None:
    with history.recorded(settings, "backup", run_id="a", schedule="backup") as run:
        run.end(1, "no room")
    now = datetime.now(UTC)
    assert alerts.look(settings, {}, now=now).open == ("job:backup",)
    assert alerts.look(settings, {}, now=now + causes.REMEMBERED).open == ()
