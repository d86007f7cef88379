"""Alerts for jobs that did not start when they should have."""

import socket
from datetime import timedelta

import psycopg
import pytest

from loaders.settings import Settings
from orchestration.alerts import check as alerts
from orchestration.schedule import ledger
from orchestration.schedule.settings import JobSettings
from tests.bench import warehouse_url
from tests.integration.alerts.conftest import NOW, Hook


def test_missed_starts_of_jobs_are_reported_until_they_run(settings: Settings, hook: Hook) -> None:
    hour, own = timedelta(hours=1), JobSettings(command="status", when="daily 12:00")
    names = ("overdue", "let_go", "made_up_for", "soon", "disabled")
    more = dict.fromkeys(names, own) | {"off": JobSettings(command="status")}
    settings = settings.model_copy(update={"schedule": more})
    with psycopg.connect(warehouse_url(settings)) as conn:
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
    assert set(alerts.check_and_notify(settings, {}, now=NOW).open) == {
        "missed:overdue",
        "missed:let_go",
    }
    assert sorted(hook.titles) == ["error: missed:let_go", "error: missed:overdue"]
    with psycopg.connect(warehouse_url(settings)) as conn:
        conn.execute(
            "update ops.schedules set last_run_at = %s, next_run_at = null where name = 'overdue'",
            (NOW,),
        )
        conn.execute("update ops.schedules set is_enabled = false where name = 'let_go'")
    assert alerts.check_and_notify(settings, {}, now=NOW) == alerts.CheckResult((), 2, 0)


def test_nothing_rings_after_an_uninstall(settings: Settings) -> None:
    own = JobSettings(command="status", when="daily 12:00")
    settings = settings.model_copy(update={"schedule": {"late": own, "skipped": own}})
    hour = timedelta(hours=1)
    with psycopg.connect(warehouse_url(settings), autocommit=True) as conn:
        conn.cursor().executemany(
            "insert into ops.schedules (name, last_host, last_run_at, missed_at, next_run_at) "
            "values (%s, %s, %s, %s, %s)",
            [
                ("late", None, None, None, NOW - 2 * hour),
                ("skipped", socket.gethostname(), NOW - 24 * hour, NOW - 3 * hour, NOW + hour),
            ],
        )
        both = ("missed:late", "missed:skipped")
        assert alerts.check_and_notify(settings, {}, now=NOW).open == both
        assert ledger.withdraw_starts(conn, settings.schedule) == []
    for days in (0, 1, 30):
        assert alerts.check_and_notify(settings, {}, now=NOW + timedelta(days)).open == ()


def test_a_missed_start_of_a_job_removed_everywhere_resolves(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = JobSettings(command="status", when="daily 12:00")
    knowing = settings.model_copy(update={"schedule": {"own": own}})

    def is_open(settings: Settings, after: timedelta = timedelta()) -> bool:
        result = alerts.check_and_notify(settings, {}, now=NOW + after)
        return "missed:own" in result.open

    with psycopg.connect(warehouse_url(settings), autocommit=True) as conn:
        conn.execute(  # it never ran
            "insert into ops.schedules (name, is_enabled, next_run_at) values ('own', true, %s)",
            (NOW - timedelta(days=1),),
        )
        assert is_open(knowing)
        assert not is_open(settings)  # no other machine could know it
        assert is_open(knowing)
        conn.execute(
            "insert into ops.runs (run_id, command, host, pid, started_at) "
            "values ('b', 'run', 'beta', 1, %s)",
            (NOW,),
        )
    # beta may know it, and finds it again if so
    assert is_open(settings)
    assert is_open(settings, timedelta(days=6))
    assert not is_open(settings, timedelta(days=8))
