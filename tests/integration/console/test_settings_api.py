"""Settings by the console: shown with their origins, written into the home alone."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest

from loaders.settings import Settings
from loaders.settings.listing import is_open, names_path
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.settings import TdxSettings
from orchestration.checks.settings import check_new_settings
from orchestration.console.api.connection import LOGINS
from quotemill.errors import SettingsError
from tests.integration.console.conftest import NO_LIMIT, Caller, Open

SETTINGS = "/api/settings"


def put(caller: Caller, **values: Any) -> Any:
    return caller.call(SETTINGS, {"values": values}, method="PUT")


def by_name(document: Any) -> dict[str, Any]:
    return {row["name"]: row for row in document["settings"]}


def test_each_setting_is_shown_with_its_origin_and_no_secret(
    open_console: Open, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("QUOTEMILL_TQ__PASSWORD=very-secret\n")
    caller = open_console(
        {
            "QUOTEMILL_WAREHOUSE_URL": "postgresql://me:very-secret@db.lan:5433/market",
            "QUOTEMILL_TDX__BASE_URL": "http://me:very-secret@tdx:8080",
        }
    )
    document = caller.json(SETTINGS)
    rows = by_name(document)
    assert "very-secret" not in str(document)
    assert (rows["tq.password"]["value"], rows["tq.password"]["is_set"]) == (None, True)
    assert rows["tq.password"]["overruled_by"] == f"{tmp_path / '.env'} QUOTEMILL_TQ__PASSWORD"
    assert rows["tdx.base_url"]["overruled_by"] == "environment QUOTEMILL_TDX__BASE_URL"
    assert rows["log_days"] == {
        "name": "log_days",
        "value": 30,
        "origin": "default",
        "variable": "QUOTEMILL_LOG_DAYS",
        "meaning": Settings.model_fields["log_days"].description,
        "allowed": "a whole number of days, at least 1",
        "is_secret": False,
        "is_set": False,
        "choices": [],
        "overruled_by": None,
        "is_editable": True,
    }
    assert document["database"] == {
        "host": "db.lan",
        "port": 5433,
        "name": "market",
        "user": "me",
        "schema": "market",
        "sslmode": None,
        "has_password": True,
    }
    home = tmp_path / "home"
    assert document["files"] == [str(home / "quotemill.toml"), str(home / ".env")]
    assert not (home / "quotemill.toml").exists()


def test_what_is_written_counts_at_once_and_can_be_taken_back(
    open_console: Open, tmp_path: Path
) -> None:
    caller = open_console()
    answer = put(caller, **{"tdx.base_url": "http://tdx:8080", "tq.password": "very-secret"})
    assert answer.status_code == 200, answer.text
    assert "very-secret" not in answer.text
    rows = by_name(answer.json())
    home = tmp_path / "home"
    assert rows["tdx.base_url"]["origin"] == str(home / "quotemill.toml")
    assert rows["tq.password"]["origin"] == f"{home / '.env'} QUOTEMILL_TQ__PASSWORD"
    assert rows["tq.password"]["is_editable"] is True
    assert caller.console.settings().tdx.base_url == "http://tdx:8080"
    assert {stat.S_IMODE((home / n).stat().st_mode) for n in (".env", "quotemill.toml")} == {0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    again = by_name(put(caller, **{"tdx.base_url": None, "tq.password": None}).json())
    assert (again["tdx.base_url"]["origin"], again["tq.password"]["is_set"]) == ("default", False)


def test_a_value_that_is_not_valid_is_not_said_to_be_in_a_file(open_console: Open) -> None:
    answer = put(open_console(), log_days="seven")
    assert answer.status_code == 409
    assert "log_days" in answer.json()["error"]
    assert answer.json()["hint"].endswith("Nothing was written.")


def test_a_folder_of_a_client_that_is_not_there_becomes_no_source(
    open_console: Open, tmp_path: Path, client_folder: Path
) -> None:
    caller = open_console()
    answer = put(caller, **{"tdx.client": str(tmp_path / "nowhere")})
    assert (answer.status_code, answer.json()["exit_code"]) == (409, 3)
    assert re.search("nowhere .*folder", answer.json()["error"])
    assert not (tmp_path / "home" / "quotemill.toml").exists()
    assert put(caller, **{"tdx.client": str(client_folder)}).status_code == 200
    tmp_path.joinpath("home/quotemill.toml").write_text('[tdx]\nclient = "/away"\n')
    assert put(caller, log_days=9).status_code == 200  # a disk may be away for a while
    assert put(caller, **{"tdx.client": None}).status_code == 200


def test_a_page_and_commands_accept_the_same_folders(
    open_console: Open, client_folder: Path
) -> None:
    caller = open_console()
    for path in (client_folder / "vipdoc", client_folder.parent):
        answer = put(caller, **{"tdx.client": str(path)})
        settings = Settings(tdx=TdxSettings(client=path))
        with pytest.raises(SettingsError) as refused:  # as a load does
            scan_folder(settings.tdx)
        assert answer.status_code == 409
        assert answer.json()["error"] == str(refused.value)
        with pytest.raises(SettingsError, match=re.escape(str(refused.value))):
            check_new_settings(settings, {"tdx.client": path})  # as `settings --set` does
    accepted = put(caller, **{"tdx.client": str(client_folder)})
    assert accepted.status_code == 200, accepted.text
    settings = Settings(tdx=TdxSettings(client=client_folder))
    assert scan_folder(settings.tdx)
    check_new_settings(settings, {"tdx.client": client_folder})


def test_a_warehouse_by_its_parts_keeps_its_saved_password(open_console: Open) -> None:
    caller = open_console()

    def save(**parts: Any) -> Any:
        return caller.call(SETTINGS, {"database": parts}, method="PUT")

    first = save(host="db.lan", port=5433, name="market", user="me", password="s#cret:@/1")
    assert first.status_code == 200, first.text
    assert "s#cret" not in first.text
    assert first.json()["database"]["has_password"] is True
    url = caller.console.settings().warehouse_url.get_secret_value()
    assert url == "postgresql://me:s%23cret%3A%40%2F1@db.lan:5433/market"
    parts = {"host": "db.lan", "port": 5433, "name": "other", "user": "me", "schema": "quotes"}
    assert save(**parts).json()["database"]["has_password"] is True
    assert caller.console.settings().market_schema == "quotes"
    assert save(**parts | {"host": "evil.example"}).json()["database"]["has_password"] is False
    assert save(name="other").status_code == 422
    assert put(caller, warehouse_url=None).json()["database"] is None


def test_what_a_variable_sets_is_refused_by_its_name(open_console: Open, tmp_path: Path) -> None:
    caller = open_console({"DB_HOST": "db.lan", "DB_PASSWORD": "very-secret"})
    refused = caller.call(SETTINGS, {"database": {"host": "other"}}, method="PUT")
    assert refused.status_code == 409
    assert " DB_HOST, " in refused.json()["error"]
    assert "very-secret" not in refused.text
    assert not (tmp_path / "home" / ".env").exists()


WRONG_CHANGES: list[tuple[str, Any, int]] = [
    ("log_days", 0, 409),
    ("log_days", "'; drop table ops.runs; --", 409),
    ("market_schema", "x; drop schema market cascade", 409),
    ("market_schema", "pg_catalog", 409),
    ("market_schema", "raw_tdx", 409),
    ("questdb_url", "postgresql://db:very-secret@db/x", 409),
    ("history.keep", ["raw_tdx.nothing"], 409),
    ("warehouse_url", "very-secret nonsense", 409),
    ("warehouse_url", "postgresql://a:very-secret@one,two/x", 409),
    ("schedule.tdx_daily.when", "whenever", 409),
    ("schedule.mine.when", "daily 10:00", 409),
    ("nothing", 1, 422),
    ("origins.x", 1, 422),
    ("schedule.tdx_daily.command", "warehouse dump --overwrite /etc/passwd", 422),
    ("warehouse_url", "postgresql://me@db/x?sslkeylogfile=/etc/cron.d/x", 422),
    ("warehouse_url", "host=db passfile=/srv/passwords", 422),
    ("tdx", {"base_url": "http://x"}, 422),
    ("tdx.indices", [["sh000001"]], 422),
    ("log_days", 10**30, 422),
    ("tq.password", "x\nQUOTEMILL_QUESTDB__JAVA=/bin/sh", 422),
    ("tq.password", "**********", 422),
    ("x" * 5000, 1, 422),
    ("tdx.base_url", "http://" + "x" * 10_000, 422),
    ("../../etc/passwd", "x", 422),
]


def test_a_wrong_change_writes_nothing_and_shows_no_value(
    open_console: Open, tmp_path: Path
) -> None:
    caller = open_console({"QUOTEMILL_TDX__CLIENT": str(tmp_path)}, limits=NO_LIMIT)
    for name, value, status in WRONG_CHANGES:
        answer = put(caller, log_megabytes=9, **{name: value})
        assert answer.status_code == status, (name, value, answer.text)
        assert set(answer.json()) == {"error", "hint", "exit_code"}
        assert "very-secret" not in answer.text
        assert not (tmp_path / "home" / "quotemill.toml").exists(), (name, value)
        assert not (tmp_path / "home" / ".env").exists(), (name, value)


def test_only_settings_that_are_declared_open_are_changed(
    open_console: Open, tmp_path: Path
) -> None:
    """`server.programs` would run a program as the owner, `tq.sandbox` get the saved password."""
    caller = open_console(limits=NO_LIMIT)
    closed = [row["name"] for row in caller.json(SETTINGS)["settings"] if not is_open(row["name"])]
    assert {"server.programs", "tq.sandbox", "home", "request_log"} < set(closed)
    for name in closed:
        for value in (str(tmp_path), "http://evil.example", ["workflows://evil.example"], None):
            answer = put(caller, **{name: value})
            words = f"the console cannot change setting {name}"
            assert (answer.status_code, answer.json()["error"]) == (422, words)
    assert not (tmp_path / "home" / "quotemill.toml").exists()
    shown = by_name(caller.json(SETTINGS))
    assert not any(shown[name]["is_editable"] for name in closed)


SHARES = (r"\\host\share", "//host/share", r"\/host/share", r" \\?\UNC\host\x", r"\??\UNC\host\x")


def test_no_path_is_set_to_another_machine(open_console: Open, tmp_path: Path) -> None:
    """Windows sends the user's login to a server whose folder is looked at."""
    caller = open_console(limits=NO_LIMIT)
    paths = [row["name"] for row in caller.json(SETTINGS)["settings"] if names_path(row["name"])]
    assert {"tdx.client", "ib.universe", "home", "backup_folder"} < set(paths)
    for name in paths:
        for value in SHARES:
            assert put(caller, **{name: value}).status_code == 422, (name, value)
    for share in SHARES:
        host = share.replace("\\", r"\\")
        assert put(caller, warehouse_url=f"host='{host}' user=me").status_code == 422, share
    body = {"host": "//host/share", "user": "me", "name": "x"}
    assert caller.call("/api/connection/test", body).status_code == 422
    assert not (tmp_path / "home" / "quotemill.toml").exists()


