"""Alerts reach a channel over HTTP, once, without their address ever being seen."""

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from loaders import runlog
from loaders.engine.load import LoadResult
from loaders.engine.metrics import Metric
from loaders.errors import SettingsError, UpstreamError
from loaders.schedule_settings import JobSettings
from loaders.settings import Settings, load_settings
from loaders.tdx.schemas import TABLES
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import Warehouse
from orchestration import alerts, doctor, night, pipeline, runs
from orchestration.alerts import book, causes, channels, file_book
from orchestration.findings import Judgement
from orchestration.pipeline import RunResult
from tests.e2e.commands import Place
from tests.planted import SECRETS
from tests.small_disk import file_system, fill
from tests.unit.test_place_checks import Usage

TOKEN = SECRETS[0]  # in the address of the channel
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


@dataclass
class Hook:
    """A webhook on this machine: what it was sent, and the status that it answers."""

    url: str = ""
    status: int = 200
    heard: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        return [message["title"].partition(", ")[2] for message in self.heard]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.paths.append(self.path)
            if made.status == 200:
                made.heard.append(json.loads(body))
            self.send_response(made.status)
            self.end_headers()

        def do_GET(self) -> None:
            made.paths.append(self.path)
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(filled_database: Callable[..., str], hook: Hook, tmp_path: Path) -> Iterator[Settings]:
    """A warehouse without a row, and a channel; the disk is never too full."""

    def fill(url: str) -> None:
        prepare(Warehouse(url, "test", False, "market", None, "w", tmp_path), TABLES)

    made = settings_of(filled_database("prepared", fill), hook, tmp_path)
    runlog.start(tmp_path / "logs", runlog.secrets_of(made))
    yield made
    runlog.stop()


def settings_of(url: str, hook: Hook, home: Path) -> Settings:
    environ = {"QUOTEMILL_WAREHOUSE_URL": url, "QUOTEMILL_HOME": str(home)}
    told = {
        "urls": [f"json://user:{TOKEN}@{hook.url}/{TOKEN}"],
        "ping_url": f"http://{hook.url}/ping/{TOKEN}",
        "disk_percent": 100,
    }
    return load_settings(environ, cwd=home, alerts=told)


def load(code: int, error: str | None = None) -> RunResult:
    status = "failed" if code else "succeeded"
    return RunResult((LoadResult(1, "tdx", status, code, (), (), error, "start it", 0.1),), code)


def look(settings: Settings, result: RunResult) -> alerts.Looked:
    return alerts.look(settings, causes.of_run(result, settings), now=NOW)


def doctors(settings: Settings) -> tuple[str, str]:
    """What the doctor says of alerts."""
    [check] = [check for check in doctor.examine(settings) if check.name == "alerts"]
    return check.status, check.seen


def lines(home: Path) -> str:
    return "".join(path.read_text() for path in (home / "logs").iterdir())


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


def test_jobs_that_were_killed_or_failed_are_told_by_the_next_look(
    settings: Settings, hook: Hook
) -> None:
    with runs.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
        run.end(1, "no room")
    with runs.recorded(settings, "run tdx", run_id="b", schedule="tdx_daily") as run:
        names = ("exit_code", "untold_messages")  # its own look has told it
        run.measure([Metric("alerts", "", name, 0) for name in names])
        run.end(4, "nobody answers")
    with runs.recorded(settings, "run tq", run_id="d", schedule="tq_daily") as run:
        run.end(6)  # its deadline came before its look
    with runs.recorded(settings, "run ib", run_id="c", schedule="ib_daily") as run:
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
        with runs.recorded(settings, command, run_id=f"later {name}", schedule=name) as run:
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
    archive = pipeline.Stage("archive", 75, 0.1, "failed", "another one archives")
    for told in (0, 1):
        assert look(settings, RunResult((), 75, stages=(archive,))).told == told
    assert hook.titles == ["warning: lock:tdx", "warning: lock:archive"]


