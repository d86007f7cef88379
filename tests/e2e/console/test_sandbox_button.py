"""A first run without any source: the simulated service is started, used and ended by buttons."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from loaders.settings import load_settings
from orchestration.console.processes import Commands
from tests.browser import Browser
from tests.e2e.commands import Place
from tests.e2e.console.conftest import Server

Start = Callable[..., Server]


@pytest.fixture
def place(tmp_path: Path, warehouse_dsn: str) -> Iterator[Place]:
    variables = {"QUOTEMILL_WAREHOUSE_URL": warehouse_dsn, "DBT_PROFILES_DIR": str(tmp_path)}
    place = Place(tmp_path, tmp_path / "home", variables)
    yield place
    commands = Commands(place.home / "console" / "commands", tmp_path, {})
    for command in commands.list_all():
        if command.is_running:
            with suppress(ProcessLookupError):
                os.kill(command.pid, signal.SIGKILL)


@pytest.mark.long
def test_a_simulated_service_is_started_loaded_and_ended(
    place: Place, start_console: Start, chromium: Browser
) -> None:
    server = start_console(place, "--port", "0")
    page = chromium.open(f"{server.url}/load")
    page.ask("void document.querySelector('#sandbox button').click()")
    page.wait_for("!!document.querySelector('#load-tdx')")
    address = page.ask("document.querySelector('#sandbox code').textContent")
    assert load_settings(place.environment(), place.folder).tdx.base_url == address
    assert "running" in page.ask("document.querySelector('#sandbox').textContent")
    assert page.console == []

    # its process outlives the server, and the next one shows it
    server.process.kill()
    server.process.wait(60)
    url = start_console(place, "--port", "0").url
    page = chromium.open(f"{url}/load")
    page.ask("void (document.querySelector('#load-tdx [name=build]').checked = false)")
    boxes = "[...document.querySelectorAll('#load-tdx [name=datasets]')]"
    page.ask(f"void {boxes}.forEach(box => {{ box.checked = box.value === 'kline_daily' }})")
    page.ask("void document.querySelector('#load-tdx button').click()")
    page.wait_for("location.pathname === '/jobs/1' && document.readyState === 'complete'")
    page.wait_for("!document.querySelector('#state').textContent.includes('running')")
    assert page.texts("#state > span") == ["succeeded"]
    log = page.ask("document.querySelector('#log').textContent.trim()")
    times = [line[:19] for line in log.splitlines()]
    assert times == sorted(times)
    assert len(times) > 3

    page = chromium.open(f"{url}/load")
    page.ask("void document.querySelector('#sandbox button').click()")
    page.wait_for("!document.querySelector('#load-tdx') && !!document.querySelector('#service')")
    assert load_settings(place.environment(), place.folder).tdx.base_url is None
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    # what it loaded stays, so no other invented prices come among these
    page.ask("void document.querySelector('#sandbox button').click()")
    said = page.wait_for("document.querySelector('#sandbox .bad[data-answer]')?.textContent")
    assert "this warehouse already has TDX data" in said
