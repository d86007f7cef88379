"""The log of requests: warnings alone, all of it with --verbose and in the file of the settings."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loaders.cli import shell
from loaders.requests import http
from loaders.requests.counts import retries_counted
from quotemill.errors import SettingsError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    log = logging.getLogger("loaders")
    for handler in log.handlers:
        handler.close()
    log.handlers = []
    shell.log_requests(None, False)


def ask() -> None:
    """A request that fails once, and its retry."""
    answers = iter([httpx.ReadError("reset"), httpx.Response(200)])

    def serve(_: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> None:
        transport = httpx.MockTransport(serve)
        async with http.http_client("http://h", connections=1, transport=transport) as client:
            policy = http.RetryPolicy(1, 0.0)
            await http.retrying(policy, lambda: http.send(client, "GET", "/api/codes", {}, limit=5))

    with retries_counted():
        asyncio.run(run())


def test_a_retry_that_succeeds_prints_nothing_without_verbose() -> None:
    said: list[str] = []
    shell.route_logs(said.append)
    ask()
    assert said == []


def test_verbose_prints_each_request_and_retry() -> None:
    said: list[str] = []
    shell.log_requests(None, True)
    shell.route_logs(said.append)
    ask()
    first, retry, second = said
    assert first.startswith("request /api/codes: ReadError: reset ")
    assert retry.startswith("retry 1 in ")
    assert "(reset)" in retry
    assert second.startswith("request /api/codes: 200 in ")


def test_the_file_has_them_while_stderr_is_silent(tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "logs" / "requests.log"
    shell.log_requests(file, False)
    shell.route_logs(said.append)
    ask()
    assert said == []
    kinds = [line.split(" DEBUG ")[1].split()[0] for line in file.read_text().splitlines()]
    assert kinds == ["request", "retry", "request"]

    with pytest.raises(SettingsError, match="request_log"):
        shell.log_requests(tmp_path, False)
