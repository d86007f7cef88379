"""Jobs by the console: their rules in the home's settings, on and off in the warehouse."""

import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.console.pages.configuration import FREQUENCIES
from orchestration.schedule.install import cron, place, write
from tests.integration.console.conftest import NO_LIMIT, Caller, Open

SCHEDULES = "/api/schedules"
SERVICE = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "systemd_folder", lambda: tmp_path / "units")
    monkeypatch.setenv("HOME", str(tmp_path))
    script = tmp_path / "bin" / "crontab"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexec /bin/cat {tmp_path}/crontab\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")
    (tmp_path / "crontab").write_text("")


def find(document: Any, name: str = "tdx_daily") -> Any:
    return next(job for job in document["jobs"] if job["job"] == name)


def put(caller: Caller, path: str = SCHEDULES, **body: Any) -> Any:
    return caller.call(path, body, method="PUT")


def test_jobs_are_listed_without_a_warehouse(open_console: Open) -> None:
    document = open_console(SERVICE).json(SCHEDULES)
    job = find(document)
    assert (job["state"], job["when"], job["calendar"]) == ("on", "daily 17:30", "XSHG")
    assert job["command"] == "quotemill run tdx"
    assert job["next_start"] == "2026-11-23T09:30:00Z"  # Monday, 17:30 in Shanghai
    assert document["installed"] == []
    assert "every 30m in session" in document["rules"]
    assert open_console().json(SCHEDULES)["jobs"] == []


def test_a_rule_is_written_into_the_settings_of_the_home(
    open_console: Open, tmp_path: Path
) -> None:
    caller = open_console(SERVICE)
    for when in ("off", "every 15m in session", "daily 18:05"):
        answer = put(caller, job="tdx_daily", when=when)
        assert answer.status_code == 200, answer.text
        assert find(answer.json())["when"] == when
    stored = tomllib.loads((tmp_path / "home" / "quotemill.toml").read_text())
    assert stored == {"schedule": {"tdx_daily": {"when": "daily 18:05"}}}
    assert find(put(caller, job="tdx_daily", when=None).json())["when"] == "daily 17:30"


def test_the_page_lists_how_often_a_self_test_starts(open_console: Open) -> None:
    caller = open_console(SERVICE)
    for rule in FREQUENCIES:
        assert (
            find(put(caller, job="tdx_selftest", when=rule).json(), "tdx_selftest")["when"] == rule
        )
    put(caller, job="tdx_selftest", when="every 30m")
    page = caller.get("/schedules").text
    assert '<option value="every 30m" selected>every 30 min' in page
    [form] = [form for form in page.split("<form")[1:] if "data-fills" in form]  # with the rule
    assert form.partition("</form>")[0].count("<button>Save</button>") == 1
    assert page.count('value="tdx_selftest"') == page.count('value="tdx_daily"')  # one save each


WRONG_CHANGES: list[tuple[dict[str, Any], int]] = [
    ({"job": "tdx_daily", "when": "whenever"}, 409),
    ({"job": "tdx_daily", "when": "every 7m in session"}, 409),
    ({"job": "tdx_selftest", "when": "every 7m"}, 409),
    ({"job": "tdx_calendar", "when": "every 5m in session"}, 409),  # it has no calendar
    ({"job": "tdx_daily", "when": "'; drop table ops.schedules; --"}, 409),
    ({"job": "tdx_daily", "when": "daily 18:00\n[schedule.x]"}, 422),
    ({"job": "nothing", "when": "off"}, 422),
    ({"job": "../x", "when": "off"}, 422),
    ({"job": "tdx_daily"}, 422),
    ({"job": "tdx_daily", "enabled": None}, 422),
    ({"job": "tdx_daily", "enabled": "maybe"}, 422),
    ({"job": "tdx_daily", "when": "off", "command": "run"}, 422),
    ({"job": "tdx_daily", "when": "x" * 300}, 422),
    ({"job": "tdx_daily", "enabled": False}, 409),  # before the first load
]


