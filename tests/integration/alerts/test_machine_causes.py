"""Causes of one machine: its disks, its calendar, its report and jobs."""

import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from loaders import trading_time
from loaders.settings import Settings
from loaders.ticks.questdb.store import QuestdbStore
from orchestration.alerts import causes
from orchestration.alerts import check as alerts
from orchestration.alerts.book import on_this_host
from orchestration.schedule.settings import JobSettings
from tests.bench import warehouse_url
from tests.integration.alerts.conftest import NOW, Hook
from tests.unit.test_place_checks import Usage


@pytest.mark.parametrize("name", ["backups", "archive"])
def test_a_full_disk_is_reported(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
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
                "backup_folder": elsewhere if name == "backups" else None,
                "ib": settings.ib.model_copy(
                    update={"archive_folder": elsewhere if name == "archive" else None}
                ),
            }
        )
        return causes.check_machine(full, ["tdx"], NOW)

    home, other = on_this_host("disk:home"), on_this_host(f"disk:{name}")
    filling = tmp_path
    assert "81 %" in used(81)[home].sentence
    assert used(81)[other] is None
    assert home not in used(79)  # neither full nor with room again
    assert used(77)[home] is None
    filling = elsewhere
    assert str(elsewhere) in used(81)[other].sentence
    assert used(81)[home] is None


def test_an_ending_calendar_is_reported_in_its_last_three_weeks(settings: Settings) -> None:
    calendar, end = on_this_host("calendar"), trading_time.horizon()
    last = datetime(end.year, 12, 31, tzinfo=UTC)
    checked = causes.check_machine(settings, ["tdx"], last - timedelta(days=21))
    assert checked[calendar] is None
    cause = causes.check_machine(settings, ["tdx"], last - timedelta(days=20))[calendar]
    assert cause is not None
    assert f" {end.year + 1} " in cause.sentence
    assert "pip install" not in cause.sentence
    assert calendar not in causes.check_machine(settings, ["ib"], last)


def test_a_disk_without_a_size_stops_no_check(settings: Settings) -> None:
    sizeless = Path("/proc")
    if not sizeless.is_dir() or shutil.disk_usage(sizeless).total:
        pytest.skip("no file system without a size")
    changed = settings.model_copy(update={"backup_folder": sizeless})
    assert on_this_host("disk:backups") not in causes.check_machine(changed, [], NOW)


def test_two_machines_do_not_resolve_each_others_causes(
    settings: Settings, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = settings.alerts.model_copy(update={"disk_percent": 0.001})
    machines = {"alpha": settings.model_copy(update={"alerts": full}), "beta": settings}
    for host in ("alpha", "beta") * 3:
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        alerts.check_and_notify(machines[host], {}, now=NOW)
    # the home, and perhaps the disk of the warehouse
    titles = [message["title"] for message in hook.received]
    assert "quotemill on alpha, error: disk:home@alpha" in titles
    assert len(set(titles)) == len(titles)
    assert not [title for title in titles if "resolved" in title]


def test_each_machine_is_judged_by_its_own_report_and_jobs(
    settings: Settings, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(warehouse_url(settings)) as conn:
        for host, code in (("alpha", 1), ("beta", 0)):
            conn.execute(
                "insert into ops.runs (run_id, command, host, pid) values (%s, 'run', %s, 1)",
                (host, host),
            )
            conn.execute(
                "insert into ops.metrics (run_id, stage, name, value, unit, measured_at) "
                "values (%s, 'report', 'exit_code', %s, 'code', clock_timestamp())",
                (host, code),
            )
        conn.execute(  # only alpha knows the job, which never ran
            "insert into ops.schedules (name, is_enabled, next_run_at) values ('own', true, %s)",
            (NOW - timedelta(days=1),),
        )
    own = JobSettings(command="status", when="daily 12:00")
    machines = {"alpha": settings.model_copy(update={"schedule": {"own": own}}), "beta": settings}
    for host in ("alpha", "beta") * 2:
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        names = set(alerts.check_and_notify(machines[host], {}, now=NOW).open)
    assert names >= {"missed:own", "report@alpha"}
    assert "report@beta" not in names
    sent = sorted(message["title"].partition(", ")[2] for message in hook.received)
    assert [title for title in sent if "job:" not in title] == [
        "error: missed:own",
        "error: report@alpha",
    ]


def test_a_suspended_tick_table_is_reported_though_no_other_query_is_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {"ticks": "the table ticks is suspended"}
    store = QuestdbStore.__new__(QuestdbStore)  # answers nothing else
    monkeypatch.setattr(store, "suspended", lambda: reasons, raising=False)
    monkeypatch.setattr(store, "close", lambda: None)
    monkeypatch.setattr("loaders.ticks.open_store.open_store", lambda *_: store)
    used = settings.model_copy(update={"questdb_url": SecretStr("http://127.0.0.1:9")})
    cause = causes.check_tick_store(used)["tick_store"]
    [check] = store.check_suspended()
    assert cause is not None
    assert [cause.sentence, cause.fix] == [check.sentence, check.fix]
    assert cause.sentence.startswith("the table ticks is suspended: its writes are stored")
    assert cause.fix == "quotemill questdb resume"
    reasons.clear()
    assert causes.check_tick_store(used) == {"tick_store": None}
