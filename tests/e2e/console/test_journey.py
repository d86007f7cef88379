"""A new user's way through the pages, in a real browser: settings, test, load, retry, schedule."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from loaders.tdx.plan import DEFAULTS
from tests.browser import Browser, Page
from tests.e2e.commands import Place, printed_sandbox
from tests.e2e.console.conftest import AS_OF, MARKET, Server

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def service() -> Iterator[dict[str, str]]:
    with printed_sandbox("tdx", 0, *MARKET) as (_, printed):
        printed["url"] = printed["line"].split("http://")[1].split()[0]
        yield printed


def fill(page: Page, form: str, **values: str) -> None:
    """Enter values into a form, and press its first button."""
    for name, value in values.items():
        field = f"document.querySelector('{form} [name=\"{name.replace('__', '.')}\"]')"
        page.ask(f"void ({field}.value = {value!r})")
    page.ask(f"void document.querySelector('{form} button:not(.plain)').click()")


@pytest.mark.long
def test_a_new_user_gets_from_no_settings_to_a_schedule(
    tmp_path: Path,
    warehouse_dsn: str,
    service: dict[str, str],
    start_console: Start,
    chromium: Browser,
) -> None:
    variables = {"QUOTEMILL_WAREHOUSE_URL": warehouse_dsn, "DBT_PROFILES_DIR": str(tmp_path)}
    place = Place(tmp_path, tmp_path / "home", variables)
    url = start_console(place, "--port", "0", "--as-of", AS_OF).url

    def open_page(path: str) -> Page:
        return chromium.open(f"{url}{path}")

    # the first run asks where the data come from
    page = open_page("/load")
    fill(page, "#service", tdx__base_url=f"http://{service['url']}")
    page.wait_for("!!document.querySelector('#load-tdx')")
    assert page.console == []

    # the connection answers; what doctor warns of, here too
    page = open_page("/sources")
    page.ask(
        "void document.querySelector('form[data-call=\"/api/connection/test\"] button').click()"
    )
    answer = "document.querySelector('form[data-call=\"/api/connection/test\"] [data-answer]')"
    said = page.wait_for(f"{answer}.textContent.includes('service') && {answer}.textContent")
    assert "\nwarn · service · " in said
    assert page.ask(f"{answer}.className") == "warn"

    # a load, of which a request fails
    fault = {"fault": "missing-field:kline-all"}
    assert httpx.post(f"{service['control']}/faults", json=fault).is_success
    # what the form asks for: the defaults of a mode go without names, and follow the mode
    page = open_page("/load")
    page.ask(
        "void (window.fetch = (_, call) => {"
        " window.asked = call.body; return new Promise(() => {}); })"
    )
    boxes = "[...document.querySelectorAll('#load-tdx [name=datasets]')]"
    for mode, names in DEFAULTS.items():
        page.ask(
            "(() => { const mode = document.querySelector('#load-tdx [name=mode]');"
            f"mode.value = '{mode}';"
            "mode.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
        ticked = page.ask(f"{boxes}.filter(box => box.checked).map(box => box.value)")
        assert sorted(ticked) == sorted(names)
    fill(page, "#load-tdx", codes="sh600000, sz000001")
    assert json.loads(page.wait_for("window.asked")) == {
        "source": "tdx",
        "mode": "realtime",
        "codes": ["sh600000", "sz000001"],
        "build": True,
    }
    page.ask(
        "void document.querySelector('#load-tdx [name=codes]')"
        ".dispatchEvent(new Event('input', {bubbles: true}))"
    )
    command = "quotemill load tdx --mode realtime --codes sh600000,sz000001"
    assert page.texts("#load-tdx [data-command]") == [command]
    page = open_page("/load")
    page.ask("void (document.querySelector('#load-tdx [name=build]').checked = false)")
    assert page.ask(f"{boxes}.filter(box => box.checked).length") == len(DEFAULTS["init"])
    page.ask(f"void {boxes}.forEach(box => {{ box.checked = box.value === 'kline_daily' }})")
    fill(page, "#load-tdx", mode="init")
    page.wait_for("location.pathname.startsWith('/jobs/')")
    page.wait_for("document.readyState === 'complete' && !!document.querySelector('#state')")
    ended = "!document.querySelector('#state').textContent.includes('running')"
    page.wait_for(ended)
    assert page.table("parts")
    assert page.table("failures")
    httpx.delete(f"{service['control']}/faults")
    retry = "document.querySelector('form[data-call=\"/api/ingestion/retry\"] button')"
    page.ask(f"void {retry}.click()")
    page.wait_for("location.pathname === '/jobs/2' && !!document.querySelector('#state')")
    page.wait_for(ended)
    assert page.texts("#state")[0].startswith("succeeded")
    assert page.console == []

    # what ran, the rule of a job, the report
    assert open_page("/history").table("history")
    page = open_page("/schedules")
    page.ask("void (document.querySelector('#jobs [name=when]').value = 'daily 19:00')")
    page.ask("void document.querySelector('#jobs form button').click()")
    page.wait_for("!!document.querySelector('#jobs [name=when][value=\"daily 19:00\"]')")
    assert 'when = "daily 19:00"' in (place.home / "quotemill.toml").read_text()
    for path in ("/", "/findings", "/prices", "/settings", "/report"):
        page = open_page(path)
        page.set_width(360)
        assert page.ask("document.documentElement.scrollWidth") <= 360, path
        assert page.console == [], path
        assert all(asked.startswith((url, "data:")) for asked in page.requests), path
