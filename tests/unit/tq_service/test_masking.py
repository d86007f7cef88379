"""The end of a client: its messages and output never show the account or the password."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loaders.tq.client import process
from loaders.tq.client.process import ClientProcess
from loaders.tq.errors import TqAuthError, TqTransport
from loaders.tq.settings import TqSettings
from quotemill.foreign import Limit

ACCOUNT, PASSWORD = "some body@home", "some body@home1"
IN_AN_ADDRESS = ("some%20body%40home", "some+body%40home")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """A client that is a shell's program."""
    processes: list[ClientProcess] = []

    def start(program: str) -> ClientProcess:
        script = tmp_path / "client"
        script.write_text(f"#!/bin/sh\nread access\nread request\n{program}\n")
        script.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(script))
        monkeypatch.setattr(process, "subprocess", subprocess)  # no fork of the tests'
        settings = TqSettings.model_validate({"account": ACCOUNT, "password": PASSWORD})
        processes.append(ClientProcess(settings, tmp_path / "home", lambda: False, lambda _: None))
        return processes[-1]

    yield start
    for started in processes:
        started.kill()


def test_an_error_of_the_client_shows_neither(client: Callable[..., ClientProcess]) -> None:
    said = f"{ACCOUNT} with {PASSWORD} at /users/{IN_AN_ADDRESS[0]}?name={IN_AN_ADDRESS[1]}"
    answer = json.dumps({"error": {"kind": "auth", "message": said, "symbols": []}})
    with pytest.raises(TqAuthError) as refused:
        client(f"echo '{answer}'; read more").ask("login", {})
    assert str(refused.value).endswith(" *** with *** at /users/***?name=***")


def test_the_last_output_of_a_client_shows_neither(client: Callable[..., ClientProcess]) -> None:
    with pytest.raises(TqTransport) as ended:
        client('echo "$access" >&2; exit 3').ask("login", {})
    assert 'exit code 3, {"account": "***", "password": "***"' in str(ended.value)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("exec >&-", "its output ended, but it is still running"),
        ("echo no answer", "the response to login cannot be read: "),
        ("echo 5", "the response to login cannot be read: "),
        (r"head -c 20000 /dev/zero | tr '\0' '['; echo", "the response to login cannot be read: "),
        ("""echo '{"error": 5}'""", "the response to login cannot be read: "),
        ("head -c 2000 /dev/zero", "the response to login is too large: 1,001 bytes or more"),
    ],
)
def test_a_client_that_sends_no_answer_and_goes_on_is_not_awaited(
    client: Callable[..., ClientProcess], monkeypatch: pytest.MonkeyPatch, program: str, why: str
) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.05)
    if "too large" in why:
        monkeypatch.setattr(process, "TQ_ANSWER", Limit("an answer of the futures client", 1000))
    with pytest.raises(TqTransport, match=why):
        client(f"{program}; read more").ask("login", {})
