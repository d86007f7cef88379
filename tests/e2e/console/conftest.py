"""Consoles as a user starts them."""

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests import browser
from tests.browser import Browser
from tests.conftest import DBT_DATABASE
from tests.e2e.commands import BIN, Place, sandbox
from tests.requirements import require

AS_OF = "2025-06-30T18:00"
MARKET = ("--codes", "8", "--days", "40")  # of the sandbox


@pytest.fixture(autouse=True)
def _needs_the_extra() -> None:
    present = importlib.util.find_spec("fastapi") is not None
    require("console", present, "fastapi is not installed")


class Server:
    """A running console: its process, its address, and a client that used its link."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "the console has ended"
            text += line
        printed = json.loads(text)
        self.url = printed["url"].rstrip("/")
        self.client = sign_in(self.url, printed["link"])


def sign_in(url: str, link: str) -> httpx.Client:
    """A client whose cookies are those of a browser that opened a link."""
    client = httpx.Client(base_url=url, timeout=60)
    body = {"token": link.partition("#")[2]}
    client.post("/api/session", json=body).raise_for_status()
    return client


@contextmanager
def console(place: Place, *options: str) -> Iterator[Server]:
    """A console, which ends with the block; what it started goes on."""
    process = subprocess.Popen(
        [str(BIN / "quotemill"), "console", "--json", *options],
        cwd=place.folder,
        env=place.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        server = Server(process)
        with closing(server.client):
            yield server
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def failed_place(tmp_path: Path, built_dsn: str) -> Place:
    """A built warehouse whose last load and self-test failed; its service is gone."""
    with sandbox(*MARKET, "--fault", "missing-field:kline-all") as service:
        settings = {
            "QUOTEMILL_TDX__BASE_URL": service,
            "QUOTEMILL_WAREHOUSE_URL": built_dsn,
            "DBT_PROFILES_DIR": str(tmp_path),
        }
        place = Place(tmp_path, tmp_path / "home", settings)
        days = ("--dataset", "kline_daily", "--mode", "init", "--as-of", AS_OF)
        assert place.forked("loaders", "run", "tdx", *days).returncode
        assert place.forked("loaders", "selftest", "tdx", "--as-of", AS_OF).returncode
    return place


@pytest.fixture
def start_console(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Start a console, and sign in the browser of a test that has one."""
    with ExitStack() as stack:

        def start(place: Place, *options: str) -> Server:
            server = stack.enter_context(console(place, *options))
            if "chromium" in request.fixturenames:
                opened = request.getfixturevalue("chromium")
                opened.set_cookies(server.url, dict(server.client.cookies))
            return server

        yield start


@pytest.fixture
def built_dsn(quick_builds: None, filled_database: Callable[..., str], tmp_path: Path) -> str:
    """The URL of a warehouse after a load of the sandbox and a build of all tables."""

    def fill(dsn: str) -> None:
        home, actions = tmp_path / "first", tmp_path / "actions.csv"
        with sandbox(*MARKET, "--write-actions", str(actions)) as url:
            settings = {
                "QUOTEMILL_TDX__BASE_URL": url,
                "QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions),
                "QUOTEMILL_WAREHOUSE_URL": dsn,
                "DBT_PROFILES_DIR": str(tmp_path),
            }
            place = Place(tmp_path, home, settings)
            done = place.inside("quotemill", "load", "tdx", "--as-of", AS_OF)
        assert done.returncode == 0, done.stderr

    return filled_database("console", fill, DBT_DATABASE)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running
