"""Forms in a real browser: saved as a whole or not at all, and each click answered at once."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.browser import Browser, Page
from tests.e2e.commands import Place
from tests.e2e.console.conftest import AS_OF, Server

Start = Callable[..., Server]
FORM = "document.getElementById('settings-tdx')"


def fill(page: Page, form: str, **values: str) -> None:
    for name, value in values.items():
        page.ask(f"void ({form}.elements['{name.replace('__', '.')}'].value = {value!r})")


def save(page: Page, form: str) -> str:
    """Press the button of a section: what it says."""
    page.ask(f"void {form}.querySelector('[id^=save]').click()")
    page.wait_for(f"{form}.ariaBusy === 'false'")
    return str(page.ask(f"{form}.querySelector('[data-answer]').textContent"))


def test_a_section_is_saved_as_a_whole_or_not_at_all(
    tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    place = Place(tmp_path, tmp_path / "home")
    page = chromium.open(
        f"{start_console(place, '--port', '0', '--as-of', AS_OF).url}/settings?section=tdx"
    )
    file = place.home / "quotemill.toml"
    fill(page, FORM, tdx__timeout="9.5", tdx__concurrency="60", tdx__realtime_when_busy="queue")
    said = save(page, FORM)
    assert said.startswith("setting tdx.concurrency: must be a whole number, between 1 and 6")
    assert not file.exists()
    assert page.ask("document.activeElement.name") == "tdx.concurrency"
    answer = "document.activeElement.nextElementSibling"
    assert page.ask(f"{answer}.textContent") == said
    assert page.ask(f"document.activeElement.matches(`[aria-describedby~='${{{answer}.id}}']`)")
    assert page.ask(f"{answer}.getBoundingClientRect().bottom <= innerHeight")
    assert page.ask(f"{FORM}.elements['tdx.timeout'].value") == "9.5"

    fill(page, FORM, tdx__concurrency="3")
    assert save(page, FORM) == "saved"
    assert page.ask(f"{FORM}.lastElementChild.textContent") == "saved"
    own = {"timeout": 9.5, "concurrency": 3, "realtime_when_busy": "queue"}
    assert tomllib.loads(file.read_text()) == {"tdx": own}  # what nobody touched stays a default
    shown = page.texts("#settings-tdx tr:has([name='tdx.timeout']) td:last-child")
    assert shown == [str(file)]

    database = "document.getElementById('database')"
    fill(page, database, host="no host")
    said = save(page, database)
    assert said.startswith("database.host has an invalid format")
    place_of_host = f"{database}.elements.host.closest('label').nextElementSibling"
    assert page.ask(f"{place_of_host}.textContent") == said
    fill(page, database, host="")

    # an empty field of a secret keeps it, a tick deletes it
    secret = "document.getElementById('settings-tq')"
    fill(page, secret, tq__password="very-secret")
    assert save(page, secret) == "saved"
    fill(page, secret, tq__timeout="200")
    assert save(page, secret) == "saved"
    assert "very-secret" in (place.home / ".env").read_text()
    assert "very-secret" not in page.ask("document.documentElement.outerHTML")
    page.ask(f"void {secret}.querySelector('[data-delete]').click()")
    fill(page, secret, tq__timeout="")
    assert save(page, secret) == "saved"
    assert "very-secret" not in (place.home / ".env").read_text()
    assert "200" not in file.read_text()
    assert page.ask(f"{secret}.elements['tq.timeout'].value") == "300.0"
    assert [text for text in page.console if "Failed to load" not in text] == []


def test_a_frequency_that_is_chosen_is_the_rule_that_is_saved(
    tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    settings = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    place = Place(tmp_path, tmp_path / "home", settings)
    url = start_console(place, "--port", "0", "--as-of", AS_OF).url
    page = chromium.open(f"{url}/schedules")
    form = "document.querySelector('[data-fills]').form"
    often, rule = f"{form}.querySelector('select')", f"{form}.elements.when"

    def enter(field: str, value: str) -> None:
        page.ask(f"void ({field}.value = {value!r})")
        page.ask(f"void {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")

    assert page.ask(f"[{often}.value, {rule}.value]") == ["", "weekly sat 09:30"]
    enter(rule, "every 6h")
    assert page.ask(f"{often}.value") == "every 6h"
    enter(often, "every 30m")
    assert page.ask(f"{rule}.value") == "every 30m"
    page.ask(f"void {form}.requestSubmit()")
    page.wait_for(f"document.readyState === 'complete' && {rule}.defaultValue === 'every 30m'")
    assert page.ask(f"{often}.value") == "every 30m"
    assert tomllib.loads((place.home / "quotemill.toml").read_text()) == {
        "schedule": {"tdx_selftest": {"when": "every 30m"}}
    }
    assert page.console == []


def test_a_click_is_answered_at_once_and_a_second_one_does_nothing(
    tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    place = Place(tmp_path, tmp_path / "home")
    url = start_console(place, "--port", "0", "--as-of", AS_OF).url
    page = chromium.open(f"{url}/settings?section=tdx")
    fill(page, FORM, tdx__timeout="nine")
    assert save(page, FORM).startswith("setting tdx.timeout")
    fill(page, FORM, tdx__timeout="9")
    page.ask(
        "void (window.asked = 0, window.send = fetch, window.fetch = (...call) => {"
        " window.asked += 1;"
        " return new Promise((done) => { window.go = () => done(send(...call)); })})"
    )
    button, answer = f"{FORM}.querySelector('button')", f"{FORM}.querySelector('[data-answer]')"
    said = page.ask(f"({button}.click(), {button}.click(), {answer}.textContent)")
    assert said == "running …"
    assert page.ask("window.asked") == 1
    page.ask("void (window.fetch = window.send, window.go())")
    page.wait_for(f"{answer}.textContent === 'saved'")
    page.ask(f"void ({FORM}.elements['tdx.timeout'].value = '8', {button}.click())")
    page.wait_for(f"{FORM}.elements['tdx.timeout'].defaultValue === '8.0'")


def test_a_load_is_queued_until_its_page_says_that_it_runs(
    tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    place = Place(tmp_path, tmp_path / "home", {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"})
    page = chromium.open(f"{start_console(place, '--port', '0', '--as-of', AS_OF).url}/load")
    page.ask("void (window.fetch = () => new Promise(() => {}))")
    form = "document.getElementById('load-tdx')"
    button, answer = f"{form}.querySelector('p > button')", f"{form}.querySelector('[data-answer]')"
    assert page.ask(f"({button}.click(), {answer}.textContent)") == "queued …"
