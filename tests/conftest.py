"""What every test may ask for: real data, a server of its own, an empty database, a market."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from loaders.cli import shell
from tests.homes import new_home

ROOT = Path(__file__).parent.parent


def require(name: str, present: bool, reason: str) -> None:
    """Skip with a reason what the machine cannot serve; QUOTEMILL_REQUIRE turns the skip into a failure."""
    if present:
        return
    if name in os.environ.get("QUOTEMILL_REQUIRE", "").split(","):
        pytest.fail(f"QUOTEMILL_REQUIRE names {name}, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _settings_come_from_tests_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the machine, and no profile written into the checkout; for the fixtures of a
    module or session too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if (
                name.startswith(("QUOTEMILL_", "TDX_", "DB_", "DBT_", "PG"))
                and name != "QUOTEMILL_REQUIRE"
            ):
                patch.delenv(name)
        patch.setenv("DBT_PROFILES_DIR", str(tmp_path_factory.mktemp("dbt_profiles")))
        yield


@pytest.fixture(autouse=True)
def _own_profile_and_silent_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shell.route_logs(lambda text: None)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "dbt_profiles"))


@pytest.fixture(scope="session")
def real_tdx_data() -> Path:
    """Real bars, actions and expected adjusted prices; see the README in the folder."""
    folder = ROOT.parent / "shared" / "data" / "tdx"
    require("shared", folder.is_dir(), f"real market data are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """An embedded server for the session: superuser, Unix socket; it need not survive a power cut."""
    from loaders.warehouse import embedded

    with new_home() as home:
        url = embedded.ensure_running(home).url
        with psycopg.connect(url, autocommit=True) as conn:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                conn.execute(f"alter system set {setting} = off".encode())
            conn.execute("select pg_reload_conf()")
        yield url


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Callable[..., str]:
    """Make an empty database and return its URL; one of the same name gives way."""

    def make(name: str | None = None) -> str:
        name = name or f"t_{secrets.token_hex(4)}"
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)".encode())
            conn.execute(f"create database {name}".encode())
        params: dict[str, Any] = conninfo_to_dict(server_url)
        host = params["host"].replace("/", "%2F")
        return f"postgresql://{params['user']}@/{name}?host={host}&port={params.get('port', 5432)}"

    return make  # the server's folder goes as a whole


@pytest.fixture
def warehouse_dsn(new_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_database()
