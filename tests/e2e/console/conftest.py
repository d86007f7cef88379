"""Consoles as a user starts them."""

import importlib.util
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import require
from tests.e2e.commands import BIN, Place


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
