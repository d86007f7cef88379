"""The settings files of a home: below all other places, written by the console and --set."""

import errno
import os
import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest

from loaders.files import whole_file
from loaders.settings import load as load_module
from loaders.settings import load_settings, read_environment_settings
from loaders.settings.listing import has_login, is_secret, list_settings, mask
from loaders.settings.load import read_layers
from loaders.settings.saving import change_dotenv, change_toml, find_overruling, save_settings
from quotemill.errors import SettingsError, UsageError
from tests.e2e.commands import Place


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "cwd").mkdir()
    return tmp_path / "home"


def load(home: Path, **variables: str):  # type: ignore[no-untyped-def]
    return load_settings({"QUOTEMILL_HOME": str(home)} | variables, home.parent / "cwd")


def save(home: Path, **values: object) -> None:
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    save_settings(dotted, {"QUOTEMILL_HOME": str(home)}, home.parent / "cwd")


def test_they_count_in_every_folder_below_all_other_places(home: Path) -> None:
    (home / "quotemill.toml").write_text('log_days = 1\n[tdx]\nclient = "files"\nretries = 1\n')
    (home / ".env").write_text("QUOTEMILL_LOG_MEGABYTES=11\nQUOTEMILL_TDX__RETRIES=2\n")
    settings = load(home)
    assert (settings.log_days, settings.log_megabytes, settings.tdx.retries) == (1, 11, 2)
    assert settings.tdx.client == home / "files"
    assert settings.origin("log_days") == str(home / "quotemill.toml")
    assert settings.origin("tdx.retries") == f"{home / '.env'} QUOTEMILL_TDX__RETRIES"

    project = home.parent / "cwd"
    (project / "quotemill.toml").write_text("log_days = 3\n[tdx]\nretries = 3\n")
    assert (load(home).log_days, load(home).tdx.retries) == (3, 3)
    assert load(home).log_megabytes == 11
    assert load(home, QUOTEMILL_LOG_DAYS="4").log_days == 4


def test_a_home_that_holds_the_project_s_files_reads_them_once(home: Path) -> None:
    (home / "quotemill.toml").write_text(f'home = "{home}"\nlog_days = 3\n')
    inside = load_settings({}, home)
    assert (inside.home, inside.log_days) == (home, 3)
    assert load(home).log_days == 3  # the same in another folder
    (home / "quotemill.toml").write_text('home = "/elsewhere"\nlog_days = 3\n')
    with pytest.raises(SettingsError, match=r"quotemill\.toml .*home$"):
        load(home)


def test_channels_of_the_home_are_known_when_settings_are_wrong(home: Path) -> None:
    (home / ".env").write_text("QUOTEMILL_ALERTS__URLS=json://somewhere/x\n")
    environ = {"QUOTEMILL_HOME": str(home), "QUOTEMILL_LOG_DAYS": "many"}
    known = read_environment_settings(("home", "alerts.urls"), environ, home.parent / "cwd")
    assert [url.get_secret_value() for url in known.alerts.urls] == ["json://somewhere/x"]


def test_a_home_that_names_another_is_the_home_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "find_home", lambda _: home)  # as by default
    (home / ".env").write_text("QUOTEMILL_HOME=/elsewhere\nQUOTEMILL_LOG_DAYS=3\n")
    known = read_environment_settings(("home", "log_days"), {}, home.parent / "cwd")
    assert (known.home == Path("/elsewhere"), known.log_days) == (False, 3)


def test_a_file_that_others_can_write_is_refused(home: Path) -> None:
    (home / "quotemill.toml").write_text("log_days = 3\n")
    (home / "quotemill.toml").chmod(0o666)
    with pytest.raises(SettingsError, match=re.escape(str(home / "quotemill.toml"))):
        load(home)