@pytest.mark.parametrize("variable", LOGINS)
def test_a_login_of_the_environment_stays_with_its_server(
    open_console: Open, tmp_path: Path, variable: str
) -> None:
    caller = open_console({variable: "very-secret"})
    other = {"host": "other.example", "user": "me", "name": "x"}
    for answer in (
        put(caller, warehouse_url="postgresql://me@other.example/x"),
        put(caller, warehouse_url="host=other.example user=me"),
        caller.call(SETTINGS, {"database": other}, method="PUT"),
        caller.call("/api/connection/test", other),
    ):
        assert answer.status_code == 422
        assert variable in answer.json()["error"]
    assert not (tmp_path / "home" / ".env").exists()
    saved = tmp_path / "home" / "quotemill.toml"
    saved.parent.mkdir(exist_ok=True)
    saved.write_text('warehouse_url = "postgresql://me@db.lan/x"\n')
    own = {"host": "db.lan", "user": "me", "name": "another"}
    assert caller.call(SETTINGS, {"database": own}, method="PUT").status_code == 200
    assert put(caller, warehouse_url="postgresql://me:its-own@other.example/x").status_code == 200


def test_a_call_that_names_nothing_is_refused(open_console: Open) -> None:
    caller = open_console()
    for body in ({}, {"values": {}}, {"values": []}, {"x": 1}, [], {"values": 1}):
        assert caller.call(SETTINGS, body, method="PUT").status_code == 422, body


