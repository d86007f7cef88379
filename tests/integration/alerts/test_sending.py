"""Alerts reach a channel over HTTP, once, and never show its address."""

import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from loaders.settings import Settings
from orchestration import nightly
from orchestration.alerts import channels
from orchestration.alerts import check as alerts
from orchestration.alerts.book import on_this_host
from orchestration.run import history
from quotemill.errors import UpstreamError
from tests.bench import warehouse_url
from tests.e2e.commands import Place
from tests.integration.alerts.conftest import (
    TOKEN,
    Hook,
    check,
    doctor_check,
    load,
    log_lines,
    settings_of,
)
from tests.small_disk import file_system, fill


def test_a_channel_that_is_down_is_in_the_log_and_tried_again(
    settings: Settings, hook: Hook
) -> None:
    hook.status = 503
    assert check(settings, load(4, "nobody answers")) == alerts.CheckResult(("load:tdx",), 0, 1)
    assert re.search("channel 1 json: .* 503", log_lines(settings.home))
    status, text = doctor_check(settings)
    assert (status, "load:tdx" in text) == ("warn", True)
    hook.status = 200
    assert check(settings, load(4, "nobody answers")).sent == 1
    assert hook.titles == ["error: load:tdx"]
    assert doctor_check(settings)[0] == "ok"