def test_saved_settings_count_and_secrets_are_apart(home: Path) -> None:
    save(
        home,
        log_days=7,
        tdx__base_url="http://tdx:8080",
        tdx__indices=["sh000001"],
        tq__password='it\'s \\ "q" #$x',
        tq__start="2025-01-02",
        warehouse_url="postgresql://me:pw@db.lan/market",
        ib__rate_limits__snapshot__per_minute=12.5,
        schedule__tdx_daily__when="daily 18:00",
    )
    settings = load(home)
    assert settings.tq.password.get_secret_value() == 'it\'s \\ "q" #$x'
    assert settings.warehouse_url.get_secret_value() == "postgresql://me:pw@db.lan/market"
    assert settings.ib.rate_limits.snapshot.per_minute == 12.5
    assert settings.schedule["tdx_daily"].when == "daily 18:00"
    assert str(settings.tq.start) == "2025-01-02"
    plain = (home / "quotemill.toml").read_text()
    assert "pw" not in plain
    assert "it's" not in plain
    assert set(tomllib.loads(plain)) == {"log_days", "tdx", "tq", "ib", "schedule"}
    for name in ("quotemill.toml", ".env"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert sorted(p.name for p in home.iterdir()) == [".env", ".settings.lock", "quotemill.toml"]

    save(home, log_days=None, tq__password=None, schedule__tdx_daily__when=None)
    again = load(home)
    assert (again.log_days, again.tq.password) == (30, None)
    assert again.schedule.get("tdx_daily") is None
    assert again.tdx == settings.tdx


def test_a_password_in_an_address_goes_to_the_file_of_secrets(home: Path) -> None:
    save(home, tdx__base_url="http://tdx:8080")
    save(home, tdx__base_url="http://me:secret@tdx:8080")
    assert "secret" not in (home / "quotemill.toml").read_text()
    assert load(home).tdx.base_url == "http://me:secret@tdx:8080"
    save(home, tdx__base_url="http://other:8080")
    assert "secret" not in (home / ".env").read_text()
    assert load(home).tdx.base_url == "http://other:8080"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("log_days", 0, "log_days: must be a whole number of days, at least 1"),
        ("log_days", "many", "whole number of days"),
        ("tdx.base_url", "tdx:8080", "http://"),
        ("tdx.concurrency", 60, "must be a whole number, between 1 and 6"),
        ("market_schema", "x; drop schema market", "a name of lower-case letters"),
        ("tdx.indices", ["sh000001", "../x"], "a list, each a code such as sh000001"),
        ("tq.password", "${HOME}", "cannot hold"),
    ],
)
def test_a_value_that_is_not_valid_writes_nothing(
    home: Path, name: str, value: object, error: str
) -> None:
    with pytest.raises(SettingsError, match=error):
        save_settings({"log_megabytes": 9, name: value}, {"QUOTEMILL_HOME": str(home)}, home.parent)
    assert [path.name for path in home.iterdir()] == [".settings.lock"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nothing", 1),
        ("tdx.nothing", 1),
        ("tdx", {"base_url": "http://x"}),
        ("tdx", "x"),
        ("schedule", "x"),
        ("schedule.x", "x"),
        ("origins", "x"),
        ("origins.x", "x"),
        ("home", "/elsewhere"),
        ("../x", 1),
        ("log_days]\n[x", 1),
        ("tq.password", "a\nQUOTEMILL_HOME=/x"),
        ("tq.password", "a\0b"),
        ("log_days", {"a": 1}),
        ("tdx.indices", [None]),
        ("log_days", 2**63),
        ("alerts.repeat_after", float("nan")),
    ],
)
def test_a_name_or_value_that_no_file_can_hold_is_refused(
    home: Path, name: str, value: object
) -> None:
    with pytest.raises(UsageError):
        save_settings({name: value}, {"QUOTEMILL_HOME": str(home)}, home.parent)
    assert list(home.iterdir()) == []


def test_what_a_variable_or_the_project_sets_is_not_written(home: Path) -> None:
    project = home.parent / "cwd"
    (project / "quotemill.toml").write_text("log_days = 3\n")
    (project / ".env").write_text("QUOTEMILL_LOG_MEGABYTES=7\n")
    environ = {"QUOTEMILL_HOME": str(home), "DB_HOST": "db.lan"}
    for name, place in (
        ("log_days", "quotemill.toml"),
        ("log_megabytes", ".env QUOTEMILL_LOG_MEGABYTES"),
        ("warehouse_url", "environment DB_HOST"),
    ):
        with pytest.raises(SettingsError, match=f"{re.escape(place)}, "):
            save_settings({name: 8}, environ, project)
    assert list(home.iterdir()) == []


def test_the_nearest_place_that_sets_a_setting_or_a_part_of_it_is_named(home: Path) -> None:
    (home.parent / "cwd" / "quotemill.toml").write_text("[tdx]\nretries = 3\n")
    variable = "QUOTEMILL_TDX__RETRIES"
    environ = {"QUOTEMILL_HOME": str(home), variable: "4", "QUOTEMILL_TQ": "x"}
    layers = read_layers(environ, home.parent / "cwd")
    for name in ("tdx.retries", "tdx"):
        assert find_overruling(layers, name) == f"environment {variable}"
    assert find_overruling(layers, "tq.start") == "environment QUOTEMILL_TQ"
    assert find_overruling(layers, "tdx.ret") is None


def test_the_files_of_a_home_do_not_overrule_themselves(home: Path) -> None:
    (home / "quotemill.toml").write_text(f'home = "{home}"\nlog_days = 3\n')
    (home / ".env").write_text("QUOTEMILL_LOG_MEGABYTES=7\n")
    save_settings({"log_days": 4, "log_megabytes": None}, {}, home)
    settings = load_settings({}, home)
    assert (settings.log_days, settings.log_megabytes) == (4, 500)


def test_a_login_in_a_list_is_seen_and_masked() -> None:
    for logins in (["json://u:hunter2@h"], ("json://u:hunter2@h",)):
        assert has_login(logins)
        assert isinstance(masked := mask(logins), list)
        assert "hunter2" not in masked[0]
    assert not has_login(["json://h"])