def test_a_wrong_change_of_a_job_is_refused(open_console: Open, tmp_path: Path) -> None:
    caller = open_console(SERVICE, limits=NO_LIMIT)
    for body, status in WRONG_CHANGES:
        answer = put(caller, **body)
        assert answer.status_code == status, (body, answer.text)
        assert not (tmp_path / "home" / "quotemill.toml").exists(), body
        assert not (tmp_path / "home" / "pg").exists(), body


def test_a_rule_of_the_project_is_not_overruled(open_console: Open, tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text('[schedule.tdx_daily]\nwhen = "daily 09:00"\n')
    caller = open_console(SERVICE)
    job = find(caller.json(SCHEDULES))
    assert (job["when"], job["overruled_by"]) == ("daily 09:00", str(tmp_path / "quotemill.toml"))
    assert put(caller, job="tdx_daily", when="off").status_code == 409


def test_a_job_is_turned_off_and_on_for_all_machines(open_console: Open, prepared_dsn: str) -> None:
    caller = open_console(SERVICE | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    answer = put(caller, job="tdx_daily", enabled=False)
    assert find(answer.json())["state"] == "disabled", answer.text
    assert find(answer.json())["next_start"] is None
    with psycopg.connect(prepared_dsn) as conn:
        [(is_on,)] = conn.execute("select is_enabled from ops.schedules where name = 'tdx_daily'")
    assert is_on is False
    answer = put(caller, job="tdx_daily", enabled=True)
    assert find(answer.json())["state"] == "on"
    assert "quotemill schedule install" in answer.json()["notes"][0]


def test_a_run_now_is_the_command_as_a_process(open_console: Open) -> None:
    started = []

    def spawn(words: Any, environ: Any, folder: Path, files: Any) -> int:
        started.append(list(words))
        return 1

    caller = open_console(SERVICE, spawn=spawn)
    answer = caller.call(f"{SCHEDULES}/tdx_calendar/run")
    assert (answer.status_code, answer.json()["command"]) == (
        202,
        "quotemill schedule run tdx_calendar --now",
    )
    assert started == [["quotemill", "schedule", "run", "tdx_calendar", "--now"]]
    for name in ("nothing", "--help", "..%2fx", "tdx_daily;id"):
        assert caller.call(f"{SCHEDULES}/{name}/run").status_code in (404, 422)
    assert len(started) == 1


def test_installed_lines_that_are_stale_say_so(open_console: Open, tmp_path: Path) -> None:
    caller = open_console(SERVICE)
    here = place.find(caller.console.settings(), tmp_path)
    (tmp_path / "crontab").write_text(f"5 4 * * * mine\n{cron.block(here)}")
    unit = write.systemd_unit(here, tmp_path / "units")

    def installed() -> Any:
        return {row["kind"]: row for row in caller.json(SCHEDULES)["installed"]}

    assert {kind: row["is_current"] for kind, row in installed().items()} == {
        "systemd": True,
        "cron": True,
    }
    put(caller, job="tdx_daily", when="daily 19:00")
    assert installed()["systemd"]["is_current"] is True  # it reads the settings itself
    unit.with_name("quotemill-tdx_daily.timer").write_text(unit.read_text())
    assert installed()["systemd"] == {
        "kind": "systemd",
        "is_current": False,
        "command": "quotemill schedule install --systemd",
    }
    assert installed()["cron"]["is_current"] is True  # its line only checks each minute
    (tmp_path / "crontab").write_text(cron.block(here).replace("schedule run", "schedule run "))
    assert "cron" not in installed()  # no line of ours any more
    changed = cron.block(here).replace("/bin/quotemill", "/gone/quotemill")
    (tmp_path / "crontab").write_text(changed)
    assert installed()["cron"]["is_current"] is False


def test_self_tests_are_jobs_of_the_same_schedule(open_console: Open) -> None:
    caller = open_console(SERVICE)
    path = "/api/testing/schedule"
    assert [job["job"] for job in caller.json(path)["jobs"]] == ["tdx_selftest"]
    changed = put(caller, path, job="tdx_selftest", when="daily 08:00").json()
    assert [job["when"] for job in changed["jobs"]] == ["daily 08:00"]
    assert find(caller.json(SCHEDULES), "tdx_selftest")["when"] == "daily 08:00"
    assert put(caller, path, job="tdx_daily", when="off").status_code == 422
