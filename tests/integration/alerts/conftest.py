"""A channel of alerts on this machine, and settings that name it."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loaders import log
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from orchestration.alerts import causes
from orchestration.alerts import check as alerts
from orchestration.alerts.book import on_this_host
from orchestration.checks import gather
from orchestration.run.stages import RunResult
from tests.bench import settings_at, warehouse_url
from tests.planted import SECRETS

TOKEN = SECRETS[0]  # in the address of the channel
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


@dataclass
class Hook:
    """A webhook on this machine: the messages it received, and the status it answers."""

    url: str = ""
    status: int = 200
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def titles(self) -> list[str]:
        """What was sent, without the name of this machine."""
        titles = (message["title"].partition(", ")[2] for message in self.received)
        return [title.removesuffix(on_this_host("")) for title in titles]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.paths.append(self.path)
            if made.status == 200:
                made.received.append(json.loads(body))
            self.send_response(made.status)
            self.end_headers()

        def do_GET(self) -> None:
            made.paths.append(self.path)
            self.send_response(made.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(prepared_dsn: str, hook: Hook, tmp_path: Path) -> Iterator[Settings]:
    """An empty warehouse and a channel; the disk is never too full."""

    made = settings_of(prepared_dsn, hook, tmp_path)
    log.start(tmp_path / "logs", log.collect_secrets(made))
    yield made
    log.stop()


def environment(settings: Settings, hook: Hook) -> dict[str, str]:
    """Variables of commands that use the same warehouse and channel."""
    return {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(settings),
        "QUOTEMILL_ALERTS__URLS": f"json://{hook.url}/",
        "QUOTEMILL_ALERTS__DISK_PERCENT": "100",
    }


def settings_of(url: str, hook: Hook, home: Path) -> Settings:
    alert_settings = {
        "urls": [f"json://user:{TOKEN}@{hook.url}/{TOKEN}"],
        "ping_url": f"http://{hook.url}/ping/{TOKEN}",
        "disk_percent": 100,
    }
    return settings_at(url, home, alerts=alert_settings)


def load(code: int, error: str | None = None) -> RunResult:
    status = "failed" if code else "succeeded"
    return RunResult((LoadResult(1, "tdx", status, code, (), (), error, "start it", 0.1),), code)


def check(settings: Settings, result: RunResult) -> alerts.CheckResult:
    return alerts.check_and_notify(settings, causes.check_run(result, settings), now=NOW)


def doctor_check(settings: Settings) -> tuple[str, str]:
    """Status and text of the doctor's check of alerts."""
    [check] = [check for check in gather.examine(settings) if check.name == "alerts"]
    return check.verdict, check.sentence


def log_lines(home: Path) -> str:
    return "".join(path.read_text() for path in (home / "logs").iterdir())
