"""The blocks of README's first way and of the tutorial, run in order as they are written.

Differences: the environment is this one, the port a free one, and markets and days are fewer.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.commands import BIN, ROOT, copy_project
from tests.homes import clean_environ, new_home

SMALL = {"QUOTEMILL_TDX__MINUTE_DAYS": "3", "QUOTEMILL_TDX__TICK_DAYS": "2"}
MAKE = "make() { quotemill demo --codes 12 --days 60; }\n"
SANDBOX = "loaders sandbox tdx --port 8080"


def blocks(page: Path, start: str, end: str) -> list[str]:
    """The blocks for a shell between two headings; those of SQL follow as input of psql."""
    text = page.read_text("utf-8").partition(start)[2].partition(end)[0]
    result: list[str] = []
    for language, body in re.findall(r"^```(sh|sql)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        if language == "sh":
            result.append(body)
        else:
            result[-1] = f"{result[-1].strip()} <<'SQL'\n{body}SQL\n"
    return result


@contextmanager
def checkout() -> Iterator[Path]:
    """A folder as a clone with an environment that is set up."""
    with new_home() as folder:
        copy_project(folder)
        activate = folder / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.touch()
        yield folder


def environment() -> dict[str, str]:
    # make calls what is in .venv before anybody activates it
    environ = clean_environ()
    return environ | {"PATH": f"{BIN}:{environ['PATH']}"}


def run(folder: Path, script: str) -> str:
    """Run a script that ends at its first failure; return what it printed."""
    done = subprocess.run(
        ["bash", "-exc", script],
        cwd=folder,
        env=environment() | SMALL,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6_000:]
    return done.stdout


@contextmanager
def first_terminal(folder: Path, script: str) -> Iterator[None]:
    """A terminal in which a sandbox runs meanwhile, until Ctrl-C."""
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("TDX sandbox on http://127.0.0.1:")
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.long
def test_the_first_way_of_the_readme_runs_as_it_is_written() -> None:
    with checkout() as folder:
        printed = run(folder, MAKE + "".join(blocks(ROOT / "README.md", "## Three", "**The TDX")))
        assert "check by hand:" in printed
        assert "(5 rows)" in printed


@pytest.mark.long
def test_the_tutorial_runs_as_it_is_written() -> None:
    tutorial = ROOT / "docs" / "tutorial.md"
    port = str(free_port())
    service, *steps = (block.replace("8080", port) for block in blocks(tutorial, "## 2.", "## 6."))
    assert SANDBOX.replace("8080", port) in service
    with checkout() as folder, first_terminal(folder, service):
        again = "loaders run tdx\n"  # as its text says
        printed = run(folder, "".join([steps[0], again, *steps[1:]]))
        assert "nothing new: no row was written" in printed
        assert printed.count("(10 rows)") == 1
        run(folder, blocks(tutorial, "## 7.", "Next:")[0].replace("rm -r", "rm -rf"))
