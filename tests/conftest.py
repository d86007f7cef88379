"""What every test may ask for: real data, a server of its own, an empty database, a market."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from loaders.cli import shell

ROOT = Path(__file__).parent.parent


def require(name: str, present: bool, reason: str) -> None:
    """Skip with a reason what the machine cannot serve; QUOTEMILL_REQUIRE turns the skip into a failure."""
    if present:
        return
    if name in os.environ.get("QUOTEMILL_REQUIRE", "").split(","):
        pytest.fail(f"QUOTEMILL_REQUIRE names {name}, but {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _settings_come_from_tests_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine, no .env of the checkout, and no profile written into it."""
    for name in list(os.environ):
        if (
            name.startswith(("QUOTEMILL_", "TDX_", "DB_", "DBT_", "PG"))
            and name != "QUOTEMILL_REQUIRE"
        ):
            monkeypatch.delenv(name)
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
    """An embedded server for the session: superuser, Unix socket."""
    from loaders.warehouse import embedded

    # not in pytest's own folder: root's is closed to the system user that the server then runs as
    home = Path(tempfile.mkdtemp(prefix="qm-"))
    home.chmod(0o755)
    yield embedded.ensure_running(home).url
    embedded.stop(home)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Callable[[], str]:
    """Make an empty database and return its URL."""

    def make() -> str:
        name = f"t_{secrets.token_hex(4)}"
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(f"create database {name}".encode())
        params: dict[str, Any] = conninfo_to_dict(server_url)
        host = params["host"].replace("/", "%2F")
        return f"postgresql://{params['user']}@/{name}?host={host}&port={params.get('port', 5432)}"

    return make  # the server's folder goes as a whole


@pytest.fixture
def warehouse_dsn(new_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_database()