def test_the_dead_mans_switch_is_asked_for_only_where_all_was_told(
    settings: Settings, hook: Hook
) -> None:
    def alerted(code: int) -> None:
        result = load(code, "nobody answers" if code else None)
        assert night._alerted(settings, result, "r").exit_code == 0

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
    stage = night._alerted(settings, load(0), "r")
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
    assert place.inside("quotemill", "alerts", "list").stdout == "no alert is open\n"

    with runs.recorded(settings, "backup", run_id="a", schedule="weekly_backup") as run:
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


def test_a_scheduler_that_cannot_begin_tells_so_once(hook: Hook, tmp_path: Path) -> None:
    told = {
        "QUOTEMILL_WAREHOUSE_URL": f"postgresql://u@127.0.0.1:9/d?host={tmp_path}",
        "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
    }
    place = Place(tmp_path, tmp_path / "home", told)
    for _ in range(2):
        assert place.inside("quotemill", "schedule", "run").returncode == 4
        assert hook.titles == ["error: warehouse"]
    assert place.inside("quotemill", "schedule", "run", "--now").returncode == 2


def test_settings_that_cannot_be_read_are_told_to_the_last_channels_once(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    home, folder = tmp_path / "own", tmp_path / "work"
    folder.mkdir()
    file = folder / "quotemill.toml"
    url = settings.warehouse_url.get_secret_value()
    good = f'warehouse_url = "{url}"\n[ib]\nhost = "127.0.0.1"\n'
    good += f'[alerts]\nurls = ["json://{hook.url}/{TOKEN}"]\ndisk_percent = 100\n'
    place = Place(folder, home, {})
    file.write_text(good)
    assert place.inside("quotemill", "alerts", "look").returncode == 0
    assert (home / "channels.json").stat().st_mode & 0o777 == 0o600
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
    assert "quotemill.toml is not valid TOML" in hook.heard[0]["message"]
    folder.joinpath(".env").unlink()
    assert place.inside("quotemill", "alerts", "look").returncode == 0
    assert hook.titles == ["error: settings_file", "over: settings_file"]
    file.write_text(good.replace(f'"json://{hook.url}/{TOKEN}"', ""))
    assert place.inside("quotemill", "alerts", "look").returncode == 0
    assert not (home / "channels.json").exists()


def test_a_settings_file_that_was_emptied_is_told_to_the_last_channels(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    folder = tmp_path / "work"
    folder.mkdir()
    file = folder / "quotemill.toml"
    url = settings.warehouse_url.get_secret_value()
    place = Place(folder, tmp_path / "own", {"QUOTEMILL_ALERTS__DISK_PERCENT": "100"})
    file.write_text(
        f'warehouse_url = "{url}"\n[ib]\nhost = "127.0.0.1"\n[alerts]\nurls = ["json://{hook.url}/"]\n'
    )
    assert place.inside("quotemill", "alerts", "look").returncode == 0
    file.write_text("")  # as a full disk leaves it: no error, and no source
    assert place.inside("quotemill", "alerts", "look").returncode == 0
    for _ in range(2):
        assert place.inside("quotemill", "run").returncode == 3
        assert hook.titles == ["error: settings"]
    assert "no source is configured" in hook.heard[0]["message"]
    elsewhere = {"QUOTEMILL_WAREHOUSE_URL": url}
    assert place.inside("quotemill", "schedule", "run", **elsewhere).returncode == 3
    assert hook.titles == ["error: settings", "error: schedule"]


def test_a_file_that_was_emptied_beside_a_source_of_the_environment_takes_no_channel_away(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    folder = tmp_path / "work"
    folder.mkdir()
    file, channels_kept = folder / "quotemill.toml", tmp_path / "own" / "channels.json"
    url = settings.warehouse_url.get_secret_value()
    variables = {"QUOTEMILL_ALERTS__DISK_PERCENT": "100", "QUOTEMILL_WAREHOUSE_URL": url}
    place = Place(folder, tmp_path / "own", variables)
    folder.joinpath(".env").write_text("QUOTEMILL_IB__HOST=127.0.0.1\n")
    named = f'[alerts]\nurls = ["json://{hook.url}/"]\n'

    def look(text: str | None) -> list[str]:
        hook.heard.clear()
        file.unlink() if text is None else file.write_text(text)
        assert place.inside("quotemill", "alerts", "look").returncode == 0
        return hook.titles

    assert look(named) == []
    assert look("") == ["error: settings_file"]
    assert "quotemill.toml is gone or empty" in hook.heard[0]["message"]
    assert look("# nothing") == []
    assert look(named) == ["over: settings_file"]
    assert look(None) == ["error: settings_file"]
    assert look(named) == ["over: settings_file"]
    assert look("log_days = 20\n") == []  # the channel was taken away
    assert not channels_kept.exists()
    assert (
        place.inside(
            "quotemill", "alerts", "look", QUOTEMILL_ALERTS__URLS=f"json://{hook.url}/"
        ).returncode
        == 0
    )
    assert channels_kept.exists()
    assert look("") == []  # that of a variable went with it
    assert not channels_kept.exists()


def test_settings_that_cannot_be_read_are_told_to_the_channels_of_the_environment(
    hook: Hook, tmp_path: Path
) -> None:
    (tmp_path / "quotemill.toml").write_text("[tdx\n")
    told = {"QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/", "QUOTEMILL_TDX__TIMEOUTT": "3"}
    place = Place(tmp_path, tmp_path / "home", told)
    assert place.inside("quotemill", "schedule", "run").returncode == 3
    assert hook.titles == ["error: settings_file"]
    nobody = Place(tmp_path, tmp_path / "elsewhere", {})
    assert nobody.inside("quotemill", "schedule", "run").returncode == 3
    assert not (tmp_path / "elsewhere").exists()


def test_settings_by_which_no_job_can_be_started_are_told(settings: Settings, hook: Hook) -> None:
    night.cannot_begin(settings, SettingsError("no such rule"), "schedule")
    assert hook.titles == ["error: schedule"]
    night.look_after(settings)  # a job has run
    assert hook.titles == ["error: schedule", "over: schedule"]


def test_a_job_that_cannot_be_read_is_told_beside_the_others(
    settings: Settings, hook: Hook
) -> None:
    assert settings.warehouse_url is not None
    own = JobSettings(command="status", when="daily 12:00")
    broken = {"late": own, "mine": own.model_copy(update={"when": "noon"})}
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.execute(
            "insert into ops.schedules (name, next_run_at) values ('late', %s)",
            (NOW - timedelta(hours=2),),
        )
    wrong = settings.model_copy(update={"schedule": broken})
    assert set(alerts.look(wrong, {}, now=NOW).open) == {"missed:late", "schedule:mine"}
    assert "when 'noon' is none of" in " ".join(message["message"] for message in hook.heard)
    right = settings.model_copy(update={"schedule": {"late": own}})
    assert alerts.look(right, {}, now=NOW).open == ("missed:late",)


def test_a_job_that_cannot_be_read_keeps_no_other_from_being_started(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    told = {
        "QUOTEMILL_WAREHOUSE_URL": settings.warehouse_url.get_secret_value(),
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
        "QUOTEMILL_ALERTS__DISK_PERCENT": "100",
    }
    folder = tmp_path / "work"
    folder.mkdir()
    folder.joinpath("quotemill.toml").write_text(
        '[schedule.mine]\nwhen = "noon"\ncommand = "status"\n'
        '[schedule.hello]\nwhen = "daily 12:00"\ncommand = "status"\n'
    )
    place = Place(folder, settings.home, told)
    done = place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T12:00Z")
    assert done.returncode == 3
    assert "hello: ended with 0" in done.stderr
    assert hook.titles == ["error: schedule:mine"]
    listed = place.inside("quotemill", "schedule", "list", "--json")
    assert listed.returncode == 3
    states = {row["job"]: row["state"] for row in json.loads(listed.stdout)}
    assert states == {"hello": "on", "mine": "wrong"}
    assert "wrong" in place.inside("quotemill", "schedule", "list").stdout


def test_a_source_whose_settings_are_gone_is_told_where_its_jobs_ran(settings: Settings) -> None:
    assert settings.warehouse_url is not None
    ran = NOW - timedelta(days=1)
    rows = [
        ("tdx_daily", "tdx", True, ran, socket.gethostname()),
        ("tq_daily", "tq", False, ran, socket.gethostname()),
        ("ib_close", "ib", True, ran, "elsewhere"),
    ]
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.cursor().executemany(
            "insert into ops.schedules (name, source, is_enabled, last_run_at, last_host) "
            "values (%s, %s, %s, %s, %s)",
            rows,
        )
    assert alerts.look(settings, {}, now=NOW).open == ("settings:tdx",)
    again = load_settings({"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}).tdx
    assert alerts.look(settings.model_copy(update={"tdx": again}), {}, now=NOW).open == ()


def test_a_schedule_without_a_job_is_an_error_that_is_told(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    told = {
        "QUOTEMILL_WAREHOUSE_URL": settings.warehouse_url.get_secret_value(),
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
        "QUOTEMILL_ALERTS__DISK_PERCENT": "100",
    }
    done = Place(tmp_path, settings.home, told).inside("quotemill", "schedule", "run")
    assert done.returncode == 3
    assert "no source is configured" in done.stderr
    assert hook.titles == ["error: schedule"]


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
        with runs.recorded(settings, "build", run_id=run_id, schedule="ib_rollup") as run:
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
        with runs.recorded(settings, "run tdx", run_id=run_id, schedule="tdx_daily") as run:
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
    runlog.stop()  # of a process of its own
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
        variables = runs.environment(run_id, "ib_logscan")
        with runs.recorded(settings, "logscan ib", run_id=run_id, schedule="ib_logscan") as run:
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


def test_a_server_tells_those_whom_the_settings_name_by_now(
    settings: Settings, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.warehouse_url is not None
    url = settings.warehouse_url.get_secret_value()
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
    assert hook.titles == ["error: schedule", "over: schedule"]


def test_a_schedule_that_the_warehouse_lets_write_nothing_is_told_once(
    settings: Settings, hook: Hook, tmp_path: Path
) -> None:
    assert settings.warehouse_url is not None
    url = settings.warehouse_url.get_secret_value()
    told = {
        "QUOTEMILL_WAREHOUSE_URL": url,
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
        "QUOTEMILL_ALERTS__DISK_PERCENT": "100",
        "QUOTEMILL_SCHEDULE__HELLO__WHEN": "daily 12:00",
        "QUOTEMILL_SCHEDULE__HELLO__COMMAND": "status",
    }
    place = Place(tmp_path, settings.home, told)
    with psycopg.connect(url, autocommit=True) as conn:
        database = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("alter database {} set default_transaction_read_only = on").format(database)
        )
    for _ in range(2):
        done = place.inside("quotemill", "schedule", "run", "--as-of", "2026-11-21T12:00Z")
        assert done.returncode == 1
        assert hook.titles == ["error: warehouse"]


def test_a_run_of_a_clock_that_was_far_ahead_hides_no_later_failure(settings: Settings) -> None:
    assert settings.warehouse_url is not None
    with runs.recorded(settings, "backup", run_id="ahead", schedule="backup") as run:
        run.end(0)
    with psycopg.connect(settings.warehouse_url.get_secret_value()) as conn:
        conn.execute("update ops.runs set started_at = started_at + interval '1 year'")
    with runs.recorded(settings, "backup", run_id="now", schedule="backup") as run:
        run.end(1, "no room")
    assert alerts.look(settings, {}).open == ("job:backup",)


def test_a_job_that_has_not_run_for_long_is_no_cause_any_more(settings: Settings) -> None:
    with runs.recorded(settings, "backup", run_id="a", schedule="backup") as run:
        run.end(1, "no room")
    now = datetime.now(UTC)
    assert alerts.look(settings, {}, now=now).open == ("job:backup",)
    assert alerts.look(settings, {}, now=now + causes.REMEMBERED).open == ()