def test_comments_and_other_lines_stay(home: Path) -> None:
    text = '# mine\nlog_days = 3 # days\n\n[tdx] # service\nretries = 1\n[tq]\nroute = "history"\n'
    changed = change_toml(text, {"log_days": 4, "tdx.timeout": 5.0, "tq.route": None})
    assert "# mine\nlog_days = 4 # days\n" in changed
    assert tomllib.loads(changed) == {
        "log_days": 4,
        "tdx": {"retries": 1, "timeout": 5.0},
        "tq": {},
    }
    inline = change_toml(
        "tdx = { retries = 1 }\nib.port = 4001\n", {"tdx.timeout": 5, "ib.port": 1}
    )
    assert tomllib.loads(inline) == {"tdx": {"retries": 1, "timeout": 5}, "ib": {"port": 1}}
    dotenv = "# mine\nOTHER=1\nexport QUOTEMILL_LOG_DAYS=3\nQUOTEMILL_TQ__ACCOUNT=me"
    changed = change_dotenv(dotenv, {"log_days": None, "tq.password": "p"})
    assert changed == "# mine\nOTHER=1\nQUOTEMILL_TQ__ACCOUNT=me\nQUOTEMILL_TQ__PASSWORD='p'\n"


def test_a_link_is_not_replaced(home: Path) -> None:
    other = home.parent / "theirs.toml"
    other.write_text("log_days = 3\n")
    (home / "quotemill.toml").symlink_to(other)
    with pytest.raises(SettingsError, match="is a link"):
        save(home, log_days=4)
    assert other.read_text() == "log_days = 3\n"


def test_a_read_only_file_is_not_replaced(home: Path) -> None:
    path = home / "quotemill.toml"
    path.write_text("log_days = 3\n")
    path.chmod(0o444)
    with pytest.raises(SettingsError, match="is read-only"):
        save(home, log_days=4)
    assert path.read_text() == "log_days = 3\n"
    path.chmod(0o644)
    save(home, log_days=4)
    assert path.read_text() == "log_days = 4\n"


def test_a_file_keeps_its_mode_group_and_owner(home: Path) -> None:
    path = home / "quotemill.toml"
    path.write_text("log_days = 3\n")
    path.chmod(0o640)
    own = (os.geteuid(), 1235 if os.geteuid() == 0 else os.getegid())
    os.chown(path, *own)
    save(home, log_days=4, tq__password="x")
    now = path.stat()
    assert (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) == (0o640, *own)
    assert stat.S_IMODE((home / ".env").stat().st_mode) == 0o600  # a new one
    assert path.read_text() == "log_days = 4\n"
    if os.geteuid() == 0:
        os.chown(path, 1234, 1235)  # no settings, but a file of another user all the same
        whole_file.write(path, "", mode=None)
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_a_file_whose_owner_cannot_be_kept_stays_as_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "quotemill.toml"
    path.write_text("log_days = 3\n")
    chown = os.chown
    if os.geteuid() == 0:
        chown(path, -1, 1235)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)  # as of another user than root
    if os.geteuid() == 0:
        with pytest.raises(SettingsError, match=re.escape(str(path))) as refused:
            save(home, log_days=4)
        assert path.read_text() == "log_days = 3\n"
        assert [file.name for file in home.iterdir() if file.name.endswith(".new")] == []
        command = refused.value.hint.partition("`sudo ")[2].partition("`")[0].split()
        monkeypatch.undo()
        subprocess.run(command, check=True)
    save(home, log_days=4)
    assert path.read_text() == "log_days = 4\n"


def test_every_setting_is_found_by_its_name(home: Path) -> None:
    rows = list_settings(load(home))
    assert all(row.allowed or row.meaning for row in rows)
    secret = {row.name for row in rows if row.is_secret}
    assert secret == {
        "warehouse_url",
        "questdb_url",
        "tq.account",
        "tq.password",
        "alerts.urls",
        "alerts.ping_url",
    }
    assert is_secret("schedule.x.when") is False
    choices = {row.name: row.choices for row in rows}
    assert choices["ib.allow_fallback_to_delayed"] == (True, False)
    assert choices["ib.clock"] == ("machine", "gateway")


def test_the_command_writes_and_takes_out(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path / "home")
    done = place.inside(
        "quotemill", "settings", "--set", "log_days=7", "--set", "tdx.base_url=http://tdx:8080"
    )
    assert done.returncode == 0, done.stderr
    assert f"log_days = 7\n    {place.home / 'quotemill.toml'}" in done.stdout
    assert tomllib.loads((place.home / "quotemill.toml").read_text())["log_days"] == 7
    done = place.inside("quotemill", "settings", "--unset", "log_days")
    assert "log_days = 30\n    default" in done.stdout
    refused = place.inside("quotemill", "settings", "--set", "log_days=0")
    assert refused.returncode == 3
    taken = place.inside("quotemill", "settings", "--set", "market_schema=pg_catalog")
    assert taken.returncode == 3
    assert "pg_catalog is taken by PostgreSQL" in taken.stderr
    assert "market_schema" not in (place.home / "quotemill.toml").read_text()
