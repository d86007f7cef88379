"""Consoles as a user starts them."""

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import browser
from tests.browser import Browser
from tests.conftest import require
from tests.e2e.commands import BIN, Place, sandbox

AS_OF = "2025-06-30T18:00"
MARKET = ("--codes", "8", "--days", "40")  # of the sandbox


@pytest.fixture(autouse=True)
def _needs_the_extra() -> None:
    present = importlib.util.find_spec("fastapi") is not None
    require("console", present, "fastapi is not installed")


class Server:
    """A running console: its process, its address, its token if it was printed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "the console has ended"
            text += line
        printed = json.loads(text)
        self.url, self.token = printed["url"].rstrip("/"), printed["token"]


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
        yield Server(process)
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def start_console() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda place, *options: stack.enter_context(console(place, *options))


@pytest.fixture
def built_dsn(filled_database: Callable[..., str], tmp_path: Path) -> str:
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
            done = place.forked("quotemill", "load", "tdx", "--as-of", AS_OF)
        assert done.returncode == 0, done.stderr

    return filled_database("console", fill)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running
