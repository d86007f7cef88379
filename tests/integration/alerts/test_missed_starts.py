"""Alerts for jobs that did not start when they should have."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from loaders.settings import Settings
from orchestration.alerts import check as alerts
from orchestration.run import history
from orchestration.schedule import ledger
from orchestration.schedule.settings import JobSettings
from tests.bench import warehouse_url
from tests.integration.alerts.conftest import NOW, Hook


def add_jobs(conn: psycopg.Connection, rows: list[tuple[str, Any, Any, Any]]) -> None:
    """Jobs with the start of their last run, a start that was not made, and the next one."""
    for name, ran_at, missed_at, next_at in rows:
        conn.execute(
            "insert into ops.schedules (name, missed_at, next_run_at) values (%s, %s, %s)",
            (name, missed_at, next_at),
        )
        if ran_at is not None:
            history.begin(conn, name, name, "status", ran_at)
            conn.execute(
                "update ops.runs set finished_at = started_at, exit_code = 0 where run_id = %s",
                (name,),
            )


def test_missed_starts_of_jobs_are_reported_until_they_run(settings: Settings, hook: Hook) -> None:
    hour, own = timedelta(hours=1), JobSettings(command="status", when="daily 12:00")
    names = ("overdue", "let_go", "made_up_for", "soon", "disabled")
    more = dict.fromkeys(names, own) | {"off": JobSettings(command="status")}
    settings = settings.model_copy(update={"schedule": more})
    with psycopg.connect(warehouse_url(settings)) as conn:
        add_jobs(
            conn,
            [
                ("overdue", NOW - 24 * hour, None, NOW - 2 * hour),
                ("let_go", NOW - 24 * hour, NOW - 3 * hour, NOW + hour),
                ("made_up_for", NOW - 2 * hour, NOW - 3 * hour, NOW + hour),
                ("soon", NOW - 24 * hour, None, NOW - hour / 2),
                ("disabled", None, None, NOW - 24 * hour),
                ("off", None, None, NOW - 24 * hour),
                ("not_there_any_more", None, None, NOW - 24 * hour),
            ],
        )
        conn.execute("update ops.schedules set is_enabled = false where name = 'disabled'")
    assert set(alerts.check_and_notify(settings, {}, now=NOW).open) == {
        "missed:overdue",
        "missed:let_go",
    }
    assert sorted(hook.titles) == ["error: missed:let_go", "error: missed:overdue"]
    with psycopg.connect(warehouse_url(settings)) as conn:
        conn.execute("update ops.runs set started_at = %s where schedule = 'overdue'", (NOW,))
        conn.execute("update ops.schedules set next_run_at = null where name = 'overdue'")
        conn.execute("update ops.schedules set is_enabled = false where name = 'let_go'")
    assert alerts.check_and_notify(settings, {}, now=NOW) == alerts.CheckResult((), 2, 0)


def test_nothing_rings_after_an_uninstall(settings: Settings) -> None:
    own = JobSettings(command="status", when="daily 12:00")
    settings = settings.model_copy(update={"schedule": {"late": own, "skipped": own}})
    hour = timedelta(hours=1)
    with psycopg.connect(warehouse_url(settings), autocommit=True) as conn:
        add_jobs(
            conn,
            [
                ("late", None, None, NOW - 2 * hour),
                ("skipped", NOW - 24 * hour, NOW - 3 * hour, NOW + hour),
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
