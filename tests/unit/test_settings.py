"""Where a setting comes from, and what a mistake in one says."""

import os
import re
from pathlib import Path

import pytest

from loaders.settings import Settings, load_settings, read_environment_settings
from loaders.warehouse.disks import list_disks
from loaders.warehouse.postgres import open_warehouse
from orchestration.archive.folder import archive_folder
from orchestration.backup.folder import backup_root
from quotemill.errors import SettingsError
from quotemill.settings import files
from quotemill.settings import load as reading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a settings file and a .env that both name the service."""
    (tmp_path / "quotemill.toml").write_text(
        'home = "/srv/toml"\nmarket_schema = "from_toml"\n'
        '[tdx]\nbase_url = "http://toml:1"\nconcurrency = 2\nretries = 7\n'
    )
    (tmp_path / ".env").write_text(
        "QUOTEMILL_TDX__BASE_URL=http://dotenv:2\nQUOTEMILL_TDX__CONCURRENCY=3\n"
    )
    return tmp_path


def test_a_flag_comes_before_all_else(folder: Path) -> None:
    environ = {"QUOTEMILL_TDX__BASE_URL": "http://environ:3"}
    settings = load_settings(environ, cwd=folder, tdx={"base_url": "http://flag:4"})
    assert settings.tdx.base_url == "http://flag:4"
    assert settings.origin("tdx.base_url") == "flag"


def test_the_environment_comes_before_files(folder: Path) -> None:
    settings = load_settings({"QUOTEMILL_TDX__BASE_URL": "http://environ:3"}, cwd=folder)
    assert settings.tdx.base_url == "http://environ:3"
    assert settings.origin("tdx.base_url") == "environment QUOTEMILL_TDX__BASE_URL"


def test_the_dotenv_file_comes_before_the_settings_file(folder: Path) -> None:
    settings = load_settings({}, cwd=folder)
    assert (settings.tdx.base_url, settings.tdx.concurrency) == ("http://dotenv:2", 3)
    assert settings.origin("tdx.concurrency") == f"{folder / '.env'} QUOTEMILL_TDX__CONCURRENCY"


def test_the_settings_file_comes_before_the_default(folder: Path) -> None:
    settings = load_settings({}, cwd=folder)
    assert (settings.tdx.retries, settings.market_schema) == (7, "from_toml")
    assert settings.origin("tdx.retries") == str(folder / "quotemill.toml")
    assert settings.tdx.timeout == 10.0
    assert settings.origin("tdx.timeout") == "default"


def test_a_flag_that_was_not_given_and_an_empty_variable_count_for_nothing(folder: Path) -> None:
    environ = {"QUOTEMILL_TDX__BASE_URL": "", "QUOTEMILL_HOME": ""}
    settings = load_settings(environ, cwd=folder, market_schema=None)
    assert settings.tdx.base_url == "http://dotenv:2"
    assert settings.home == Path("/srv/toml")
    assert settings.market_schema == "from_toml"


def test_another_settings_file_can_be_named(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('market_schema = "from_other"\n')
    assert load_settings({"QUOTEMILL_CONFIG": str(other)}, cwd=folder).market_schema == "from_other"
    with pytest.raises(SettingsError, match=r"QUOTEMILL_CONFIG .*absent\.toml"):
        load_settings({"QUOTEMILL_CONFIG": str(tmp_path / "absent.toml")}, cwd=folder)
    with pytest.raises(SettingsError, match=r"^QUOTEMILL_CONFIG "):
        load_settings({"QUOTEMILL_CONFIG": "x" * 5_000}, cwd=folder)  # no system has such a name


def test_settings_are_those_of_the_nearest_folder_above(folder: Path) -> None:
    inner = folder / "dbt_project" / "models"
    inner.mkdir(parents=True)
    settings = load_settings({}, cwd=inner)
    assert settings.home == Path("/srv/toml")
    assert settings.tdx.base_url == "http://dotenv:2"
    assert settings.places == [str(folder / "quotemill.toml"), str(folder / ".env")]
    (inner.parent / "quotemill.toml").write_text('home = "/srv/nearer"\n')
    assert load_settings({}, cwd=inner).home == Path("/srv/nearer")


def test_a_dotenv_file_of_another_project_above_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_HOST=other.example\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert load_settings({}, cwd=inner).warehouse_url is None
    (tmp_path / ".env").write_text("DB_HOST=db.example\nQUOTEMILL_HOME=/srv/q\n")
    settings = load_settings({}, cwd=inner)
    assert (settings.home, settings.warehouse_url is None) == (Path("/srv/q"), False)


def test_a_dotenv_file_above_a_nearer_settings_file_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QUOTEMILL_WAREHOUSE_URL=postgresql://me@production/market\n")
    inner = tmp_path / "test" / "deep"
    inner.mkdir(parents=True)
    (tmp_path / "test" / "quotemill.toml").write_text(
        'warehouse_url = "postgresql://me@testing/market"\n'
    )
    url = load_settings({}, cwd=inner).warehouse_url
    assert url is not None
    assert "testing" in url.get_secret_value()


def test_a_dotenv_file_of_another_tool_does_not_hide_the_one_above(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QUOTEMILL_HOME=/srv/q\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / ".env").write_text("FOO=1\n")
    assert load_settings({}, cwd=inner).home == Path("/srv/q")


@pytest.mark.parametrize("name", ["quotemill.toml", ".env"])
def test_a_file_above_that_others_can_write_is_refused(tmp_path: Path, name: str) -> None:
    text = {"quotemill.toml": 'home = "/srv/q"\n', ".env": "QUOTEMILL_HOME=/srv/q\n"}
    (tmp_path / name).write_text(text[name])
    (tmp_path / name).chmod(0o666)
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(SettingsError, match=re.escape(str(tmp_path / name))) as refused:
        load_settings({}, cwd=inner)
    assert f" {tmp_path}" in refused.value.hint
    assert load_settings({}, cwd=tmp_path).home == Path("/srv/q")


@pytest.mark.parametrize(("owner", "is_refused"), [(0, False), (1_000, False), (1_001, True)])
def test_a_file_above_counts_if_it_is_the_users_or_root_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, is_refused: bool
) -> None:
    (tmp_path / "quotemill.toml").write_text('home = "/srv/q"\n')
    (tmp_path / "inner").mkdir()
    stat = Path.stat

    def owned(path: Path, **options: bool) -> os.stat_result:
        state = stat(path, **options)
        return os.stat_result((*state[:4], owner, *state[5:10]))

    monkeypatch.setattr(Path, "stat", owned)
    monkeypatch.setattr(os, "getuid", lambda: 1_000)
    if is_refused:
        with pytest.raises(SettingsError, match=re.escape(f"{tmp_path}/quotemill.toml")):
            load_settings({}, cwd=tmp_path / "inner")
    else:
        assert load_settings({}, cwd=tmp_path / "inner").home == Path("/srv/q")


def test_a_file_that_looks_as_if_it_counted_is_listed(folder: Path, tmp_path: Path) -> None:
    inner, home = folder / "inner", tmp_path / "home"
    for place in (inner, home):
        place.mkdir()
        (place / "quotemill.toml").write_text("log_days = 3\n")
    assert files.list_unread({}, inner, home) == [folder / "quotemill.toml"]
    assert files.list_unread({}, folder, home) == []


def test_the_users_settings_file_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "quotemill.toml").write_text('home = "data"\n')
    here = tmp_path / "here"
    here.mkdir()
    assert load_settings({}, cwd=here).home == tmp_path / "config" / "data"
    (here / "quotemill.toml").write_text('market_schema = "m"\n')
    assert load_settings({}, cwd=here).origin("home") == "default"


def test_relative_paths_of_a_file_count_from_the_file(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "quotemill.toml").write_text(
        'home = "var"\nrequest_log = "requests.log"\n[tdx]\nclient = "../tdx"\n'
    )
    (tmp_path / ".env").write_text("QUOTEMILL_TDX__CORPORATE_ACTIONS=actions\n")
    settings = load_settings({}, cwd=inner)
    assert settings.home == tmp_path / "var"
    assert settings.request_log == tmp_path / "requests.log"
    assert settings.tdx.client == tmp_path / ".." / "tdx"
    assert settings.tdx.corporate_actions == tmp_path / "actions"
    (tmp_path / ".env").write_text("QUOTEMILL_TDX__CORPORATE_ACTIONS=xdxr\nQUOTEMILL_HOME=~/qm\n")
    settings = load_settings({}, cwd=inner)
    assert (settings.tdx.corporate_actions, settings.home) == ("xdxr", Path("~/qm").expanduser())


def test_the_small_test_of_a_gateway_has_its_home_beside_others() -> None:
    root = Path(__file__).parents[2]
    settings = load_settings({"QUOTEMILL_CONFIG": "docs/how-to/ib-smoke.toml"}, cwd=root)
    assert settings.home == root / "var" / "ib-smoke"


def test_a_list_in_a_variable_is_separated_by_commas(tmp_path: Path) -> None:
    settings = load_settings({"QUOTEMILL_TDX__INDICES": "sh000001, sz399001"}, cwd=tmp_path)
    assert settings.tdx.indices == ["sh000001", "sz399001"]


def test_a_relative_home_of_a_variable_is_refused_with_the_one_meant(tmp_path: Path) -> None:
    below = tmp_path / "dbt_project"
    below.mkdir()
    for cwd in (tmp_path, below):  # first without a home anywhere: the one in this folder
        with pytest.raises(SettingsError, match="QUOTEMILL_HOME=var/demo ") as refused:
            load_settings({"QUOTEMILL_HOME": "var/demo"}, cwd=cwd)
        assert refused.value.hint == f"Run `export QUOTEMILL_HOME={tmp_path / 'var' / 'demo'}`."
        (tmp_path / "var" / "demo").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("variable", ["QUOTEMILL_BACKUP_FOLDER", "QUOTEMILL_IB__ARCHIVE_FOLDER"])
def test_relative_folders_of_variables_are_refused_where_they_are_used(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def find_folder(settings: Settings) -> Path:
        if "BACKUP" in variable:
            return backup_root(settings)
        return archive_folder(settings, open_warehouse(settings, start=False)).root

    url = {"QUOTEMILL_WAREHOUSE_URL": "postgresql://nowhere/x"}
    settings = load_settings({**url, variable: "copies"})  # what needs no such folder goes on
    assert {disk.folder for disk in list_disks(settings)} == {str(settings.home)}
    with pytest.raises(SettingsError, match=f"{variable}=copies ") as refused:
        find_folder(settings)
    assert refused.value.hint == f"Run `export {variable}={tmp_path / 'copies'}`."
    assert find_folder(load_settings({**url, variable: "/srv/copies"})) == Path("/srv/copies")
    assert find_folder(load_settings({**url, variable: "~/x"})) == Path("~/x").expanduser()
    (tmp_path / ".env").write_text(f"{variable}=copies\n")
    assert find_folder(load_settings(url)) == tmp_path / "copies"
    # where it is read alone, what is not there is an error
    actions = {"QUOTEMILL_TDX__CORPORATE_ACTIONS": "actions.csv"}
    assert load_settings(actions).tdx.corporate_actions == Path("actions.csv")


def test_paths_of_flags_and_of_a_user_become_absolute(tmp_path: Path) -> None:
    settings = load_settings({}, cwd=tmp_path, home="x/../y", questdb={"java": "~/java", "wait": 0})
    assert settings.home == Path.cwd() / "y"
    assert settings.questdb.java == Path.home() / "java"
    with pytest.raises(SettingsError, match=r"questdb\.wait .* 0\b"):
        load_settings({}, cwd=tmp_path, questdb={"wait": -0.1})


def test_readers_read_no_section(tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text("log_days = 3\n[theirs]\nname = 1\n")
    environ = {"QUOTEMILL_TDX__RETRIES": "many"}
    assert reading.load_settings(environ, cwd=tmp_path).log_days == 3


def test_a_refused_relative_home_is_not_written_to(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_HOME": "var/demo", "QUOTEMILL_ALERTS__URLS": '["http://127.0.0.1:9"]'}
    settings = read_environment_settings(("home", "alerts.urls"), environ, tmp_path)
    assert settings.home == Settings().home
    assert settings.alerts.urls


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (
            {"QUOTEMILL_TDX__BASEURL": "http://h"},
            ("tdx.baseurl", "QUOTEMILL_TDX__BASEURL", "did you mean base_url?", "concurrency"),
        ),
        ({"QUOTEMILL_MARKT_SCHEMA": "m"}, ("markt_schema", "did you mean market_schema?")),
        ({"QUOTEMILL_TDX__CONCURRENCY": "60"}, ("tdx.concurrency", "between 1 and 6")),
        ({"QUOTEMILL_TDX__TIMEOUT": "soon"}, ("tdx.timeout", "number")),
        ({"QUOTEMILL_TDX__BASE_URL": "tdx:8080"}, ("tdx.base_url", "http://")),
        (
            {"QUOTEMILL_TDX__INDICES": "sh000001,000300"},
            ("tdx.indices", "each a code such as sh000001"),
        ),
        (
            {"QUOTEMILL_MARKET_SCHEMA": "My Schema"},
            ("market_schema", "a name of lower-case letters"),
        ),
        ({"DB_SCHEMA": "My Schema"}, ("market_schema", "DB_SCHEMA")),
    ],
)
def test_a_mistake_names_the_field_where_it_stands_and_what_is_allowed(
    environ: dict[str, str], says: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, cwd=tmp_path)
    for part in says:
        assert part in str(caught.value)
    assert "init`" in caught.value.hint


def test_a_dotenv_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file, inner = tmp_path / ".env", tmp_path / "inner"
    file.write_bytes(b"QUOTEMILL_HOME=/srv/\xff\n")
    inner.mkdir()
    assert load_settings({}, cwd=inner).origin("home") == "default"  # it is another project's
    (tmp_path / "quotemill.toml").write_text("log_days = 3\n")
    with pytest.raises(SettingsError, match=re.escape(str(file))):
        load_settings({}, cwd=inner)
    with pytest.raises(SettingsError) as refused:
        load_settings({}, cwd=tmp_path)
    assert re.search(f"{file} .* UTF-8 text: ", str(refused.value))
    memory = Path("/proc/self/mem")  # a file that even root cannot read at its beginning
    if not memory.is_file():
        pytest.skip("this system has no file that nobody can read")
    file.unlink()
    file.symlink_to(memory)
    with pytest.raises(SettingsError) as refused:
        load_settings({}, cwd=tmp_path)
    assert re.search(f"{file} .*: Input/output ", str(refused.value))


def test_a_typo_in_the_settings_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "quotemill.toml"
    path.write_text('[tdx]\nbase_urls = "http://h"\n')
    with pytest.raises(SettingsError, match=r"tdx\.base_urls .* base_url\?") as caught:
        load_settings({}, cwd=tmp_path)
    assert str(path) in str(caught.value)
    path.write_text("log_day = 3\n")
    with pytest.raises(SettingsError, match=r"log_day .* log_days\?") as caught:
        load_settings({}, cwd=tmp_path)
    assert "origins" not in str(caught.value)
    for text in ('origins = "x"\n', '[origins]\nhome = "x"\n', "removed = 1\n"):
        path.write_text(text)
        with pytest.raises(SettingsError, match=r"(origins|origins\.home|removed) .*unknown"):
            load_settings({}, cwd=tmp_path)
    path.write_text("[tdx\n")
    with pytest.raises(SettingsError, match="TOML"):
        load_settings({}, cwd=tmp_path)


@pytest.mark.parametrize("path", ["C:\\new_tdx", "C:\\tdx", "C:\\zd_tdx", "C:\\Users\\new"])
def test_a_windows_path_in_double_quotes_needs_single_ones(path: str, tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text(f'[tdx]\nclient = "{path}"\n')
    with pytest.raises(SettingsError, match=r"quotemill\.toml") as refused:
        load_settings({}, cwd=tmp_path)
    shown = r"D:\tdx" if path[3] in "zU" else path  # TOML itself refuses \z and \U
    assert f": '{shown}'" in refused.value.hint
    (tmp_path / "quotemill.toml").write_text(f"[tdx]\nclient = '{path}'\n")
    assert str(load_settings({}, cwd=tmp_path).tdx.client).endswith(path)
