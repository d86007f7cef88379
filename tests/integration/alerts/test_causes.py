"""What counts as one cause, when it is sent again, and when it is resolved."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders import log
from loaders.engine.jobs import Task
from loaders.engine.metrics import Metric
from loaders.engine.result import LoadResult
from loaders.engine.run import PASSING
from loaders.settings import Settings
from orchestration.alerts import causes
from orchestration.alerts import check as alerts
from orchestration.alerts.book import Cause
from orchestration.run import history, stages
from orchestration.run.findings import Judgement
from orchestration.run.stages import RunResult
from quotemill.errors import UsageError
from tests.bench import warehouse_url
from tests.e2e.commands import Place
from tests.integration.alerts.conftest import NOW, Hook, check, environment, load


def test_killed_and_failed_jobs_are_reported_by_the_next_check(
    settings: Settings, hook: Hook
) -> None:
    with history.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
        run.end(1, "no room")
    with history.recorded(settings, "run tdx", run_id="b", schedule="tdx_daily") as run:
        names = ("exit_code", "unsent_messages")  # its own check reported it
        run.measure([Metric("alerts", "", name, 0) for name in names])
        run.end(4, "nobody answers")
    with history.recorded(settings, "run tq", run_id="d", schedule="tq_daily") as run:
        run.end(6)  # it ended before its check of alerts
    with history.recorded(settings, "run ib", run_id="c", schedule="ib_daily") as run:
        run.end(0)
    with psycopg.connect(warehouse_url(settings)) as conn:
        conn.execute("update ops.runs set finished_at = null where run_id = 'c'")
    now = datetime.now(UTC)
    open_causes = alerts.check_and_notify(settings, {}, now=now).open
    assert set(open_causes) == {"job:weekly_backup", "job:ib_daily", "job:tq_daily"}
    text = " ".join(message["message"] for message in hook.received)
    assert "`backup`" in text
    assert "no room" in text
    assert " interrupted" in text
    for name, command in (
        ("weekly_backup", "backup"),
        ("ib_daily", "run ib"),
        ("tq_daily", "run tq"),
    ):
        with history.recorded(settings, command, run_id=f"later {name}", schedule=name) as run:
            run.end(0)
    assert alerts.check_and_notify(settings, {}, now=now) == alerts.CheckResult((), 3, 0)


def test_a_check_that_fails_is_reported_once_and_costs_no_other(
    settings: Settings, hook: Hook
) -> None:
    now = datetime.now(UTC)
    with history.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
        run.end(1, "no room")
    with psycopg.connect(warehouse_url(settings), autocommit=True) as conn:
        conn.execute("alter table ops.testing_runs rename column total to away")
        first = alerts.check_and_notify(settings, {}, now=now)
        assert set(first.open) == {"job:weekly_backup", "check:selftests"}
        assert "r.total" in hook.received[-1]["message"]
        assert alerts.check_and_notify(settings, {}, now=now).sent == 0
        conn.execute("alter table ops.schedules rename column missed_at to gone")
        second = alerts.check_and_notify(settings, {}, now=now)
        assert set(second.open) - set(first.open) == {"check:schedules", "check:settings"}
        assert second.sent == 2
        conn.execute("alter table ops.testing_runs rename column away to total")
        conn.execute("alter table ops.schedules rename column gone to missed_at")
    assert alerts.check_and_notify(settings, {}, now=now).open == ("job:weekly_backup",)


def test_a_failed_load_names_the_jobs_to_retry(settings: Settings) -> None:
    failed = Task(1, "kline_daily", keys=("sh600000", "sh600001"), failures={"sh600000": "no bar"})
    loads = tuple(
        LoadResult(job, "tdx", "partial", 6, tasks, (), None, f"quotemill retry {job}", 0.1)
        for job, tasks in ((7, (failed,)), (8, ()), (9, (failed,)))
    )
    cause = causes.check_run(RunResult(loads, 6), settings)["load:tdx"]
    assert cause is not None
    assert "2 of 4 " in cause.sentence
    assert cause.fix == "quotemill retry 7; quotemill retry 8; quotemill retry 9"


def test_a_failed_load_that_the_schedule_makes_again_says_when(settings: Settings) -> None:
    tq = settings.tq.model_copy(update={"account": "me", "password": "secret"})
    settings = settings.model_copy(update={"tq": tq})
    gone = LoadResult(7, "tq", "failed", 4, (), (), "the servers are away", "", 0.1)

    def message(job: str | None) -> str:
        cause = causes.check_run(RunResult((gone,), 4), settings, job)["load:tq"]
        return cause.sentence + cause.note if cause else ""

    assert re.search(", tq_daily .* 60 minutes$", message("tq_daily"))
    assert [message(job).endswith("are away") for job in ("tdx_daily", None)] == [True, True]


def test_a_failed_load_of_a_moment_names_no_job_to_retry(settings: Settings) -> None:
    slot = Task(1, "chain_snapshot", keys=("MSFT", "SPY"), failures={"MSFT": "no quote"})
    names = Task(1, "contract", keys=("MSFT",), failures={"MSFT": "refused"})

    def judge(*loads: LoadResult) -> Cause:
        cause = causes.check_run(RunResult(loads, 6), settings)["load:ib"]
        assert cause is not None
        return cause

    passing = LoadResult(7, "ib", "partial", 6, (slot,), (), None, PASSING, 0.1)
    known = LoadResult(8, "ib", "succeeded", 0, (names,), (), None, "", 0.1)  # acknowledged
    cause = judge(passing, known)
    assert ("2 of 3 " in cause.sentence, cause.note, cause.fix) == (
        True,
        ", failed for MSFT",
        PASSING,
    )
    for key in ("BRK B 2026-11-19T15:00Z", "BRK B 2026-11-19"):  # at a slot, at a close
        task = replace(slot, keys=(key,), failures={key: "no quote"})
        cause = judge(replace(passing, tasks=(task,)))
        assert cause.sentence == "load of ib failed (exit code 6): 1 of 1 keys failed"
        assert cause.subjects == ("BRK B",)


def test_a_failed_self_test_attaches_its_report(settings: Settings, hook: Hook) -> None:
    report = settings.home / "selftest" / "tdx_api_failure_report.md"
    report.parent.mkdir()
    report.write_text("# Check 24 failed\n")
    with psycopg.connect(warehouse_url(settings)) as conn:
        conn.execute(
            "insert into ops.testing_runs (source, kind, started_at, status, total, passed, "
            "failed, skipped, checks) values ('tdx', 'selftest', now(), 'failed', 31, 30, 1, 0, "
            """'[{"no": 24, "name": "count", "status": "failed"}]')"""
        )
    alerts.check_and_notify(settings, {}, now=NOW)
    [message] = hook.received
    assert re.search(r"1 of 31 .*\(number 24\)", message["message"])
    assert [a["filename"] for a in message["attachments"]] == ["tdx_api_failure_report.md"]


def test_findings_ring_once_and_are_resolved_with_the_last_error(settings: Settings) -> None:
    def judged(ringing: int, standing: int) -> dict[str, Any]:
        judgement = Judgement({"error": standing}, {}, {}, ringing)
        return causes.check_run(RunResult((), 0, judgement=judgement), settings)

    assert judged(2, 5)["qa"].fix == "quotemill findings --new"
    assert "qa" not in judged(0, 5)
    assert judged(0, 0)["qa"] is None


def test_a_check_that_cannot_be_read_is_reported_below_the_limit(settings: Settings) -> None:
    unread = Judgement({"error": 1}, {}, {}, 0, None, ("qa_options",))
    result = RunResult((), 6, judgement=unread)
    assert "qa" not in causes.check_run(result, settings)  # sent when it was new
    lenient = settings.model_copy(update={"finding_limit": 5})
    cause = causes.check_run(result, lenient)["qa"]
    assert cause is not None
    assert (cause.sentence, cause.subjects) == (
        "unreadable checks: qa_options",
        ("qa_options",),
    )


def test_a_lock_is_reported_when_held_twice_in_a_row(settings: Settings, hook: Hook) -> None:
    held = load(75, "another load of tdx holds the lock")
    assert check(settings, held).sent == 0
    assert check(settings, held).sent == 1
    archive = stages.Stage("archive", 75, 0.1, "failed", "another one archives")
    for sent in (0, 1):
        assert check(settings, RunResult((), 75, stages=(archive,))).sent == sent
    assert hook.titles == ["warning: lock:tdx", "warning: lock:archive"]


def test_a_skipped_load_counts_as_a_held_lock_and_resolves_nothing(
    settings: Settings,
) -> None:
    skipped = LoadResult(None, "ib", "skipped", 0, (), ("another load runs",), None, "", 0.0)
    verdicts = causes.check_run(RunResult((skipped,), 0), settings)
    assert set(verdicts) == {"lock:ib"}
    assert verdicts["lock:ib"] is not None
    done = LoadResult(1, "ib", "succeeded", 0, (), (), None, "", 0.1)
    verdicts = causes.check_run(RunResult((done,), 0), settings)
    assert verdicts == {"lock:ib": None, "load:ib": None}


def test_a_job_that_finds_another_running_twice_is_reported(settings: Settings) -> None:
    def held(run_id: str, code: int) -> None:
        with history.recorded(settings, "build", run_id=run_id, schedule="ib_rollup") as run:
            run.end(code)

    held("a", 75)
    for _ in range(2):  # checks are no runs
        assert alerts.check_and_notify(settings, {}).open == ()
    held("b", 75)
    assert alerts.check_and_notify(settings, {}).open == ("lock:ib_rollup",)
    held("c", 0)
    assert alerts.check_and_notify(settings, {}).open == ()


def test_a_job_that_fails_otherwise_is_sent_again(settings: Settings, hook: Hook) -> None:
    def ended(run_id: str, code: int, *, has_checked: bool = False) -> None:
        with history.recorded(settings, "run tdx", run_id=run_id, schedule="tdx_daily") as run:
            run.measure([Metric("alerts", "", "exit_code", 0)])
            if has_checked:  # one of two channels did not take it: it is in the book
                run.measure([Metric("alerts", "", "unsent_messages", 1)])
            run.end(code)

    ended("a", 4)
    assert alerts.check_and_notify(settings, {}).sent == 1
    ended("b", 4)
    assert alerts.check_and_notify(settings, {}).sent == 0
    ended("c", 6)
    assert alerts.check_and_notify(settings, {}).sent == 1
    assert "code 6)" in hook.received[-1]["message"]
    ended("d", 6, has_checked=True)
    assert alerts.check_and_notify(settings, {}).open == ()


def test_a_new_kind_of_error_in_the_log_is_sent(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    log.stop()  # of a process of its own
    place = Place(
        tmp_path,
        tmp_path / "scanned",
        {"QUOTEMILL_WAREHOUSE_URL": warehouse_url(settings)},
    )
    logs = place.home / "logs"
    logs.mkdir(parents=True)
    tomorrow = datetime.now(UTC).replace(hour=12, minute=0) + timedelta(days=1)

    def sent(night: int, *events: str) -> int:
        at, run_id = tomorrow + timedelta(days=night), f"scan-{night}"
        fields = {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "source": "ib"}
        lines = [fields | {"level": "info", "event": "x"}]
        lines += [fields | {"level": "error", "event": event} for event in events]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (logs / f"run-{at:%Y-%m-%d}.jsonl").write_text(text)
        command = ("logscan", "ib", "--since", "last", "--as-of", f"{at:%Y-%m-%d}T18:00Z")
        variables = history.environment(run_id, "ib_logscan")
        with history.recorded(settings, "logscan ib", run_id=run_id, schedule="ib_logscan") as run:
            run.end(place.inside("quotemill", *command, **variables).returncode)
        return alerts.check_and_notify(settings, {}).sent

    assert sent(0, "gateway 200: no contract 4711", "job 3 failed: 20 of 80 keys") == 1
    assert sent(1, "job 4 failed: 21 of 80 keys") == 0
    assert sent(2, "job 5 failed: 2 of 8 keys", "gateway 321: no contract 4711") == 1
    assert sent(3, "gateway 200: no contract 4712") == 0
    assert sent(4) == 1
    assert sent(5, "gateway 200: no contract 4713") == 1
    kinds = ("error", "error", "resolved", "error")
    assert hook.titles == [f"{kind}: job:ib_logscan" for kind in kinds]


def test_a_run_dated_far_ahead_hides_no_later_failure(settings: Settings) -> None:
    with history.recorded(settings, "backup", run_id="ahead", schedule="backup") as run:
        run.end(0)
    with psycopg.connect(warehouse_url(settings)) as conn:
        conn.execute("update ops.runs set started_at = started_at + interval '1 year'")
    with history.recorded(settings, "backup", run_id="now", schedule="backup") as run:
        run.end(1, "no room")
    assert alerts.check_and_notify(settings, {}).open == ("job:backup",)


def test_a_job_that_has_not_run_for_long_is_resolved(settings: Settings) -> None:
    with history.recorded(settings, "backup", run_id="a", schedule="backup") as run:
        run.end(1, "no room")
    now = datetime.now(UTC)
    assert alerts.check_and_notify(settings, {}, now=now).open == ("job:backup",)
    assert alerts.check_and_notify(settings, {}, now=now + causes.RUN_MEMORY).open == ()


def test_an_alert_that_no_check_resolves_is_closed_by_its_name(
    settings: Settings, hook: Hook
) -> None:
    check(settings, load(3, "tdx is not configured"))
    with pytest.raises(UsageError, match="load:tq") as refused:
        alerts.close(settings, "load:tq")
    assert "load:tdx" in refused.value.hint
    assert alerts.close(settings, "load:tdx").recovered_at is not None
    assert alerts.check_and_notify(settings, {}, now=NOW).open == ()
    assert hook.titles == ["error: load:tdx", "resolved: load:tdx"]


def test_a_source_without_settings_opens_no_alert(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    log.stop()  # of a process of its own
    place = Place(tmp_path, settings.home, environment(settings, hook))
    done = place.inside("quotemill", "run", "tq")
    assert done.returncode == 3
    assert "tq is not configured" in done.stderr
    done = place.inside("loaders", "verify", "tq")
    assert done.returncode == 3
    assert "nothing to verify" in done.stderr
    assert place.inside("quotemill", "alerts", "list").stdout == "no open alerts\n"
    assert hook.titles == []
