"""Alerts reach a channel over HTTP, once, without their address ever being seen."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loaders.errors import UpstreamError
from loaders.settings import Settings
from orchestration import alerts
from orchestration.alerts import book, channels, file_book
from orchestration.run import history, nightly
from tests.e2e.commands import Place
from tests.integration.alerts.conftest import (
    NOW,
    TOKEN,
    Hook,
    doctors,
    environment,
    lines,
    load,
    look,
    settings_of,
)
from tests.small_disk import file_system, fill


def test_a_failure_is_told_once_and_its_end_once(settings: Settings, hook: Hook) -> None:
    down = load(4, "nobody answers")
    assert look(settings, down) == alerts.Looked(("load:tdx",), 1, 0)
    [message] = hook.heard
    assert hook.titles == ["error: load:tdx"]
    assert "nobody answers (start it)" in message["message"]
    assert message["message"].endswith("More: quotemill status")
    assert look(settings, down) == alerts.Looked(("load:tdx",), 0, 0)
    assert look(settings, load(0)) == alerts.Looked((), 1, 0)
    assert look(settings, load(0)) == alerts.Looked((), 0, 0)
    assert hook.titles == ["error: load:tdx", "over: load:tdx"]


def test_a_channel_that_is_down_is_in_the_log_and_tried_again(
    settings: Settings, hook: Hook
) -> None:
    hook.status = 503
    assert look(settings, load(4, "nobody answers")) == alerts.Looked(("load:tdx",), 0, 1)
    assert "did not reach channel 1 json: it answered 503" in lines(settings.home)
    assert doctors(settings) == ("warn", "some channel has not taken load:tdx")
    hook.status = 200
    assert look(settings, load(4, "nobody answers")).told == 1
    assert hook.titles == ["error: load:tdx"]
    assert doctors(settings)[0] == "ok"


def test_nothing_shows_the_address_of_a_channel(
    settings: Settings, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hook.status = 503
    look(settings, load(4, f"no token: {TOKEN}"))
    [channel] = channels.of(settings)
    for shown in (caplog.text, lines(settings.home), repr(channel), repr(settings)):
        assert TOKEN not in shown
    hook.status = 200
    look(settings, load(4, f"no token: {TOKEN}"))
    assert TOKEN not in json.dumps(hook.heard)
    assert any(TOKEN in path for path in hook.paths)  # it was in use
    assert (
        channels.Channel("1 x", settings.alerts.urls[0].__class__("nosuch://a"))
        .send("t", "b", is_bad=True)
        .startswith("apprise knows no such")
    )


def test_a_warehouse_that_is_away_is_one_cause_which_the_next_look_takes_over(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert look(settings, load(4, "nobody answers")).told == 1
    gone = settings_of(f"postgresql://u@127.0.0.1:9/d?host={tmp_path}", hook, tmp_path)
    assert look(gone, load(4, "the warehouse cannot be reached")).open == ("warehouse",)
    assert look(gone, load(4, "the warehouse cannot be reached")).told == 0
    assert (tmp_path / "alerts.json").is_file()
    assert set(look(settings, load(4, "nobody answers")).open) == {"load:tdx"}
    assert not (tmp_path / "alerts.json").exists()
    assert hook.titles == ["error: load:tdx", "error: warehouse", "over: warehouse"]


def test_a_full_disk_rings_once_though_the_home_takes_no_book(hook: Hook, tmp_path: Path) -> None:
    told = {
        "QUOTEMILL_WAREHOUSE_URL": f"postgresql://u@127.0.0.1:9/d?host={tmp_path}",
        "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
    }
    with file_system(tmp_path / "home", "64k") as home:
        filler = fill(home)
        place = Place(tmp_path, home, told)
        try:
            for _ in range(3):
                assert place.inside("quotemill", "schedule", "run").returncode == 4
                assert hook.titles == ["error: warehouse"]
            assert f"the disk of {home} is used to 100 %" in hook.heard[0]["message"]
            assert not (home / "alerts.json").exists()
            filler.unlink()
            assert place.inside("quotemill", "schedule", "run").returncode == 4
            assert hook.titles == ["error: warehouse"]
            assert (home / "alerts.json").is_file()
        finally:
            file_book.remove(home)


def test_a_warehouse_that_takes_no_writes_rings_once(settings: Settings, hook: Hook) -> None:
    assert settings.warehouse_url is not None
    with psycopg.connect(settings.warehouse_url.get_secret_value(), autocommit=True) as conn:
        database = sql.Identifier(conn.info.dbname)
        only_reads = "alter database {} set default_transaction_read_only = {}"
        conn.execute(sql.SQL(only_reads).format(database, sql.SQL("on")))
        for _ in range(2):
            assert look(settings, load(4, "nobody answers")).open == ("warehouse",)
        assert hook.titles == ["error: warehouse"]
        conn.execute(sql.SQL(only_reads).format(database, sql.SQL("off")))
    assert look(settings, load(4, "nobody answers")).open == ("load:tdx",)
    assert sorted(hook.titles[1:]) == ["error: load:tdx", "over: warehouse"]


def test_what_was_told_and_not_kept_is_not_told_again(
    settings: Settings, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = book.write, []

    def once(conn: psycopg.Connection, entries: Any) -> None:
        calls.append(write(conn, entries))
        if len(calls) == 2:
            raise psycopg.errors.DiskFull("no room")

    monkeypatch.setattr(book, "write", once)
    assert look(settings, load(4, "nobody answers")).told == 1  # of the warehouse
    assert hook.titles == ["error: load:tdx", "error: warehouse"]
    # a file that cannot be removed tells nothing anew
    monkeypatch.setattr(file_book, "remove", lambda _: None)
    for _ in range(2):
        assert look(settings, load(4, "nobody answers")).open == ("load:tdx",)
    assert hook.titles == ["error: load:tdx", "error: warehouse", "over: warehouse"]


def test_the_dead_mans_switch_is_asked_for_only_where_all_was_told(
    settings: Settings, hook: Hook
) -> None:
    def alerted(code: int) -> None:
        result = load(code, "nobody answers" if code else None)
        assert nightly._alerted(settings, result, "r").exit_code == 0

    hook.status = 503
    alerted(4)
    assert not [path for path in hook.paths if path.startswith("/ping")]
    hook.status = 200
    alerted(4)
    assert hook.paths[-1] == f"/ping/{TOKEN}"
    hook.paths.clear()
    settings = settings.model_copy(
        update={"alerts": settings.alerts.model_copy(update={"urls": []})}
    )
    alerted(4)
    assert hook.paths == []  # nobody is told, so silence tells it
    alerted(0)
    assert hook.paths == [f"/ping/{TOKEN}"]


def test_alerts_that_break_leave_the_run_its_exit_code(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UpstreamError("broken")

    monkeypatch.setattr(alerts, "look", broken)
    stage = nightly._alerted(settings, load(0), "r")
    assert (stage.exit_code, stage.error) == (0, "broken")


def test_a_damaged_book_of_the_home_is_begun_anew(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "alerts.json").write_text('[{"cause": "wareh')
    assert look(settings, load(0)) == alerts.Looked((), 0, 0)


def test_the_book_is_what_the_table_holds(settings: Settings) -> None:
    look(settings, load(4, "nobody answers"))
    assert settings.warehouse_url is not None
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        [entry] = book.read(conn, only_open=True).values()
    assert (entry.cause, entry.state, entry.count, entry.told_at) == ("load:tdx", "4", 1, NOW)


def test_the_commands_tell_all_channels_list_and_look(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    told = {"QUOTEMILL_WAREHOUSE_URL": settings.warehouse_url.get_secret_value()}
    told["QUOTEMILL_ALERTS__URLS"] = settings.alerts.urls[0].get_secret_value()
    told["QUOTEMILL_ALERTS__PING_URL"] = f"http://{hook.url}/ping/{TOKEN}"
    told["QUOTEMILL_ALERTS__DISK_PERCENT"] = "100"
    place = Place(tmp_path, settings.home, told)
    done = place.inside("quotemill", "alerts", "test")
    assert (done.returncode, done.stdout) == (0, "1 json: taken\nping_url: taken\n")
    assert hook.titles == ["a test"]
    hook.status = 500
    done = place.inside("quotemill", "alerts", "test", "--json")
    assert done.returncode == 4
    assert [row["error"] for row in json.loads(done.stdout)] == ["it answered 500"] * 2
    assert TOKEN not in done.stdout + done.stderr
    assert "alerts.ping_url and alerts.urls in quotemill.toml" in done.stderr
    assert place.inside("quotemill", "alerts", "list").stdout == "no alert is open\n"

    with history.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
        run.end(1, "no room")
    done = place.inside("quotemill", "alerts", "look")
    assert "1 open, 0 messages told, 1 could not be told\njob:weekly_backup" in done.stdout
    hook.status = 200
    shown = json.loads(place.inside("quotemill", "alerts", "look", "--json").stdout)
    assert shown == {"open": ["job:weekly_backup"], "told": 1, "untold": 0}
    listed = place.inside("quotemill", "alerts", "list").stdout
    assert "error   job:weekly_backup since" in listed
    assert "no room" in listed
    [entry] = json.loads(place.inside("quotemill", "alerts", "list", "--all", "--json").stdout)
    assert (entry["cause"], entry["channels"]) == ("job:weekly_backup", ["1 json"])
    nobody = Place(tmp_path, settings.home, {"QUOTEMILL_ALERTS__URLS": ""})
    assert nobody.inside("quotemill", "alerts", "test").returncode == 3


def test_a_schedule_that_the_warehouse_lets_write_nothing_is_told_once(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    told = environment(settings, hook) | {
        "QUOTEMILL_SCHEDULE__HELLO__WHEN": "daily 12:00",
        "QUOTEMILL_SCHEDULE__HELLO__COMMAND": "status",
    }
    place = Place(tmp_path, settings.home, told)
    with psycopg.connect(told["QUOTEMILL_WAREHOUSE_URL"], autocommit=True) as conn:
        database = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("alter database {} set default_transaction_read_only = on").format(database)
        )
    for _ in range(2):
        done = place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T12:00Z")
        assert done.returncode == 1
        assert hook.titles == ["error: warehouse"]
