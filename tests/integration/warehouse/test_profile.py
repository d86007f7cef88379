"""profiles.yml for plain dbt: content, mode, when it is written, and what dbt reads in it."""

import re
import stat
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from loaders.warehouse import profiles
from loaders.warehouse.profiles import write_profile
from quotemill.errors import SettingsError
from quotemill.warehouse.dbt_project import Project
from quotemill.warehouse.postgres import Warehouse
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def no_profiles_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    monkeypatch.setattr(profiles, "THREADS", 3)


def _warehouse(url: str) -> Warehouse:
    return Warehouse(url, "test", False, "market", None, "label", Path("/nonexistent"))


def _output(path: Path) -> dict[str, Any]:
    profile = yaml.safe_load(path.read_text())["quotemill"]
    assert profile["target"] == "warehouse"
    output: dict[str, Any] = profile["outputs"]["warehouse"]
    return output


def test_plain_dbt_says_before_a_load_that_nothing_is_loaded() -> None:
    before = _output(ROOT / "dbt_project" / "profiles.before_load.yml")
    names = ("host", "port", "user", "password", "dbname", "sslmode")
    with pytest.raises(psycopg2.OperationalError) as refused:  # as dbt connects
        psycopg2.connect(**{name: before.get(name) for name in names})
    [line] = str(refused.value).splitlines()
    assert re.search("make demo .*quotemill run", line)


def test_the_embedded_server_is_named_by_its_socket_folder(
    running_warehouse: Warehouse, tmp_path: Path
) -> None:
    path = write_profile(running_warehouse, tmp_path)
    assert path == tmp_path / "profiles.yml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    output = _output(path)
    assert output["host"] == running_warehouse.params()["host"]
    assert (output["type"], output["schema"], output["threads"]) == ("postgres", "market", 3)
    assert list(tmp_path.iterdir()) == [path]


def test_dbt_reads_the_values_that_libpq_gets(tmp_path: Path, foreign_server: Any) -> None:
    from dbt.config.renderer import ProfileRenderer

    for secret in (foreign_server.writer_password, "12345", "true", "{% x %}", "{# #}", "null"):
        warehouse = foreign_server_warehouse(foreign_server, secret)
        output = ProfileRenderer({}).render_data(_output(write_profile(warehouse, tmp_path)))
        assert output["password"] == secret
        assert output["port"] == foreign_server.port


def foreign_server_warehouse(foreign_server: Any, secret: str) -> Warehouse:
    return _warehouse(foreign_server.url("postgres", secret, "postgres"))


def test_encryption_settings_of_the_url_are_passed_on(tmp_path: Path) -> None:
    url = "postgresql://u:p@db.example:6543/d?sslmode=verify-full&sslrootcert=/ca.pem"
    output = _output(write_profile(_warehouse(url), tmp_path))
    assert (output["sslmode"], output["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert (output["host"], output["port"]) == ("db.example", 6543)


def test_an_unchanged_profile_is_not_written_again(tmp_path: Path) -> None:
    warehouse = _warehouse("postgresql://u:p@h/d")
    path = write_profile(warehouse, tmp_path)
    inode = path.stat().st_ino
    assert write_profile(warehouse, tmp_path).stat().st_ino == inode
    path.chmod(0o644)
    assert stat.S_IMODE(write_profile(warehouse, tmp_path).stat().st_mode) == 0o600
    changed = write_profile(_warehouse("postgresql://u:other@h/d"), tmp_path)
    assert _output(changed)["password"] == "other"


def test_plain_dbts_profile_is_in_the_project_or_where_dbt_profiles_dir_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "checkout")
    assert project.profiles(tmp_path / "home") == tmp_path / "checkout" / "dbt_project"
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "profiles"))
    assert project.profiles(tmp_path / "home") == tmp_path / "profiles"


def test_a_profile_of_the_user_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "profiles.yml").write_text("mine: {}\n")
    with pytest.raises(SettingsError, match="not changed"):
        write_profile(_warehouse("postgresql://u:p@h/d"), tmp_path)
    assert (tmp_path / "profiles.yml").read_text() == "mine: {}\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "profiles.yml"]