def test_a_wrong_file_of_the_home_can_be_repaired(open_console: Open, tmp_path: Path) -> None:
    caller = open_console()
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "quotemill.toml").write_text("log_days = 0\n")
    assert caller.get(SETTINGS).status_code == 409
    assert put(caller, log_days=8).status_code == 200
    assert by_name(caller.json(SETTINGS))["log_days"]["value"] == 8


def test_only_an_open_page_of_the_console_changes_settings(open_console: Open) -> None:
    caller = open_console()
    for headers in ({"origin": "http://evil.example"}, {"x-quotemill-page": "0" * 64}):
        answer = caller.call(SETTINGS, {"values": {"log_days": 3}}, method="PUT", **headers)
        assert answer.status_code == 403


def test_what_is_wrong_with_a_value_is_said_in_words(open_console: Open) -> None:
    caller = open_console()
    answer = put(caller, **{"tdx.concurrency": "six"})
    words = "setting tdx.concurrency: must be a whole number, between 1 and 6"
    assert (answer.status_code, answer.json()["error"]) == (409, words)
    calls = {
        "concurrency must be at least 1": {"source": "tdx", "concurrency": 0},
        "concurrency must be a whole number": {"source": "tdx", "concurrency": "six"},
        "since must be a day such as 2026-01-31": {"source": "tdx", "since": "May"},
        "source is missing; x is unknown": {"x": 1},
    }
    for said, body in calls.items():
        assert caller.call("/api/ingestion/start", body).json()["error"] == said
