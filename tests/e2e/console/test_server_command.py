"""`quotemill console` as a process: its address, its token, its end."""

import re
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.browser import Browser
from tests.e2e.commands import Place
from tests.e2e.console.conftest import Server
from tests.faults.scene import wait_until

Start = Callable[..., Server]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "home")


def test_it_listens_on_loopback_until_ctrl_c(place: Place, start_console: Start) -> None:
    server = start_console(place, "--port", "0")
    assert server.url.startswith("http://127.0.0.1:")
    health = server.client.get("/api/health").json()
    assert (health["status"], health["home"]) == ("no warehouse", str(place.home))
    page = server.client.get("/")
    assert page.status_code == 200
    assert "server" not in page.headers
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert not (place.home / "pg").exists()  # reading makes no warehouse


def test_another_console_takes_the_next_port_but_not_one_that_is_named(
    place: Place, start_console: Start
) -> None:
    first = start_console(place)
    second = start_console(place)
    assert first.url != second.url
    port = second.url.rpartition(":")[2]
    refused = place("quotemill", "console", "--port", port)
    assert refused.returncode == 2
    assert "cannot be bound" in refused.stderr
    assert place("quotemill", "console", "--host", "no.such.host.invalid").returncode == 2


def test_a_caller_from_another_machine_needs_the_token_and_a_known_name(
    place: Place, start_console: Start
) -> None:
    server = start_console(place, "--host", "0.0.0.0", "--port", "0")
    port = server.url.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}/api/health"
    assert httpx.get(url).status_code == 401
    made = place("quotemill", "console", "--token")
    bearer = {"authorization": f"Bearer {made.stdout.strip()}"}
    assert httpx.get(url, headers=bearer).status_code == 200
    by_name = bearer | {"host": f"{socket.gethostname()}:{port}"}
    assert httpx.get(url, headers=by_name).status_code == 200
    assert httpx.get(url, headers=bearer | {"host": f"evil.example:{port}"}).status_code == 421


def test_a_link_opens_one_browser_and_another_is_printed(
    place: Place, start_console: Start, chromium: Browser
) -> None:
    none = place("quotemill", "console", "--link")
    assert (none.returncode, "no console is running" in none.stderr) == (2, True)
    server = start_console(place, "--port", "0")
    chromium.clear_cookies()
    page = chromium.open(f"{server.url}/settings")
    assert page.texts("h1") == ["Sign in"]
    assert page.texts("main code") == ["quotemill console --link"]
    link = place("quotemill", "console", "--link").stdout.strip()
    page = chromium.open(link)
    page.wait_for("location.pathname === '/' && document.readyState === 'complete'")
    assert page.texts("h1") == ["Overview"]
    assert page.ask("document.cookie") == ""
    assert page.console == []
    key = link.partition("#")[2]
    assert all(key not in asked for asked in page.requests)
    chromium.clear_cookies()
    page = chromium.open(link)
    page.wait_for("document.querySelector('[data-answer]').textContent.includes('already used')")
    assert page.ask("location.href") == f"{server.url}/sign-in"
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert place("quotemill", "console", "--link").returncode == 2


def test_the_browser_is_opened_by_a_file_that_its_user_alone_reads(
    place: Place, tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    """The words of a command, such as those that start a browser, are seen by every user."""
    opener, words = tmp_path / "opener", tmp_path / "words"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {words}.new && mv {words}.new {words}\n')
    opener.chmod(0o700)
    settings = {**place.settings, "BROWSER": f"{opener} %s"}
    server = start_console(replace(place, settings=settings), "--port", "0", "--open")
    wait_until("the browser is started", words.exists)
    page = Path(words.read_text().removeprefix("file://"))
    assert page.stat().st_mode & 0o077 == 0
    link = server.url + "/sign-in#"
    assert link in page.read_text()
    # that of the page was used: another one leads from a file into the console too
    newer = place("quotemill", "console", "--link").stdout.strip()
    file = tmp_path / "page.html"
    file.write_text(re.sub(f"{link}[\\w-]+", newer, page.read_text()))
    chromium.clear_cookies()
    opened = chromium.open(file.as_uri())
    opened.wait_for("document.querySelector('h1')?.textContent === 'Overview'")


def test_without_the_extra_it_says_what_installs_it(place: Place, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "uvicorn.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')\n"
    )
    refused = place("quotemill", "console", "--json", PYTHONPATH=str(hidden))
    assert refused.returncode == 3
    assert "uvicorn" in refused.stderr
    assert "install" in refused.stderr