def test_nothing_shows_the_address_of_a_channel(
    settings: Settings, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hook.status = 503
    check(settings, load(4, f"no token: {TOKEN}"))
    [channel] = channels.configured_channels(settings)
    for shown in (caplog.text, log_lines(settings.home), repr(channel), repr(settings)):
        assert TOKEN not in shown
    hook.status = 200
    check(settings, load(4, f"no token: {TOKEN}"))
    assert TOKEN not in json.dumps(hook.received)
    assert any(TOKEN in path for path in hook.paths)  # it was in use
    assert (
        channels.Channel("1 x", settings.alerts.urls[0].__class__("nosuch://a"))
        .send("t", "b", is_bad=True)
        .startswith("Apprise ")
    )


def test_a_warehouse_away_is_one_cause_taken_over_by_the_next_check(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert check(settings, load(4, "nobody answers")).sent == 1
    gone = settings_of(f"postgresql://u@127.0.0.1:9/d?host={tmp_path}", hook, tmp_path)
    assert check(gone, load(4, "the warehouse cannot be reached")).open == (
        on_this_host("warehouse"),
    )
    assert check(gone, load(4, "the warehouse cannot be reached")).sent == 0
    assert (tmp_path / "alerts.json").is_file()
    assert set(check(settings, load(4, "nobody answers")).open) == {"load:tdx"}
    assert not (tmp_path / "alerts.json").exists()
    assert hook.titles == ["error: load:tdx", "error: warehouse", "resolved: warehouse"]


def test_a_full_disk_is_sent_by_each_check_until_it_takes_the_book(
    hook: Hook, tmp_path: Path
) -> None:
    variables = {
        "QUOTEMILL_WAREHOUSE_URL": f"postgresql://u@127.0.0.1:9/d?host={tmp_path}",
        "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
    }
    with file_system(tmp_path / "home", "64k") as home:
        filler = fill(home)
        place = Place(tmp_path, home, variables)
        assert place.inside("quotemill", "schedule", "run").returncode == 4
        assert f" {home} is 100 % full" in hook.received[0]["message"]
        filler.unlink()
        for _ in range(2):
            assert place.inside("quotemill", "schedule", "run").returncode == 4
            assert hook.titles == ["error: warehouse"] * 2
        assert (home / "alerts.json").is_file()


def test_a_read_only_warehouse_is_sent_once(settings: Settings, hook: Hook) -> None:
    with psycopg.connect(warehouse_url(settings), autocommit=True) as conn:
        database = sql.Identifier(conn.info.dbname)
        only_reads = "alter database {} set default_transaction_read_only = {}"
        conn.execute(sql.SQL(only_reads).format(database, sql.SQL("on")))
        for _ in range(2):
            assert check(settings, load(4, "nobody answers")).open == (on_this_host("warehouse"),)
        assert hook.titles == ["error: warehouse"]
        assert "set default_transaction_read_only = off" in hook.received[0]["message"]
        conn.execute(sql.SQL(only_reads).format(database, sql.SQL("off")))
    assert check(settings, load(4, "nobody answers")).open == ("load:tdx",)
    assert sorted(hook.titles[1:]) == ["error: load:tdx", "resolved: warehouse"]


def test_the_dead_mans_switch_is_requested_only_when_all_was_sent(
    settings: Settings, hook: Hook
) -> None:
    def send_alerts(code: int) -> None:
        result = load(code, "nobody answers" if code else None)
        assert nightly._send_alerts(settings, result, "r").exit_code == 0

    hook.status = 503
    send_alerts(4)
    assert not [path for path in hook.paths if path.startswith("/ping")]
    hook.status = 200
    send_alerts(4)
    assert hook.paths[-1] == f"/ping/{TOKEN}"
    hook.paths.clear()
    settings = settings.model_copy(
        update={"alerts": settings.alerts.model_copy(update={"urls": []})}
    )
    send_alerts(4)
    assert hook.paths == []  # no channel: the silent switch reports it
    send_alerts(0)
    assert hook.paths == [f"/ping/{TOKEN}"]


def test_alerts_that_break_leave_the_run_its_exit_code(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UpstreamError("broken")

    monkeypatch.setattr(alerts, "check_and_notify", broken)
    stage = nightly._send_alerts(settings, load(0), "r")
    assert (stage.exit_code, stage.error) == (0, "broken")


def test_a_damaged_book_file_is_replaced(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text('[{"cause": "wareh')
    assert check(settings, load(0)) == alerts.CheckResult((), 0, 0)


def test_the_commands_test_list_and_check(settings: Settings, hook: Hook, tmp_path: Path) -> None:
    variables = {"QUOTEMILL_WAREHOUSE_URL": warehouse_url(settings)}
    variables["QUOTEMILL_ALERTS__URLS"] = settings.alerts.urls[0].get_secret_value()
    variables["QUOTEMILL_ALERTS__PING_URL"] = f"http://{hook.url}/ping/{TOKEN}"
    variables["QUOTEMILL_ALERTS__DISK_PERCENT"] = "100"
    place = Place(tmp_path, settings.home, variables)
    done = place.inside("quotemill", "alerts", "test")
    assert (done.returncode, done.stdout) == (0, "1 json: accepted\nping_url: accepted\n")
    assert hook.titles == ["a test"]
    hook.status = 500
    done = place.inside("quotemill", "alerts", "test", "--json")
    assert done.returncode == 4
    assert [row["error"][-4:] for row in json.loads(done.stdout)] == [" 500"] * 2
    assert TOKEN not in done.stdout + done.stderr
    assert re.search(r"alerts\.ping_url .* alerts\.urls .* quotemill\.toml", done.stderr)
    assert json.loads(place.inside("quotemill", "alerts", "list", "--json").stdout) == []

    with history.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
        run.end(1, "no room")
    done = place.inside("quotemill", "alerts", "check")
    assert re.search("^1 open, 0 .*, 1 .*\njob:weekly_backup", done.stdout, re.MULTILINE)
    hook.status = 200
    shown = json.loads(place.inside("quotemill", "alerts", "check", "--json").stdout)
    assert shown == {"open": ["job:weekly_backup"], "sent": 1, "unsent": 0}
    listed = place.inside("quotemill", "alerts", "list").stdout
    assert listed.startswith("fail  job:weekly_backup  `backup` from ")
    assert "no room" in listed
    [entry] = json.loads(place.inside("quotemill", "alerts", "list", "--all", "--json").stdout)
    assert (entry["cause"], entry["channels"]) == ("job:weekly_backup", ["1 json"])
    no_channel = Place(tmp_path, settings.home, {"QUOTEMILL_ALERTS__URLS": ""})
    assert no_channel.inside("quotemill", "alerts", "test").returncode == 3
