"""A console in the process of a test, and callers of it."""

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders import log
from loaders.warehouse.lock import LOCK
from orchestration.console.limits import Limits
from tests.homes import clean_environ
from tests.requirements import require

ADDRESS = "http://127.0.0.1:8765"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NO_LIMIT = Limits(calls=10**6, changes=10**6)  # for a table of many calls


@pytest.fixture(autouse=True)
def _needs_the_extra() -> None:
    present = importlib.util.find_spec("fastapi") is not None
    require("console", present, "fastapi is not installed")


def plant_running_load(
    conn: psycopg.Connection, source: str, lane: str, mode: str, requested_by: str = "me"
) -> None:
    """Record a load that runs as long as the connection is open: it holds the lock of the lane."""
    conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"{LOCK}{lane}",))
    conn.execute(
        "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
        "as_of) values (%s, %s, %s, 'running', %s, '{}', now())",
        (source, lane, mode, requested_by),
    )


@dataclass
class Caller:
    """A browser at a console: it has a session, keeps cookies, and sends the token of its page."""

    console: Any
    client: Any

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def json(self, path: str, **options: Any) -> Any:
        answer = self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def token(self) -> str:
        """The token of the page, as its script reads it."""
        text = self.get("/sign-in").text
        return str(text.split('name="quotemill-page" content="')[1].split('"')[0])

    def call(self, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> Any:
        """A call that changes something, from an open page."""
        own = {"origin": ADDRESS, "x-quotemill-page": self.token}
        return self.client.request(
            method, path, json=body if body is not None else {}, headers=own | headers
        )


Open = Callable[..., Caller]


@pytest.fixture
def open_console(tmp_path: Path) -> Iterator[Open]:
    """Open a console whose commands see these settings alone."""
    from orchestration.console.app import create_app
    from orchestration.console.context import Console

    with warnings.catch_warnings():  # of starlette, about the next version of httpx
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient

    with ExitStack() as stack:
        stack.callback(log.stop)

        def opened(
            settings: Mapping[str, str] | None = None,
            *,
            names: tuple[str, ...] = (),
            clock: Callable[[], datetime] = lambda: NOW,
            **values: Any,
        ) -> Caller:
            environ = clean_environ() | {"QUOTEMILL_HOME": str(tmp_path / "home")}
            environ |= {"PATH": os.environ["PATH"]} | dict(settings or {})
            console = Console(tmp_path, environ, clock, **values)
            log.start(console.settings().home / "logs")  # as the command does
            app = create_app(console, names=names)
            client = stack.enter_context(TestClient(app, base_url=ADDRESS, follow_redirects=False))
            session = console.access.new_session(clock())
            client.cookies.set("quotemill_8765_session", session, domain="127.0.0.1")
            return Caller(console, client)

        yield opened


@pytest.fixture
def client_folder(tmp_path: Path) -> Path:
    """The least that is a folder of the desktop client: one file of bars."""
    bars = tmp_path / "client" / "vipdoc" / "sh" / "lday"
    bars.mkdir(parents=True)
    (bars / "sh600000.day").write_bytes(bytes(32))
    (tmp_path / "client" / "T0002").mkdir()
    return tmp_path / "client"
