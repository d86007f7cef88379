"""`quotemill console` as a process: its address, its token, its end."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.e2e.commands import Place
from tests.e2e.console.conftest import Server

Start = Callable[..., Server]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "home")


def test_it_listens_on_loopback_until_ctrl_c(place: Place, start_console: Start) -> None:
    server = start_console(place, "--port", "0")
    assert server.url.startswith("http://127.0.0.1:")
    assert server.token is None
    health = httpx.get(f"{server.url}/api/health").json()
    assert (health["status"], health["home"]) == ("no warehouse", str(place.home))
    page = httpx.get(server.url)
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


def test_other_machines_need_the_token_which_is_printed_once(
    place: Place, start_console: Start
) -> None:
    server = start_console(place, "--host", "0.0.0.0", "--port", "0")
    port = server.url.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}/api/health"
    assert server.token
    assert httpx.get(url).status_code == 401
    bearer = {"authorization": f"Bearer {server.token}"}
    assert httpx.get(url, headers=bearer).status_code == 200
    by_name = bearer | {"host": f"{socket.gethostname()}:{port}"}
    assert httpx.get(url, headers=by_name).status_code == 200
    assert httpx.get(url, headers=bearer | {"host": f"evil.example:{port}"}).status_code == 421
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert start_console(place, "--host", "0.0.0.0", "--port", "0").token is None
    made = place("quotemill", "console", "--token")
    assert made.returncode == 0
    assert made.stdout.strip() not in ("", server.token)


def test_without_the_extra_it_says_what_installs_it(place: Place, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "uvicorn.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')\n"
    )
    refused = place("quotemill", "console", "--json", PYTHONPATH=str(hidden))
    assert refused.returncode == 3
    assert "the console needs uvicorn" in refused.stderr
    assert "install" in refused.stderr
