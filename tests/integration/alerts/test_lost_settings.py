"""Settings that cannot be read or were lost are reported all the same."""

import json
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.settings import Settings, load_settings
from orchestration import nightly
from orchestration.alerts import check as alerts
from orchestration.alerts.book import on_this_host
from orchestration.schedule.settings import JobSettings
from quotemill.errors import SettingsError, UpstreamError
from tests.bench import warehouse_url
from tests.e2e.commands import Place
from tests.integration.alerts.conftest import NOW, TOKEN, Hook, environment


def test_a_scheduler_that_cannot_start_is_reported_once(hook: Hook, tmp_path: Path) -> None:
    variables = {
        "QUOTEMILL_WAREHOUSE_URL": f"postgresql://u@127.0.0.1:9/d?host={tmp_path}",
        "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
    }
    place = Place(tmp_path, tmp_path / "home", variables)
    for _ in range(2):
        assert place.inside("quotemill", "schedule", "run").returncode == 4
        assert hook.titles == ["error: warehouse"]
    assert place.inside("quotemill", "schedule", "run", "--now").returncode == 2


def test_unreadable_settings_are_sent_once_to_the_environments_channels(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    home, folder = tmp_path / "own", tmp_path / "work"
    folder.mkdir()
    file = folder / "quotemill.toml"
    url = warehouse_url(settings)
    good = f'warehouse_url = "{url}"\n[ib]\nhost = "127.0.0.1"\n[alerts]\ndisk_percent = 100\n'
    place = Place(folder, home, {"QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/{TOKEN}"})
    for name, broken in (
        ("quotemill.toml", good + "[tdx\n"),
        ("quotemill.toml", good + 'tabel = "x"\n'),
        (".env", "QUOTEMILL_TDX__TIMEOUT=\xff\n"),
    ):
        file.write_text(good)
        folder.joinpath(name).write_text(broken, "latin-1")
        for command in ("schedule run", "run", "schedule run"):
            assert place.inside("quotemill", *command.split()).returncode == 3
        assert hook.titles == ["error: settings_file"]
    assert "quotemill.toml is not valid TOML" in hook.received[0]["message"]
    folder.joinpath(".env").unlink()
    assert place.inside("quotemill", "alerts", "check").returncode == 0
    assert hook.titles == ["error: settings_file", "resolved: settings_file"]


def test_an_emptied_settings_file_is_sent_to_the_environments_channels(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    url = warehouse_url(settings)
    variables = {
        "QUOTEMILL_ALERTS__DISK_PERCENT": "100",
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
    }
    place = Place(folder, tmp_path / "own", variables)
    folder.joinpath("quotemill.toml").write_text("")  # as a full disk leaves it: no source
    for _ in range(2):
        assert place.inside("quotemill", "run").returncode == 3
        assert hook.titles == ["error: settings"]
    assert " source " in hook.received[0]["message"]
    warehouse = {"QUOTEMILL_WAREHOUSE_URL": url}
    assert place.inside("quotemill", "schedule", "run", **warehouse).returncode == 3
    assert hook.titles == ["error: settings", "error: schedule"]


def test_unreadable_settings_without_a_channel_create_no_home(hook: Hook, tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text("[tdx\n")
    variables = {"QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/", "QUOTEMILL_TDX__TIMEOUTT": "3"}
    place = Place(tmp_path, tmp_path / "home", variables)
    assert place.inside("quotemill", "schedule", "run").returncode == 3
    assert hook.titles == ["error: settings_file"]
    no_channel = Place(tmp_path, tmp_path / "elsewhere", {})
    assert no_channel.inside("quotemill", "schedule", "run").returncode == 3
    assert not (tmp_path / "elsewhere").exists()


def test_settings_that_start_no_job_are_reported(settings: Settings, hook: Hook) -> None:
    nightly.notify_cannot_start(settings, SettingsError("no such rule"), "schedule")
    assert hook.titles == ["error: schedule"]
    nightly.notify_after_job(settings)  # a job has run
    assert hook.titles == ["error: schedule", "resolved: schedule"]


def test_an_unreadable_job_is_reported_beside_the_others(settings: Settings, hook: Hook) -> None:
    own = JobSettings(command="status", when="daily 12:00")
    broken = {"late": own, "mine": own.model_copy(update={"when": "noon"})}
    with psycopg.connect(warehouse_url(settings)) as conn:
        conn.execute(
            "insert into ops.schedules (name, next_run_at) values ('late', %s)",
            (NOW - timedelta(hours=2),),
        )
    wrong = settings.model_copy(update={"schedule": broken})
    assert set(alerts.check_and_notify(wrong, {}, now=NOW).open) == {
        "missed:late",
        on_this_host("schedule:mine"),
    }
    assert "when 'noon' " in " ".join(message["message"] for message in hook.received)
    right = settings.model_copy(update={"schedule": {"late": own}})
    assert alerts.check_and_notify(right, {}, now=NOW).open == ("missed:late",)


def test_an_unreadable_job_does_not_stop_the_others(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    folder.joinpath("quotemill.toml").write_text(
        '[schedule.mine]\nwhen = "noon"\ncommand = "status"\n'
        '[schedule.hello]\nwhen = "daily 12:00"\ncommand = "status"\n'
    )
    place = Place(folder, settings.home, environment(settings, hook))
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # the check of alerts goes by the clock
    done = place.inside("quotemill", "schedule", "run", "--as-of", f"{tomorrow:%Y-%m-%d}T12:00Z")
    assert done.returncode == 3
    assert re.search("hello: .* 0$", done.stderr, re.MULTILINE)
    assert hook.titles == ["error: schedule:mine"]
    listed = place.inside("quotemill", "schedule", "list", "--json")
    assert listed.returncode == 3
    states = {row["job"]: row["state"] for row in json.loads(listed.stdout)}
    assert states == {"hello": "on", "mine": "wrong"}
    assert "wrong" in place.inside("quotemill", "schedule", "list").stdout


def test_lost_settings_of_a_source_are_reported_where_its_jobs_ran(settings: Settings) -> None:
    ran = NOW - timedelta(days=1)
    rows = [
        ("tdx_daily", "tdx", True, ran, socket.gethostname()),
        ("tq_daily", "tq", False, ran, socket.gethostname()),
        ("ib_close", "ib", True, ran, "elsewhere"),
    ]
    with psycopg.connect(warehouse_url(settings)) as conn:
        for name, source, is_enabled, at, host in rows:
            conn.execute(
                "insert into ops.schedules (name, source, is_enabled) values (%s, %s, %s)",
                (name, source, is_enabled),
            )
            conn.execute(
                "insert into ops.runs (run_id, schedule, command, host, pid, started_at, "
                "finished_at, exit_code) values (%s, %s, 'run', %s, 1, %s, %s, 0)",
                (name, name, host, at, at),
            )
    assert alerts.check_and_notify(settings, {}, now=NOW).open == (on_this_host("settings:tdx"),)
    again = load_settings({"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}).tdx
    assert (
        alerts.check_and_notify(settings.model_copy(update={"tdx": again}), {}, now=NOW).open == ()
    )


def test_a_server_uses_the_channels_of_the_current_settings(
    settings: Settings, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = warehouse_url(settings)
    own = '[schedule.hello]\nwhen = "off"\ncommand = "status"\n[alerts]\ndisk_percent = 100\n'
    file = tmp_path / "quotemill.toml"
    file.write_text(own)

    class Looks:
        def __init__(self, *given: Any) -> None:
            self.runner, self.jobs, self.tell = given

        def serve(self) -> None:
            self.jobs()
            file.write_text(own + f'urls = ["json://{hook.url}/"]\n')
            self.jobs()
            self.tell(UpstreamError("nobody answers"))
            self.runner.after(self.jobs()["hello"])

    monkeypatch.setattr("orchestration.schedule.serve.Server", Looks)
    place = Place(tmp_path, settings.home, {"QUOTEMILL_WAREHOUSE_URL": url})
    done = place.inside("quotemill", "schedule", "serve")
    assert done.returncode == 0, done.stderr
    assert hook.titles == ["error: schedule", "resolved: schedule"]
