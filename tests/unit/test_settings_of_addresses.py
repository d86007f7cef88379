"""Addresses of the warehouse and the service, and that a password stays a secret."""

from pathlib import Path

import pytest

from loaders.settings import load_settings
from quotemill.errors import SettingsError
from tests.bench import warehouse_url

SECRET = "p@ss w/rd:1"


def test_variables_that_users_of_the_service_have_come_after_ours(tmp_path: Path) -> None:
    environ = {
        "TDX_API_BASE": "http://tdx:8080/",
        "DB_HOST": "db.example",
        "DB_PORT": "6543",
        "DB_NAME": "market data",
        "DB_USER": "writer",
        "DB_PASSWORD": SECRET,
        "DB_SCHEMA": "cn_market",
        "DB_SSLMODE": "require",
    }
    settings = load_settings(environ, cwd=tmp_path)
    assert settings.tdx.base_url == "http://tdx:8080"
    assert settings.market_schema == "cn_market"
    assert warehouse_url(settings) == (
        "postgresql://writer:p%40ss%20w%2Frd%3A1@db.example:6543/market%20data?sslmode=require"
    )
    assert settings.origin("warehouse_url") == "environment DB_HOST"
    ours = {
        "QUOTEMILL_TDX__BASE_URL": "http://ours",
        "QUOTEMILL_WAREHOUSE_URL": "postgresql://ours/d",
    }
    settings = load_settings(environ | ours, cwd=tmp_path)
    assert settings.tdx.base_url == "http://ours"
    assert warehouse_url(settings) == "postgresql://ours/d"


def test_a_socket_folder_is_a_host(tmp_path: Path) -> None:
    settings = load_settings({"DB_HOST": "/run/postgresql", "DB_USER": "me"}, cwd=tmp_path)
    assert warehouse_url(settings) == ("postgresql://me@:5432/postgres?host=%2Frun%2Fpostgresql")
    environ = {"DB_HOST": "/run/pg", "DB_USER": "me", "DB_SSLMODE": "disable"}
    assert warehouse_url(load_settings(environ, cwd=tmp_path)) == (
        "postgresql://me@:5432/postgres?sslmode=disable&host=%2Frun%2Fpg"
    )


def test_an_empty_address_in_the_settings_file_means_the_embedded_server(tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text('warehouse_url = ""\nquestdb_url = ""\n')
    settings = load_settings({}, cwd=tmp_path)
    assert (settings.warehouse_url, settings.has_own_questdb) == (None, True)


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("http://u:p%40ss@tdx:8080/x", "http://tdx:8080/x"),
        ("https://u:a@b@tdx", "https://tdx"),
        ("http://tdx:8080/a@b", "http://tdx:8080/a@b"),
    ],
)
def test_the_address_that_people_see_has_no_password(
    base_url: str, address: str, tmp_path: Path
) -> None:
    settings = load_settings({"QUOTEMILL_TDX__BASE_URL": base_url}, cwd=tmp_path)
    assert settings.tdx.address == address


def test_a_password_is_in_no_repr_and_no_error(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_WAREHOUSE_URL": "postgresql://u:hunter2@h/d"}
    settings = load_settings(environ, cwd=tmp_path)
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
    for wrong in ({"QUOTEMILL_TDX__TIMEOUT": "soon"}, {"QUOTEMILL_WAREHOUSE_URLS": "x:hunter2"}):
        with pytest.raises(SettingsError) as caught:
            load_settings(environ | wrong, cwd=tmp_path)
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"
